"""The answer of `verify --server` for people."""

from __future__ import annotations

from whatfits.sizing.document import Document, Facts, Lines, Table
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import format_tokens

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.document import Tone
    from whatfits.sizing.servers.verification import ComparedValue, ServerVerification

__all__ = ["server_document"]

_VERDICTS: Final[dict[str, tuple[str, Tone]]] = {
    "equal": ("Every figure as predicted.", "good"),
    "inside": ("Every figure lies in its interval.", "good"),
    "outside": (
        "A figure lies outside its interval: please report it if the settings below are right.",
        "bad",
    ),
}
_NAMES: Final = {
    "held_bytes": "all buffers",
    "accelerator_bytes": "buffers on accelerators",
    "tensor_bytes": "tensors",
    "file_bytes": "size on disk",
    "context_tokens": "context of a slot, tokens",
    "slots": "slots",
    "resident_bytes": "resident memory",
    "taken_bytes": "taken of accelerators",
    "cache_blocks": "blocks of the cache",
}


def server_document(answer: ServerVerification) -> Document:
    """Return verdict, what was compared with what, and the figures line by line."""
    text, tone = _VERDICTS[answer.verdict]
    server, workload = answer.server, answer.workload
    settings = [
        f"{format_tokens(workload.context_tokens)} tokens" if workload.context_tokens else "",
        f"{workload.parallel} slots" if (workload.parallel or 1) > 1 else "",
        f"keys {workload.kv_type_k}, values {workload.kv_type_v}" if workload.kv_type_k else "",
    ]
    return Document(
        (
            Lines((text,), tone=tone),
            Facts(
                (
                    ("Server", f"{server.label} {server.version or ''} at {server.url}"),
                    ("Its model", server.model),
                    ("Read here as", f"{answer.model.name} {answer.model.file_type or ''}".strip()),
                    ("Settings", ", ".join(filter(None, settings))),
                    ("Machine", answer.machine),
                )
            ),
            Table(
                ("figure", "predicted", "from", "to", "told", "miss", "source"),
                tuple(_row(value) for value in answer.values),
                right=("predicted", "from", "to", "told", "miss"),
            ),
            Lines(answer.notes, tone="dim"),
        )
    )


def _row(value: ComparedValue) -> tuple[str, ...]:
    miss = f"{value.miss:+,}" if value.miss else "0"
    return (
        _NAMES[value.key],
        f"{value.predicted:,}",
        f"{value.low:,}",
        "" if value.high is None else f"{value.high:,}",
        f"{value.told:,}",
        miss if value.inside else f"{miss} outside",
        value.source,
    )
