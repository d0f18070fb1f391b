"""Which models fit a machine: every catalog model, one row each, by a stated rule.

No figure of popularity or quality goes into the order; it is the reader's to choose.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from whatfits.sizing.errors import UnsupportedArchitectureError
from whatfits.sizing.search import Trials
from whatfits.sizing.speed import estimate_speed
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from whatfits.sizing.catalog.lookup import ModelEntry
    from whatfits.sizing.estimate import RateRange, Verdict
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.search import Trial

__all__ = ["FAMILY_RULE", "FILE_TYPE_RULE", "RankedModel", "newest_of_families", "rank", "sort_rows"]

FILE_TYPE_RULE: Final = (
    "file type: the best of Q8_0, Q6_K, Q5_K_M and Q4_K_M that gets the best verdict, "
    "or the model's native one"
)
FAMILY_RULE: Final = (
    "one row a family: of the models that fit and came out within twelve months of the family's "
    "newest that fits, the one with the most parameters; biggest first"
)
_LADDER: Final = ("Q8_0", "Q6_K", "Q5_K_M")
_ORDER: Final = {"fits": 0, "slow": 1, "tight": 2, "no": 3, "unknown": 4}
_LOWEST_BITS: Final = 4.25  # the leanest type of the ladder's last mixes: a bound, not an estimate
_MONTHS_A_YEAR: Final = 12


@dataclass(frozen=True, slots=True)
class RankedModel:
    """One model on one machine.

    Attributes:
        model: catalog id.
        family: group of models with one architecture.
        kind: `llm`, `vlm` or `embedding`.
        parameters: all weights.
        active_parameters: weights used for one token.
        released: month of release; None when not read.
        file_type: chosen by the stated rule.
        verdict: verdict at the context asked for.
        context_tokens: context the verdict is for.
        weights_bytes: bytes of weights.
        total_bytes: middle of the need.
        high_bytes: upper end of the need.
        headroom_bytes: what the tightest pool has left at the upper end; negative when short.
        largest_context_tokens: longest context that fits; None when it was not asked for.
        decode_tokens_per_s: speed of writing; None when unknown.
        approximate: weights come from parameters and bits, not from a tensor table.
    """

    model: str
    family: str
    kind: str
    parameters: int | None
    active_parameters: int | None
    released: str | None
    file_type: str
    verdict: Verdict
    context_tokens: int
    weights_bytes: int
    total_bytes: int
    high_bytes: int
    headroom_bytes: int | None
    largest_context_tokens: int | None
    decode_tokens_per_s: RateRange | None
    approximate: bool


def rank(
    entries: Iterable[ModelEntry],
    machine: Machine,
    *,
    load: Callable[[ModelEntry, str | None], ModelSpec],
    workload: Workload | None = None,
    file_type: str | None = None,
    with_largest_context: bool = False,
) -> list[RankedModel]:
    """Return a row for each model whose shape is known, in the order of `entries`.

    Models that are larger than all memory even at the leanest file type are left out: they cannot
    fit. `load` turns an entry and a file type into a model.
    """
    asked = workload or Workload()
    capacity = sum(pool.total_bytes or 0 for pool in machine.pools)
    rows = []
    for entry in entries:
        if entry.params_total is not None:
            text_only = entry.params_total - (entry.params_vision_audio or 0)
            if file_type is None and text_only * _LOWEST_BITS / 8 > capacity:
                continue
        try:
            row = _row(entry, machine, asked, load, file_type, with_largest_context)
        except UnsupportedArchitectureError:
            continue  # its shape has holes: nothing honest can be said
        rows.append(row)
    return rows


def _row(
    entry: ModelEntry,
    machine: Machine,
    workload: Workload,
    load: Callable[[ModelEntry, str | None], ModelSpec],
    file_type: str | None,
    with_largest_context: bool,
) -> RankedModel:
    spec = load(entry, file_type)
    trials = Trials(spec, machine, workload, PlacementRequest())
    trial = trials.best()
    if file_type is None and trial.runs and spec.file_type == "Q4_K_M":
        spec, trials, trial = _better(entry, machine, workload, load, spec, trials, trial)
    speed = estimate_speed(
        spec,
        trial.settings,
        trial.placement,
        trials.weights(trial),
        prompt_tokens=workload.prompt_tokens,
    )
    return RankedModel(
        model=entry.id,
        family=entry.family,
        kind=entry.kind,
        parameters=spec.parameters,
        active_parameters=spec.active_parameters,
        released=entry.released,
        file_type=spec.file_type or "",
        verdict=trial.judgement.verdict,
        context_tokens=trial.settings.requested_context_tokens,
        weights_bytes=trial.memory.weights_bytes,
        total_bytes=trial.memory.total_bytes,
        high_bytes=trial.memory.high_bytes,
        headroom_bytes=_headroom(trial, machine),
        largest_context_tokens=trials.largest_context(trial) if with_largest_context else None,
        decode_tokens_per_s=speed.decode_tokens_per_s,
        approximate=spec.weights is not None,
    )


def _better(
    entry: ModelEntry,
    machine: Machine,
    workload: Workload,
    load: Callable[[ModelEntry, str | None], ModelSpec],
    spec: ModelSpec,
    trials: Trials,
    trial: Trial,
) -> tuple[ModelSpec, Trials, Trial]:
    """Climb to the best file type whose verdict is no worse than Q4_K_M's."""
    for name in _LADDER:
        candidate = load(entry, name)
        others = Trials(candidate, machine, workload, PlacementRequest())
        better = others.best()
        if _ORDER[better.judgement.verdict] <= _ORDER[trial.judgement.verdict]:
            return candidate, others, better
    return spec, trials, trial


