"""The answer of `verify` for people."""

from __future__ import annotations

from whatfits.sizing.document import Document, Facts, Lines, Table
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from whatfits.sizing.document import Block, Tone
    from whatfits.sizing.verification import CheckedTerm, LoadReport, Verification

__all__ = ["verification_document"]

_VERDICTS: Final[dict[str, tuple[str, Tone]]] = {
    "equal": ("Every byte as predicted.", "good"),
    "inside": ("Every truth lies in its interval.", "good"),
    "outside": ("A truth lies outside its interval: please report this.", "bad"),
    "not measured": ("Nothing could be measured.", "warn"),
}


def verification_document(answer: Verification) -> Document:
    """Return verdict, terms line by line, and what the process held."""
    text, tone = _VERDICTS[answer.verdict]
    if answer.load is not None and answer.load.kind != "measured":
        text, tone = f"The load ended without a measurement ({answer.load.kind}).", "warn"
    blocks: list[Block] = [
        Lines((text, *answer.notes), tone=tone),
        Facts(
            (
                ("Model", f"{answer.model.name} {answer.model.file_type or ''}".strip()),
                ("Reference", answer.reference),
            )
        ),
        Table(
            ("term", "device", "predicted", "llama.cpp's plan", "real load", "miss"),
            tuple(_row(term) for term in answer.terms),
            right=("predicted", "llama.cpp's plan", "real load", "miss"),
        ),
    ]
    load = answer.load
    if load is not None and load.kind == "measured":
        blocks.append(Facts(tuple(_held(load))))
    return Document(tuple(blocks))


def _held(load: LoadReport) -> Iterator[tuple[str, str]]:
    sizes = {
        "Resident after loading": load.resident_bytes,
        "of it memory proper": load.anonymous_bytes,
        "of it pages of files": load.file_bytes,
        "after a first decode": load.resident_after_decode_bytes,
        **{f"Taken of {name}": taken for name, taken in load.device_bytes.items()},
    }
    for label, size in sizes.items():
        if size is not None:
            yield label, format_bytes(size)
    yield "Time", f"{load.seconds:.1f} s"


def _row(term: CheckedTerm) -> tuple[str, ...]:
    def shown(value: int | None) -> str:
        return "" if value is None else f"{value:,}"

    miss = "" if term.miss_bytes is None else f"{term.miss_bytes:+,}" if term.miss_bytes else "0"
    if term.inside is False:
        miss += " outside"
    return (
        term.term,
        term.device,
        shown(term.predicted_bytes),
        shown(term.dry_run_bytes),
        shown(term.real_bytes),
        miss,
    )
