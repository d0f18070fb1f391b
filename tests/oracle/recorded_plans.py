"""Recorded dry runs of llama.cpp: read, written, and set beside what this engine predicts.

A file holds `provenance`, the distinct `settings` (fields of `RunSettings` that are not the C API's
defaults) and `groups`: a catalog model under a file type on a box of pretend GPUs. A row of a group
is the number of its settings, then weights, cache and compute bytes of each GPU and of the host; or
the number and why llama.cpp refused.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from comparison import Box, Column, Outcome, outcome

from whatfits.bench.run_settings import RunSettings
from whatfits.bench.suite import CatalogShape
from whatfits.sizing.errors import BadInputError
from whatfits.sizing.runtimes.llama_cpp import Bill
from whatfits.sizing.sources.catalog_model import load_catalog_model

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

RECORDED: Final = Path(__file__).parents[1] / "recorded" / "llama_cpp"
SUITE: Final = RECORDED / "suite.json"
OFFLOAD: Final = RECORDED / "offload.json"
SPLITS: Final = RECORDED / "splits.json"
FUSED: Final = RECORDED / "fused.json"
CUDA: Final = RECORDED / "cuda.json"
CUDA_LOADS: Final = RECORDED / "cuda_loads.json"
_PER_DEVICE: Final = 3
_DEFAULTS: Final = asdict(RunSettings(0))
_NOTHING: Final = (Column(0, 0, 0),)


@dataclass(frozen=True)
class Plan:
    """One dry run: a column a GPU and one for the host; or why there is none."""

    settings: RunSettings
    truth: tuple[Column, ...]
    refusal: str | None = None


@dataclass(frozen=True)
class PlanGroup:
    """The dry runs of one shape on one box."""

    shape: CatalogShape
    box: Box
    plans: tuple[Plan, ...]

    def outcomes(self) -> Iterator[Outcome]:
        """Yield each plan beside the prediction; without the columns of whoever refused."""
        spec = load_catalog_model(self.shape.model, file_type=self.shape.file_type)
        bill = Bill(spec)
        for plan in self.plans:
            try:
                found = outcome(spec, bill, self.box, plan.settings, plan.truth or _NOTHING)
            except BadInputError as error:
                yield Outcome(plan.settings, plan.truth, (), (), str(error))
                continue
            yield found if plan.truth else replace(found, truth=(), error=plan.refusal)


def read(path: Path) -> tuple[PlanGroup, ...]:
    """Return the groups of a file."""
    document = json.loads(path.read_text("utf-8"))
    settings = [_settings(fields) for fields in document["settings"]]
    return tuple(
        PlanGroup(
            CatalogShape(group["model"], group["architecture"], group["file_type"]),
            Box(
                group["gpus"],
                group["flash"],
                group["asynchronous"],
                tuple(group.get("memory_bytes", ())),
                group.get("kind", "cuda"),
            ),
            tuple(_plan(settings[number], rest) for number, *rest in group["rows"]),
        )
        for group in document["groups"]
    )


def _settings(fields: dict[str, Any]) -> RunSettings:
    return RunSettings(**{key: _tuples(value) for key, value in fields.items()})


def _tuples(value: Any) -> Any:  # noqa: ANN401 - JSON
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _plan(settings: RunSettings, rest: list[Any]) -> Plan:
    if isinstance(rest[0], str):
        return Plan(settings, (), rest[0])
    starts = range(0, len(rest), _PER_DEVICE)
    return Plan(settings, tuple(Column(*rest[at : at + _PER_DEVICE]) for at in starts))


def write(path: Path, groups: Iterable[PlanGroup], *, provenance: str) -> None:
    """Write groups, one a line, so that a later recording differs where something differs."""
    numbers: dict[RunSettings, int] = {}
    lines = [json.dumps(_group(group, numbers), separators=(",", ":")) for group in groups]
    settings = [json.dumps(_changed(each), separators=(",", ":")) for each in numbers]
    path.write_text(
        f'{{"provenance":{json.dumps(provenance)},\n"settings":[\n{_joined(settings)}\n],\n'
        f'"groups":[\n{_joined(lines)}\n]}}\n',
        "utf-8",
    )


def _joined(lines: Sequence[str]) -> str:
    return ",\n".join(lines)


def _changed(settings: RunSettings) -> dict[str, Any]:
    return {key: value for key, value in asdict(settings).items() if value != _DEFAULTS[key]}


def _group(group: PlanGroup, numbers: dict[RunSettings, int]) -> dict[str, Any]:
    rows = []
    for plan in group.plans:
        number = numbers.setdefault(plan.settings, len(numbers))
        figures = [x for c in plan.truth for x in (c.weights, c.cache, c.compute)]
        rows.append([number, *(figures or [plan.refusal])])
    return {**asdict(group.shape), **asdict(group.box), "rows": rows}
