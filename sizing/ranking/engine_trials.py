"""The trials of a catalog model by the engine, and the file type by the rule.

Each trial costs a tensor table and the replay of a graph: what cannot change the answer is left
out.
"""

from __future__ import annotations

from math import prod

from whatfits.sizing.graph.index import Replays
from whatfits.sizing.kv_cache import least_cache_bytes
from whatfits.sizing.placement import usable_accelerators
from whatfits.sizing.quants.default_type import RANKED_TYPES
from whatfits.sizing.quants.ggml_types import GGML_TYPES
from whatfits.sizing.search.rooms import room_of_all
from whatfits.sizing.search.spilling import can_spill
from whatfits.sizing.search.trials import Trials
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.unsized import nothing_is_sized
from whatfits.sizing.verdict import VERDICT_ORDER
from whatfits.sizing.workload import PlacementRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Final, TypeAlias

    from whatfits.sizing.catalog.lookup import ModelEntry
    from whatfits.sizing.estimate import Verdict
    from whatfits.sizing.machine import Machine, Pool
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.search.trial import Trial
    from whatfits.sizing.workload import Workload

    Loader: TypeAlias = Callable[[ModelEntry, str | None], ModelSpec]

__all__ = ["EngineTrials"]

# the leanest of the types that a mix is made of; what cannot be stored so takes a wider one
_LEANEST: Final = {"Q5_K_M": "Q5_K"}
# the leanest types of the last and the first of the ranked mixes: bounds, not estimates
_LOWEST_BITS: Final = 4.25
_BEST_BITS: Final = 8.5


class EngineTrials:
    """Chooses file types by trying them, for one machine and workload."""

    def __init__(
        self, machine: Machine, load: Loader, workload: Workload, file_type: str | None
    ) -> None:
        """`load` turns an entry and a file type into a model."""
        self._machine = machine
        self._load = load
        self._workload = workload
        self._file_type = file_type
        self.spilling_is_slow = _spilling_is_slow(machine)
        self._free_bytes = room_of_all(machine)
        fast = {device.pool for device in usable_accelerators(machine)}
        fast_pools = [pool for pool in machine.pools if pool.id in fast]
        self._free_fast_bytes = _free_bytes(fast_pools or machine.pools)

    def is_larger_than_all(self, entry: ModelEntry) -> bool:
        """Return whether a model exceeds all memory of the machine under every ranked type."""
        if nothing_is_sized(self._machine):
            return False
        return self.is_larger(entry, sum(pool.total_bytes or 0 for pool in self._machine.pools))

    def must_spill(self, entry: ModelEntry) -> bool:
        """Return whether a model surely exceeds the fastest memory, where spilling is slow."""
        return self.spilling_is_slow and self.is_larger(entry, self._free_fast_bytes)

    def is_larger(
        self, entry: ModelEntry, room_bytes: int | None, bits: float = _LOWEST_BITS
    ) -> bool:
        """Return whether weights of so many bits exceed some memory.

        Not counted is what may lie elsewhere: parts that are not text, and the token embedding.
        """
        if entry.params_total is None or self._file_type is not None or room_bytes is None:
            return False
        elsewhere = (entry.params_vision_audio or 0) + (entry.params_embedding or 0)
        return (entry.params_total - elsewhere) * bits / 8 > room_bytes

    def chosen(
        self, entry: ModelEntry, *, entirely: bool
    ) -> tuple[ModelSpec, Trials, Trial] | None:
        """Return a model under its file type, and its best trial.

        With `entirely`, None as soon as it is clear that it would have to spill.

        The best type of the ladder whose verdict is no worse than that of the least. Larger types
        run nowhere where the least does not: how that one spills is only looked at when no other
        runs, and nothing spills where the least fits entirely.
        """
        replays = Replays()
        has_ladder = self._file_type is None and entry.native_quantisation is None
        best_is_out = self.is_larger(entry, self._free_fast_bytes, _BEST_BITS)
        if has_ladder and self.spilling_is_slow and not best_is_out:
            spec, trials = self.tried(entry, RANKED_TYPES[0], replays)
            if (trial := trials.entirely()).judgement.verdict == "fits":
                return spec, trials, trial  # and so does the least
        spec, trials = self.tried(entry, self._file_type, replays)
        trial = trials.entirely() if self.spilling_is_slow else trials.best()
        if entirely and not trial.runs:
            return None
        if self._file_type is not None or spec.file_type != RANKED_TYPES[-1]:
            return spec, trials, trials.best()
        if not trial.runs and not (self.spilling_is_slow and can_spill(trial.placement)):
            return spec, trials, trial
        worst: Verdict = trial.judgement.verdict if trial.runs else "slow"
        nothing_spills = self.spilling_is_slow and trial.runs
        caches = least_cache_bytes(spec, trial.settings)
        for name in RANKED_TYPES[:-1]:
            if self._is_larger_than_memory(spec, name, caches, entirely=nothing_spills):
                continue
            candidate, others = self.tried(entry, name, replays)
            better = others.entirely() if nothing_spills else others.best()
            if VERDICT_ORDER[better.judgement.verdict] <= VERDICT_ORDER[worst]:
                return candidate, others, better
        return spec, trials, trials.best()

    def tried(
        self, entry: ModelEntry, file_type: str | None, replays: Replays
    ) -> tuple[ModelSpec, Trials]:
        """Return a model under a file type, and what tries it here."""
        spec = self._load(entry, file_type)
        request = PlacementRequest()
        return spec, Trials(spec, self._machine, self._workload, request, replays=replays)

    def _is_larger_than_memory(
        self, spec: ModelSpec, file_type: str, cache_bytes: int, *, entirely: bool
    ) -> bool:
        """Return whether weights and caches exceed what is free: under that type it cannot run.

        `entirely` asks for what lies on accelerators. No tensor is smaller than the type's own.
        """
        roles = ("layer", "output") if entirely else ("layer", "output", "input")
        free_bytes = self._free_fast_bytes if entirely else self._free_bytes
        elements = sum(prod(tensor.shape) for tensor in spec.tensors if tensor.role in roles)
        kind = GGML_TYPES[_LEANEST.get(file_type, file_type)]
        weights_bytes = elements * kind.block_bytes // kind.block_elements
        return free_bytes is not None and weights_bytes + cache_bytes > free_bytes


def _spilling_is_slow(machine: Machine) -> bool:
    """Return whether what leaves the accelerators always lies in slower memory.

    Not so only where the host shares the memory of some of them.
    """
    pools = {device.pool for device in usable_accelerators(machine)}
    return len(pools) <= 1 or machine.host is None or machine.host.pool not in pools


def _free_bytes(pools: Iterable[Pool]) -> int | None:
    """Return what pools have free together by the lower end; None when one is not known."""
    free = [pool.free_low_bytes for pool in pools]
    known = [amount for amount in free if amount is not None]
    return sum(known) if len(known) == len(free) else None