def _headroom(trial: Trial, machine: Machine) -> int | None:
    """Return what is left in the pool that is filled most, counting accelerators first."""
    left: list[int] = []
    for pool in machine.pools:
        taken = sum(row.high_bytes for row in trial.memory.devices if row.pool == pool.id)
        fast = pool.kind != "ram" or len(machine.pools) == 1
        if taken and fast and pool.free_low_bytes is not None:
            left.append(pool.free_low_bytes - taken)
    if not left:
        host = trial.memory.devices[-1]
        free = machine.pool(host.pool).free_low_bytes
        return None if free is None else free - host.high_bytes
    return min(left)


def newest_of_families(rows: Sequence[RankedModel]) -> list[RankedModel]:
    """Return one row a family by `FAMILY_RULE`; a family is a maker's line, as qwen or gemma."""
    lines: dict[str, list[RankedModel]] = {}
    for row in rows:
        if row.verdict in ("fits", "slow") and row.kind != "embedding" and row.released:
            lines.setdefault(_line(row.family), []).append(row)
    chosen = []
    for candidates in lines.values():
        best_verdict = min(_ORDER[row.verdict] for row in candidates)
        same = [row for row in candidates if _ORDER[row.verdict] == best_verdict]
        newest = max(_months(row.released) for row in same)
        recent = [row for row in same if newest - _months(row.released) <= _MONTHS_A_YEAR]
        chosen.append(max(recent, key=lambda row: (row.parameters or 0, row.model)))
    return sorted(
        chosen, key=lambda row: (_ORDER[row.verdict], -(row.parameters or 0), row.model)
    )


def _line(family: str) -> str:
    """Return a maker's line without its generation: `qwen3.5` and `qwen2.5` are both qwen."""
    return "".join(takewhile(str.isalpha, family)) or family


def _months(released: str | None) -> int:
    year, _, month = (released or "0-0").partition("-")
    return int(year) * _MONTHS_A_YEAR + int(month or 0)


def sort_rows(rows: Sequence[RankedModel], key: str) -> list[RankedModel]:
    """Return rows by `size` (parameters), `memory`, `released` or `name`, verdict first."""
    keys: dict[str, Callable[[RankedModel], tuple[object, ...]]] = {
        "size": lambda row: (-(row.parameters or 0),),
        "memory": lambda row: (-row.total_bytes,),
        "released": lambda row: (-_months(row.released),),
        "name": lambda row: (),
    }
    chosen = keys[key]
    return sorted(rows, key=lambda row: (_ORDER[row.verdict], *chosen(row), row.model))

