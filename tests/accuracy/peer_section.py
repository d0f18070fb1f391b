"""The section that sets other estimators beside llama.cpp and this engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from peer_cases import CASES, FIELD, LOADS
from peer_errors import (
    KINDS,
    PEERS,
    given,
    our_errors,
    peer_errors,
    plans,
    read,
    reading_of,
)
from tables import errors_of, percent, signed, table

from whatfits.sizing.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peer_errors import Peer

__all__ = ["Aim", "aims", "section"]

_NEAR: Final = 0.05
_HEAD: Final = ("answered", "median", "p95", "lowest", "highest", "within 5 %")
_PLANNED: Final = ("weights_bytes", "kv_cache_bytes", "compute_bytes")
ASKS_LLAMA_CPP: Final = "node-llama-cpp"
_SAME: Final = """Each estimator was asked as its users ask it, with every option it has; where it
has none for what a case changes, it was not asked and the cell says so. What was called and what
came back is in `tests/recorded/peers`. Like is compared with like: a constant for a driver or a
framework is left out of the figure (whichllm 500 MB, modelinfo-cli 600 MiB, xllamacpp 512 MiB);
weights and cache alone are compared with these two; where a unit can be read two ways, or logits
may be reserved for a whole micro-batch instead of one row, the reading with the smaller median
error is taken. node-llama-cpp does not estimate on a CPU: it loads the file into the llama.cpp it
ships (v0.5.0) without data and asks what it would take. Its misses are differences between two
builds of llama.cpp; beside a GPU that is not there it falls back on a formula.
"""
_LOADS: Final = """What a fresh process held after it had loaded a small synthetic model at 4,096
tokens and read a prompt of a whole micro-batch, so that its compute buffer was in use; each model
as it is in the file, and repacked. A figure that leaves the compute buffer out, or counts logits
that these loads did not ask for, was set right by llama.cpp's plan first. No other estimator counts
what the process needs for itself, some 10 MiB: beside node-llama-cpp, which gives llama.cpp's plan,
that is all the difference.
"""
_LOGS: Final = """What llama.cpp told in published logs whose inputs are complete, on cards and Macs
of other people (`tests/recorded/peers/field.json`): weights, cache and compute over all devices.
All estimators were asked, with what options they have; node-llama-cpp on the CPU, which knows
nothing of the buffers of several cards. The misses of whatfits are today's llama.cpp against those
of May 2024 and of early 2026. Seven are too few to hold an aim against.
"""
NOT_RUN: Final = """Not run: gguf-parser-go (no Go tool chain here), LM Studio, Jan, Ollama and
GPUStack (an application or a server with a model of its own), web calculators (no route). The
`gguf` package reads headers and estimates nothing. whichllm's command needs the network and
hf-mem's reads from the hub only: the function each command calls was called.
"""


@dataclass(frozen=True)
class Aim:
    """What was found, the most it may be, and the most it should be once all goes well."""

    text: str
    found: float
    limit: float
    stretch: float

    @property
    def is_met(self) -> bool:
        return self.found <= self.limit

    @property
    def verdict(self) -> str:
        if not self.is_met:
            return "missed"
        if self.found == self.limit:
            return "met: the same"
        return "met, the further one too" if self.found <= self.stretch else "met"


def aims(kind: str) -> list[Aim]:
    """Return the aims held against a kind of case, and what was found.

    The nearest estimator is looked for twice: among those with formulas of their own, and the one
    that asks llama.cpp.
    """
    mine = errors_of(our_errors(kind))
    found = []
    for title, peers in (
        ("the nearest estimator with formulas of its own", _others()),
        ("node-llama-cpp, which asks llama.cpp", [p for p in PEERS if p.name == ASKS_LLAMA_CPP]),
    ):
        best = min(errors_of(given(peer_errors(peer, kind))).median for peer in peers)
        text = f"median: a third (a fifth) of that of {title}, {percent(best)}"
        found.append(Aim(text, mine.median, best / 3, best / 5))
    found.append(Aim("95th percentile: 8 % (4 %)", mine.p95, 0.08, 0.04))
    found.append(Aim("never more under than 3 %", -mine.lowest, 0.03, 0.03))
    return found


def _others() -> list[Peer]:
    return [peer for peer in PEERS if peer.name != ASKS_LLAMA_CPP]


def section() -> str:
    """Return the section: a table a kind of truth, the aims, and a table of each case."""
    return (
        f"{_SAME}\n"
        f"### llama.cpp's own plans\n\n{_plans_text()}\n{_summary('plans', with_counts=True)}\n"
        f"{NOT_RUN}\n"
        f"### Real loads\n\n{len(LOADS) * 2} loads of {len(LOADS)} models "
        f"({read('loads')['date']}). {_LOADS}\n{_summary('loads')}\n"
        f"### Loads on other people's machines\n\n{len(KINDS['logs']())} logs of "
        f"{len({case.model for case in FIELD})} models. {_LOGS}\n{_summary('logs')}\n"
        f"### Aims\n\n{_aims_table()}\n"
        f"### Case by case\n\n{_cases_table()}"
    )


def _plans_text() -> str:
    models = len({case.model for case in CASES})
    return (
        f"{len(CASES)} cases, {models} models, {read('truth')['version']}: contexts of 8,192 to "
        "131,072 tokens; quantised caches, 4 and 16 sequences, a micro-batch of 2,048, no flash "
        "attention, window caches full; experts, latent caches, windows, recurrent states; the "
        "CPU, and all or half of the layers on a pretended GPU, of which then only the card's "
        f"memory is compared. Asked on {read('llmfit')['date']}.\n"
    )


def _summary(kind: str, *, with_counts: bool = False) -> str:
    ours = our_errors(kind)
    rows = [_row("**whatfits**", ("", "bytes"), ours, with_counts=with_counts)]
    for peer in PEERS:
        told = (peer.counts, reading_of(peer).label)
        errors = given(peer_errors(peer, kind))
        rows.append(_row(peer.title, told, errors, with_counts=with_counts))
    head = ("estimator", *(("counts", "read as") if with_counts else ()), *_HEAD)
    return table(head, rows)


def _row(
    title: str, told: tuple[str, str], errors: Sequence[float], *, with_counts: bool
) -> list[object]:
    near = sum(abs(error) <= _NEAR for error in errors) / len(errors)
    cells = [len(errors), *errors_of(errors).cells, f"{near:.0%}"]
    return [title, *(told if with_counts else ()), *cells]


def _aims_table() -> str:
    names = {"plans": "plans", "loads": "real loads"}
    rows = [
        (names[kind], aim.text, percent(aim.found), aim.verdict)
        for kind in names
        for aim in aims(kind)
    ]
    return table(("over", "aim: at most", "found", ""), rows)


def _cases_table() -> str:
    mine = our_errors("plans")
    theirs = [peer_errors(peer, "plans") for peer in PEERS]
    rows = [
        (
            f"{question.case.model.name} {question.case.model.file_type}",
            f"{question.case.settings.context_tokens:,}",
            question.case.label,
            format_bytes(sum(question.plan[part] for part in _PLANNED)),
            signed(mine[index]),
            *(_cell(errors[index]) for errors in theirs),
        )
        for index, question in enumerate(plans())
    ]
    head = ("model", "context", "changed", "llama.cpp", "whatfits", *(peer.name for peer in PEERS))
    return table(head, rows)


def _cell(error: float | str) -> str:
    return error if isinstance(error, str) else f"{error:+.1%}"
