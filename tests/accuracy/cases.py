"""The cases of the accuracy record, docs/accuracy.json: recorded plans beside predictions.

The file is what the document's tables are made from, and for others to read. A group is a model
under a file type on a box. A case is whether weights, cache and compute buffers of all devices are
equal to the byte, whether the compute buffers lie in their intervals, and the error of the total;
or who refused the settings. Cases are in the order of the recorded plans.
"""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from comparison import Box
from recorded_plans import OFFLOAD, SUITE, read

from whatfits.bench.suite import CatalogShape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from comparison import Column, Outcome
    from recorded_plans import PlanGroup

PATH: Final = Path(__file__).parents[2] / "docs" / "accuracy.json"
RECORDS: Final = {"suite": SUITE, "offload": OFFLOAD}
_DIGITS: Final = 8  # of an error: a hundredth of a millionth


@dataclass(frozen=True)
class Compared:
    """One case that both sides answered."""

    weights: bool
    cache: bool
    compute: bool
    inside: bool
    error: float


@dataclass(frozen=True)
class CaseGroup:
    """The cases of one shape on one box; a case that was refused is the name of who did."""

    shape: CatalogShape
    box: Box
    cases: tuple[Compared | str, ...]

    @property
    def compared(self) -> list[Compared]:
        return [case for case in self.cases if isinstance(case, Compared)]


def measured(group: PlanGroup) -> CaseGroup:
    """Return the cases of recorded plans, predicted now."""
    return CaseGroup(group.shape, group.box, tuple(map(_case, group.outcomes())))


def _case(found: Outcome) -> Compared | str:
    if not found.truth:
        return "llama.cpp" if found.predicted else "both"
    if not found.predicted:
        return "whatfits"
    return Compared(
        weights=_same(found, lambda column: column.weights),
        cache=_same(found, lambda column: column.cache),
        compute=_same(found, lambda column: column.compute),
        inside=found.is_held,
        error=round(_total(found.predicted) / _total(found.truth) - 1, _DIGITS),
    )


def _same(found: Outcome, part: Callable[[Column], int]) -> bool:
    return [*map(part, found.truth)] == [*map(part, found.predicted)]


def _total(columns: Iterable[Column]) -> int:
    return sum(column.weights + column.cache + column.compute for column in columns)


def measure(architectures: Sequence[str]) -> dict[str, tuple[CaseGroup, ...]]:
    """Return every case predicted anew; with `architectures` theirs only, the rest as written."""
    return {kind: _measured(kind, architectures) for kind in RECORDS}


def _measured(kind: str, architectures: Sequence[str]) -> tuple[CaseGroup, ...]:
    plans = read(RECORDS[kind])
    wanted = [g for g in plans if not architectures or g.shape.architecture in architectures]
    kept = {(g.shape, g.box): g for g in load()[kind]} if architectures else {}
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        kept |= {(g.shape, g.box): g for g in pool.map(measured, wanted)}
    return tuple(kept[g.shape, g.box] for g in plans)


def load() -> dict[str, tuple[CaseGroup, ...]]:
    """Return what docs/accuracy.json says."""
    document: dict[str, list[dict[str, Any]]] = json.loads(PATH.read_text("utf-8"))
    return {kind: tuple(map(_group, document[kind])) for kind in RECORDS}


def _group(row: dict[str, Any]) -> CaseGroup:
    cases = (
        case if isinstance(case, str) else Compared(*map(bool, case[:-1]), error=case[-1])
        for case in row["cases"]
    )
    return CaseGroup(
        CatalogShape(row["model"], row["architecture"], row["file_type"]),
        Box(row["gpus"], row["flash"], row["asynchronous"]),
        tuple(cases),
    )


def save(groups: dict[str, tuple[CaseGroup, ...]]) -> None:
    """Write docs/accuracy.json, a group a line."""
    parts = []
    for kind, each in groups.items():
        lines = ",\n".join(json.dumps(_row(group), separators=(",", ":")) for group in each)
        parts.append(f'"{kind}":[\n{lines}\n]')
    case = ["weights", "cache", "compute", "inside", "error"]
    PATH.write_text(f'{{"case":{json.dumps(case)},\n{",".join(parts)}}}\n', "utf-8")


def _row(group: CaseGroup) -> dict[str, Any]:
    cases = [
        case
        if isinstance(case, str)
        else [*map(int, (case.weights, case.cache, case.compute, case.inside)), case.error]
        for case in group.cases
    ]
    return {**asdict(group.shape), **asdict(group.box), "cases": cases}
