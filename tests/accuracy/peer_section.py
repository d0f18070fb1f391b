"""The section that sets other estimators beside llama.cpp and this engine."""

from __future__ import annotations

import json
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from loads import machine
from peer_cases import CASES
from record_peers import RECORDED
from tables import errors_of, signed, table

from whatfits.bench.requests import placement_request, workload
from whatfits.bench.run_settings import RunSettings
from whatfits.bench.verify import prepare
from whatfits.sizing.sources.catalog_model import load_catalog_model
from whatfits.sizing.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Peer:
    """An estimator: what it is given and counts, and which sums of the truth that may mean."""

    name: str
    counts: str
    truths: tuple[tuple[str, ...], ...]


_STORED: Final = ("weights_bytes", "kv_cache_bytes")
_ALL: Final = (*_STORED, "compute_bytes")
_EITHER: Final = (_ALL, (*_STORED, "compute_all_logits_bytes"))
PEERS: Final = (
    Peer("node-llama-cpp", "the file: weights, cache, compute", _EITHER),
    Peer("llmfit", "its own list's entry: weights, cache, a constant for the rest", _EITHER),
    Peer("whichllm", "parameters and the file's true size: all, and a framework", _EITHER),
    Peer("hf-mem", "the file: weights and cache, compared with these two", (_STORED,)),
)
NOT_RUN: Final = (
    "Not run: gguf-parser-go (no Go tool chain here), LM Studio, Jan, Ollama and GPUStack (an "
    "application or a server with a model of its own), web calculators (no route). llama.cpp's own "
    "fit step is the reference itself. The `gguf` package reads headers and estimates nothing. "
    "whichllm's command needs the network and hf-mem's reads from the hub only: the function each "
    "command calls was called."
)


def read(name: str) -> dict[str, Any]:
    """Return what was recorded of one of them, or `truth`."""
    document: dict[str, Any] = json.loads((RECORDED / f"{name}.json").read_text("utf-8"))
    return document


def ours() -> list[dict[str, int]]:
    """Return this engine's answers to the cases: no repacking, as in the truth."""
    box = machine(())
    found = []
    for case in CASES:
        spec = load_catalog_model(case.model.name, file_type=case.model.file_type)
        settings = RunSettings(case.context_tokens, outputs_max=1, swa_full=False, repack=False)
        memory = prepare(spec, box, workload(settings), placement_request(settings)).memory
        found.append({part: getattr(memory, part) for part in _ALL})
    return found


def readings(printed: str | None) -> tuple[float, float] | None:
    """Return a printed figure in bytes, read as powers of 1000 and of 1024; None without one."""
    if printed is None:
        return None
    number, unit = printed.split() if " " in printed else (printed[:-2], printed[-2:])
    if unit == "bytes":
        return float(number), float(number)
    step = "KMGT".index(unit.upper().removeprefix("VRAM_")[0]) + 1
    return float(number) * 1000**step, float(number) * 1024**step


def peer_errors(peer: Peer) -> tuple[list[float | None], str]:
    """Return a peer's error in each case, None where it gave no figure, and how it was read.

    One reading holds for all cases of a peer: the unit and the truth of the smallest median error.
    """
    rows = [readings(row["printed"]) for row in read(peer.name)["rows"]]
    found = []
    for which, unit in enumerate(("10^9", "2^30")):
        for parts in peer.truths:
            truths = [sum(row[part] for part in parts) for row in read("truth")["rows"]]
            errors = [r and r[which] / truth - 1 for r, truth in zip(rows, truths, strict=True)]
            found.append((median(abs(e) for e in errors if e is not None), errors, unit, parts))
    _, errors, unit, parts = min(found, key=lambda each: each[0])
    if all(row is None or row[0] == row[1] for row in rows):
        unit = "bytes"
    return errors, unit + (", all logits" if parts == _EITHER[1] else "")


def our_errors() -> list[float]:
    """Return this engine's error in each case."""
    both = zip(ours(), read("truth")["rows"], strict=True)
    return [sum(a[part] for part in _ALL) / sum(b[part] for part in _ALL) - 1 for a, b in both]


def section() -> str:
    """Return the section: a table of all, and one of each case."""
    found = {peer: peer_errors(peer) for peer in PEERS}
    mine = our_errors()
    summary = [("**whatfits**", "", len(mine), "bytes", *_cells(mine))]
    for peer, (errors, unit) in found.items():
        given = [error for error in errors if error is not None]
        version = read(peer.name)["version"]
        summary.append((f"{peer.name} {version}", peer.counts, len(given), unit, *_cells(given)))
    cases = [
        (
            f"{case.model.name} {case.model.file_type}",
            f"{case.context_tokens:,}",
            format_bytes(sum(row[part] for part in _ALL)),
            signed(mine[index]),
            *("none" if e[index] is None else f"{e[index]:+.1%}" for e, _ in found.values()),
        )
        for index, (case, row) in enumerate(zip(CASES, read("truth")["rows"], strict=True))
    ]
    head = ("estimator", "counts", "cases answered", "read as")
    each = ("model", "context", "llama.cpp", "whatfits", *(peer.name for peer in PEERS))
    return (
        f"{len(CASES)} cases, {len({case.model for case in CASES})} models: the truth is "
        f"{read('truth')['version']}, a dry run on the CPU, one sequence, F16 cache, one row of "
        "logits: weights, cache and compute buffer. Each estimator was asked as its users ask it; "
        "its command lines and what they printed are in `tests/recorded/peers` "
        f"({read('llmfit')['date']}). Where a unit can be read two ways, or a program may reserve "
        "logits for a whole micro-batch where a server does for one row, the reading with the "
        "smaller median error is taken; what an estimator leaves out on purpose is left out of "
        "its truth.\n\n"
        f"{table((*head, 'median', 'p95', 'lowest', 'highest'), summary)}\n{NOT_RUN}\n\n"
        f"{table(each, cases)}"
    )


def _cells(errors: Sequence[float]) -> list[str]:
    return errors_of(errors).cells
