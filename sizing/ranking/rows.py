"""Which models fit a machine: every catalog model, one row each, by a stated rule.

No figure of popularity or quality goes into the order; it is the reader's to choose.
"""

from __future__ import annotations

from whatfits.sizing.estimate import RateRange, Verdict  # noqa: TC001 - read by pydantic
from whatfits.sizing.quants.default_type import RANKED_TYPES
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass
from whatfits.sizing.verdict import VERDICT_ORDER, pool_needs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Final

    from whatfits.sizing.catalog.lookup import ModelEntry
    from whatfits.sizing.estimate import Memory
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.workload import Workload

__all__ = [
    "FILE_TYPE_RULE",
    "MONTHS_A_YEAR",
    "RankedModel",
    "headroom_bytes",
    "months_of",
    "ranked_model",
    "sort_rows",
    "trained_for_less",
]

FILE_TYPE_RULE: Final = (
    f"file type: the best of {', '.join(RANKED_TYPES[:-1])} and {RANKED_TYPES[-1]} that gets the "
    "best verdict, or the model's native one"
)
MONTHS_A_YEAR: Final = 12


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
        decode_tokens_per_s: speed of writing; None when unknown, or when it does not run.
        approximate: weights come from parameters and bits, not from a tensor table.
        context_train_tokens: context it was trained for; None when unknown.
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
    context_train_tokens: int | None = None


def ranked_model(
    entry: ModelEntry,
    machine: Machine,
    memory: Memory,
    *,
    parameters: tuple[int | None, int | None],
    file_type: str,
    verdict: Verdict,
    context_tokens: int,
    context_train_tokens: int | None,
    approximate: bool = False,
) -> RankedModel:
    """Return a row without its speed; `parameters` are all, and those used for one token."""
    return RankedModel(
        model=entry.id,
        family=entry.family,
        kind=entry.kind,
        parameters=parameters[0],
        active_parameters=parameters[1],
        released=entry.released,
        file_type=file_type,
        verdict=verdict,
        context_tokens=context_tokens,
        weights_bytes=memory.weights_bytes,
        total_bytes=memory.total_bytes,
        high_bytes=memory.high_bytes,
        headroom_bytes=headroom_bytes(memory, machine),
        largest_context_tokens=None,
        decode_tokens_per_s=None,
        approximate=approximate,
        context_train_tokens=context_train_tokens,
    )


def trained_for_less(row: RankedModel, workload: Workload) -> bool:
    """Whether a sequence may get longer than what a row's model was trained for."""
    trained = row.context_train_tokens
    sequences = 1 if workload.kv_unified else workload.parallel or 1
    return trained is not None and row.context_tokens // sequences > trained


def headroom_bytes(memory: Memory, machine: Machine) -> int | None:
    """Return what is left in the pool that is filled most, counting accelerators first.

    By the upper end, so it is negative where that does not fit: then of the pool that lacks most,
    whichever it is. None when a pool's free memory is not known.
    """
    fast: list[int] = []
    others: list[int] = []
    for need in pool_needs(memory, machine):
        if not need.high_bytes or need.spare_low_bytes is None:
            continue
        is_fast = need.pool.kind != "ram" or len(machine.pools) == 1
        (fast if is_fast else others).append(need.spare_low_bytes)
    least = min((*fast, *others), default=None)
    if least is None or least < 0:
        return least
    return min(fast or others)


def sort_rows(rows: Sequence[RankedModel], key: str) -> list[RankedModel]:
    """Return rows by `size` (parameters), `memory`, `released` or `name`, verdict first."""
    keys: dict[str, Callable[[RankedModel], tuple[object, ...]]] = {
        "size": lambda row: (-(row.parameters or 0),),
        "memory": lambda row: (-row.total_bytes,),
        "released": lambda row: (-months_of(row.released),),
        "name": lambda row: (row.model,),
    }
    chosen = keys[key]
    return sorted(rows, key=lambda row: (VERDICT_ORDER[row.verdict], *chosen(row), row.model))


def months_of(released: str | None) -> int:
    """Return a month of release as a count of months; 0 when it was not read."""
    year, _, month = (released or "0-0").partition("-")
    return int(year) * MONTHS_A_YEAR + int(month or 0)
