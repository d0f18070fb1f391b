"""Tries of several models on one machine, and the changes that make all of them run.

A change is only named after all models were placed again with it and did better.
"""

from __future__ import annotations

from whatfits.sizing.estimate import Remedy
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.quants.default_type import LADDER
from whatfits.sizing.remedies.answer import shorter_contexts
from whatfits.sizing.search.trials import Trials
from whatfits.sizing.settings import default_context_tokens
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import format_bytes, format_tokens
from whatfits.sizing.values import dataclass, field, replace
from whatfits.sizing.verdict import pool_needs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Final

    from whatfits.sizing.estimate import Memory, Verdict
    from whatfits.sizing.machine import Machine, Pool
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.search.trial import Trial
    from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = ["Resident", "ResidentRemedies", "reserved", "without", "worst_of"]

_WORST_LAST: Final = ("fits", "slow", "tight", "unknown", "no")
_IS_LOADED: Final = frozenset({"fits", "slow", "tight"})


class Resident(NamedTuple):
    """One model that shall stay loaded, and how it is used."""

    spec: ModelSpec
    workload: Workload


class _Placed(NamedTuple):
    """What came of one model: its trial, and the machine as it leaves it."""

    resident: Resident
    trial: Trial
    left: Machine


class _Together(NamedTuple):
    """What came of all models that run: the worst verdict, and the middle of their need."""

    verdict: Verdict
    total_bytes: int


def worst_of(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the worst of some verdicts."""
    return max(verdicts, key=_WORST_LAST.index)


def reserved(machine: Machine, taken_bytes: dict[str, int]) -> Machine:
    """Return the machine with so many bytes more of its pools kept out of reach."""
    pools = tuple(
        replace(pool, reserve_bytes=pool.reserve_bytes + taken_bytes.get(pool.id, 0))
        for pool in machine.pools
    )
    return replace(machine, pools=pools)


def without(machine: Machine, memory: Memory, verdict: Verdict) -> Machine:
    """Return the machine as a model leaves it that takes the upper end of its need.

    The need becomes a reserve: what other programs hold could be closed, this must not be. What
    accelerators take of a limit of theirs lowers it. A model that does not run takes nothing.
    """
    if verdict not in _IS_LOADED:
        return machine
    taken, of_limit = dict[str, int](), dict[str, int]()
    for need in pool_needs(memory, machine):
        kept = of_limit if need.pool.limit_scope == "accelerators" else taken
        kept[need.pool.id] = need.high_bytes
    pools = tuple(_limited(pool, of_limit.get(pool.id, 0)) for pool in machine.pools)
    return reserved(replace(machine, pools=pools), taken)


def _limited(pool: Pool, less_bytes: int) -> Pool:
    """Return a pool whose accelerators may take so much less of it."""
    if not less_bytes or pool.limit_bytes is None:
        return pool
    low = pool.limit_low_bytes
    return replace(
        pool,
        limit_bytes=max(0, pool.limit_bytes - less_bytes),
        limit_low_bytes=None if low is None else max(0, low - less_bytes),
    )


@dataclass(frozen=True, slots=True)
class ResidentRemedies:
    """Everything needed to place changed models.

    Attributes:
        residents: the models as asked.
        machine: the machine as asked.
        request: the placement as asked.
        verdict: what came of all of them.
        requantised: returns a model under another file type.
        quality: returns what a file type costs in quality, in words.
        known: what came of each model so far, by itself, its use and the machine it is placed on.
    """

    residents: tuple[Resident, ...]
    machine: Machine
    request: PlacementRequest
    verdict: Verdict
    requantised: Callable[[ModelSpec, str], ModelSpec]
    quality: Callable[[str], str]
    known: dict[tuple[int, Workload, Machine], _Placed] = field(default_factory=dict)

    def remedies(self) -> tuple[Remedy, ...]:
        """Return the first change of each kind that betters the verdict of all."""
        kinds = (self._fewer_tokens, self._smaller_type, self._one_less)
        firsts = (next(kind(), None) for kind in kinds)
        return tuple(remedy for remedy in firsts if remedy is not None)

    def _tried(self, residents: Sequence[Resident]) -> _Together | None:
        """Return what comes of all; None once one of them does not run, or no better than before.

        The verdict on all is the worst: those after that one cannot better it.
        """
        left, verdicts, total = self.machine, [], 0
        for resident in residents:
            placed = self._placed(resident, left)
            verdict = placed.trial.judgement.verdict
            if not self._is_better(verdict):
                return None
            verdicts.append(verdict)
            total += placed.trial.memory.total_bytes
            left = placed.left
        return _Together(worst_of(verdicts), total)

    def _placed(self, resident: Resident, machine: Machine) -> _Placed:
        """Return what comes of one model; those before a change are not placed anew."""
        key = (id(resident.spec), resident.workload, machine)
        known = self.known.get(key)
        if known is None:  # it holds its model, so that no other one gets this identity
            trial = Trials(resident.spec, machine, resident.workload, self.request).best()
            left = without(machine, trial.memory, trial.judgement.verdict)
            known = self.known[key] = _Placed(resident, trial, left)
        return known

    def _is_better(self, verdict: Verdict) -> bool:
        better = _WORST_LAST.index(verdict) < _WORST_LAST.index(self.verdict)
        return better and verdict in ("fits", "slow")

    def _fewer_tokens(self) -> Iterator[Remedy]:
        """Yield half the longest context, a quarter, …: for every model that has more than that."""
        contexts = [_context_tokens(resident) for resident in self.residents]
        for most in shorter_contexts(max(contexts)):
            changed = [
                Resident(spec, replace(workload, context_tokens=min(context, most)))
                for (spec, workload), context in zip(self.residents, contexts, strict=True)
            ]
            found = self._tried(changed)
            if found is not None:
                yield Remedy(
                    key="context",
                    text=f"use at most {format_tokens(most)} tokens of context",
                    change={"context_tokens": [r.workload.context_tokens for r in changed]},
                    needs_bytes=found.total_bytes,
                    verdict=found.verdict,
                    cost=f"{format_tokens(max(contexts) - most)} tokens less to remember",
                )

    def _smaller_type(self) -> Iterator[Remedy]:
        """Yield smaller file types of the largest model, best quality first."""
        sizes = [resident.spec.tensor_bytes for resident in self.residents]
        index = sizes.index(max(sizes))
        spec, workload = self.residents[index]
        for name in LADDER if spec.tensors else ():
            smaller = self.requantised(spec, name)
            if smaller.tensor_bytes >= spec.tensor_bytes:
                continue
            changed = [*self.residents]
            changed[index] = Resident(smaller, workload)
            found = self._tried(changed)
            if found is not None:
                yield Remedy(
                    key="file_type",
                    text=f"use {spec.name} in {name}: {format_bytes(smaller.tensor_bytes)} of "
                    f"weights instead of {format_bytes(spec.tensor_bytes)}",
                    change={"model": spec.name, "file_type": name},
                    needs_bytes=found.total_bytes,
                    verdict=found.verdict,
                    cost=self.quality(name),
                )

    def _one_less(self) -> Iterator[Remedy]:
        """Yield the rest without one model, the last one left out first."""
        if len(self.residents) == 1:
            return
        for index in reversed(range(len(self.residents))):
            rest = (*self.residents[:index], *self.residents[index + 1 :])
            found = self._tried(rest)
            if found is not None:
                name = self.residents[index].spec.name
                yield Remedy(
                    key="drop",
                    text=f"leave out {name}",
                    change={"drop": index},
                    needs_bytes=found.total_bytes,
                    verdict=found.verdict,
                    cost=f"{name} has to be loaded when it is wanted",
                )


def _context_tokens(resident: Resident) -> int:
    """Return the context of a model as asked for, or its default."""
    return resident.workload.context_tokens or default_context_tokens(resident.spec)
