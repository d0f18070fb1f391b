"""Works out the rows of a ranking: the file type by its rule, the bill, the verdict, the speed.

What is stored of a model (`whatfits.sizing.catalog.shares`) saves its tensor table wherever
everything lies on one accelerator, or on the CPU; the engine is asked for all else. Both ways give
the same rows.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Final

from whatfits.sizing.errors import (
    InvalidRequestError,
    MalformedFileError,
    UnsupportedArchitectureError,
)
from whatfits.sizing.graph.index import Replays
from whatfits.sizing.placement import usable_accelerators
from whatfits.sizing.quants.ggml_types import GGML_TYPES
from whatfits.sizing.ranking import RankedModel, headroom_bytes
from whatfits.sizing.search import Trials, can_spill
from whatfits.sizing.stored_trials import SPILLS, StoredTrials
from whatfits.sizing.verdict import MAY_RUN, VERDICT_ORDER
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeAlias

    from whatfits.sizing.catalog.lookup import ModelEntry
    from whatfits.sizing.estimate import Verdict
    from whatfits.sizing.machine import Machine, Pool
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.search import Trial
    from whatfits.sizing.stored_trials import Outline, StoredOf

    Loader: TypeAlias = Callable[[ModelEntry, str | None], ModelSpec]

__all__ = ["Ranker", "rank", "rows_of"]

# each with the leanest of the types that it mixes; what cannot be stored so takes a wider one
_LADDER: Final = {"Q8_0": "Q8_0", "Q6_K": "Q6_K", "Q5_K_M": "Q5_K"}
_BEST: Final = "Q8_0"
_LEAST: Final = "Q4_K_M"
# the leanest types of the ladder's last and first mixes: bounds, not estimates
_LOWEST_BITS: Final = 4.25
_BEST_BITS: Final = 8.5


class Ranker:
    """Makes rows; keeps what is the same for every model of one ranking."""

    def __init__(
        self,
        machine: Machine,
        load: Loader,
        *,
        workload: Workload | None = None,
        file_type: str | None = None,
        stored: StoredOf | None = None,
        larger_too: bool = False,
    ) -> None:
        """`load` turns an entry and a file type into a model; `stored` is what is known of it.

        `larger_too`: models that are larger than all memory have rows as well.
        """
        self._larger_too = larger_too
        self.machine = machine
        self.workload = workload or Workload()
        self.load = load
        self.file_type = file_type
        self._stored = StoredTrials(machine, self.workload, file_type, stored)
        self._without_speed: set[str] = set()
        self.spilling_is_slow = _spilling_is_slow(machine)
        self.free_bytes = _free_bytes(machine.pools)
        fast = {device.pool for device in usable_accelerators(machine)}
        fast_pools = [pool for pool in machine.pools if pool.id in fast]
        self.free_fast_bytes = _free_bytes(fast_pools or machine.pools)

    def row_if_any(self, entry: ModelEntry) -> RankedModel | None:
        """Return the row of one model; None when nothing honest can be said of it here.

        Raises:
            InvalidRequestError: it cannot run under the workload.
        """
        row = self.outline_if_any(entry)
        return None if row is None else self.with_speed(row, entry)

    def outline_if_any(self, entry: ModelEntry) -> RankedModel | None:
        """As `row_if_any`, but the speed may be left out: see `with_speed`."""
        if self._is_larger_than_all(entry):
            return None
        return self._row_of(entry, entirely=False)

    def is_known_to_spill(self, entry: ModelEntry) -> bool:
        """Return whether a model surely has a row here, and that row surely is not `fits`.

        How it spills is what takes time; where enough models fit, nobody need ask.
        """
        spills = self._stored.chosen(entry, entirely=False) is SPILLS
        return spills and not self._is_larger_than_all(entry)

    def _is_larger_than_all(self, entry: ModelEntry) -> bool:
        if self._larger_too:
            return False
        capacity = sum(pool.total_bytes or 0 for pool in self.machine.pools)
        return self._is_larger(entry, capacity)

    def with_speed(self, row: RankedModel, entry: ModelEntry) -> RankedModel:
        """Return a row with its speed."""
        if row.model not in self._without_speed or row.verdict not in MAY_RUN:
            return row
        rate = self._stored.decode_rate(entry.id, row.file_type)
        if isinstance(rate, str):
            _, trials = self._tried(entry, row.file_type, Replays())
            rate = trials.first_speed().decode_tokens_per_s
        return replace(row, decode_tokens_per_s=rate)

    def row_if_entirely(self, entry: ModelEntry) -> RankedModel | None:
        """Return the row of one model if it lies entirely in the fastest memory, else None.

        Raises:
            InvalidRequestError: it cannot run under the workload.
        """
        if self.spilling_is_slow and self._is_larger(entry, self.free_fast_bytes):
            return None
        row = self._row_of(entry, entirely=True)
        return self.with_speed(row, entry) if row is not None and row.verdict == "fits" else None

    def _is_larger(
        self, entry: ModelEntry, room_bytes: int | None, bits: float = _LOWEST_BITS
    ) -> bool:
        """Return whether weights of so many bits exceed some memory.

        Not counted is what may lie elsewhere: parts that are not text, and the token embedding.
        """
        if entry.params_total is None or self.file_type is not None or room_bytes is None:
            return False
        elsewhere = (entry.params_vision_audio or 0) + (entry.params_embedding or 0)
        return (entry.params_total - elsewhere) * bits / 8 > room_bytes

    def _row_of(self, entry: ModelEntry, *, entirely: bool) -> RankedModel | None:
        outline = self._stored.chosen(entry, entirely=entirely)
        if not isinstance(outline, str):
            return None if outline is None else self._outline(entry, outline)
        try:
            chosen = self._chosen(entry, entirely=entirely)
        except (UnsupportedArchitectureError, MalformedFileError):
            return None  # its shape has holes: nothing honest can be said
        return None if chosen is None else self._row(entry, *chosen)

    def _outline(self, entry: ModelEntry, outline: Outline) -> RankedModel:
        """Return a row without its speed."""
        self._without_speed.add(entry.id)
        return RankedModel(
            model=entry.id,
            family=entry.family,
            kind=entry.kind,
            parameters=outline.model.parameters,
            active_parameters=outline.model.active_parameters,
            released=entry.released,
            file_type=outline.file_type,
            verdict=outline.verdict,
            context_tokens=outline.context_tokens,
            weights_bytes=outline.memory.weights_bytes,
            total_bytes=outline.memory.total_bytes,
            high_bytes=outline.memory.high_bytes,
            headroom_bytes=headroom_bytes(outline.memory, self.machine),
            largest_context_tokens=None,
            decode_tokens_per_s=None,
            approximate=False,
        )

    def _row(self, entry: ModelEntry, spec: ModelSpec, trials: Trials, trial: Trial) -> RankedModel:
        rate = None
        if trial.judgement.verdict in MAY_RUN:
            rate = trials.speed(trial).decode_tokens_per_s
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
            headroom_bytes=headroom_bytes(trial.memory, self.machine),
            largest_context_tokens=None,
            decode_tokens_per_s=rate,
            approximate=spec.weights is not None,
        )

    def _chosen(
        self, entry: ModelEntry, *, entirely: bool
    ) -> tuple[ModelSpec, Trials, Trial] | None:
        """Return a model under its file type, and its best trial.

        With `entirely`, None as soon as it is clear that it would have to spill.

        The best type of the ladder whose verdict is no worse than that of the least. Larger types
        run nowhere where the least does not: how that one spills is only looked at when no other
        runs, and nothing spills where the least fits entirely.
        """
        replays = Replays()
        has_ladder = self.file_type is None and entry.native_quantisation is None
        best_is_out = self._is_larger(entry, self.free_fast_bytes, _BEST_BITS)
        if has_ladder and self.spilling_is_slow and not best_is_out:
            spec, trials = self._tried(entry, _BEST, replays)
            if (trial := trials.first()).judgement.verdict == "fits":
                return spec, trials, trial  # and so does the least
        spec, trials = self._tried(entry, self.file_type, replays)
        trial = trials.first() if self.spilling_is_slow else trials.best()
        if entirely and not trial.runs:
            return None
        if self.file_type is not None or spec.file_type != _LEAST:
            return spec, trials, trials.best()
        if not trial.runs and not (self.spilling_is_slow and can_spill(trial.placement)):
            return spec, trials, trial
        worst: Verdict = trial.judgement.verdict if trial.runs else "slow"
        nothing_spills = self.spilling_is_slow and trial.runs
        for name in _LADDER:
            if self._is_larger_than_memory(spec, name, entirely=nothing_spills):
                continue
            candidate, others = self._tried(entry, name, replays)
            better = others.first() if nothing_spills else others.best()
            if VERDICT_ORDER[better.judgement.verdict] <= VERDICT_ORDER[worst]:
                return candidate, others, better
        return spec, trials, trials.best()

    def _tried(
        self, entry: ModelEntry, file_type: str | None, replays: Replays
    ) -> tuple[ModelSpec, Trials]:
        spec = self.load(entry, file_type)
        request = PlacementRequest()
        return spec, Trials(spec, self.machine, self.workload, request, replays=replays)

    def _is_larger_than_memory(self, spec: ModelSpec, file_type: str, *, entirely: bool) -> bool:
        """Return whether the weights alone exceed what is free: under that type it cannot run.

        `entirely` asks for what lies on accelerators. No tensor is smaller than the type's own.
        """
        roles = ("layer", "output") if entirely else ("layer", "output", "input")
        free_bytes = self.free_fast_bytes if entirely else self.free_bytes
        elements = sum(prod(tensor.shape) for tensor in spec.tensors if tensor.role in roles)
        kind = GGML_TYPES[_LADDER[file_type]]
        weights_bytes = elements * kind.block_bytes // kind.block_elements
        return free_bytes is not None and weights_bytes > free_bytes


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


def rank(
    entries: Iterable[ModelEntry],
    machine: Machine,
    *,
    load: Loader,
    workload: Workload | None = None,
    file_type: str | None = None,
    stored: StoredOf | None = None,
) -> list[RankedModel]:
    """Return a row for each model whose shape is known, in the order of `entries`.

    Models that are larger than all memory even at the leanest file type are left out: they cannot
    fit; so are those that cannot run under the workload. `load` turns an entry and a file type into
    a model; `stored` returns what is stored of one.

    Raises:
        InvalidRequestError: no model can run under the workload.
    """
    ranker = Ranker(machine, load, workload=workload, file_type=file_type, stored=stored)
    return rows_of(entries, ranker.row_if_any)


def rows_of(
    entries: Iterable[ModelEntry], row_of: Callable[[ModelEntry], RankedModel | None]
) -> list[RankedModel]:
    """Return the rows of models, those left out that cannot run under the workload.

    Raises:
        InvalidRequestError: no model can run under the workload.
    """
    rows = []
    refused: InvalidRequestError | None = None
    for entry in entries:
        try:
            row = row_of(entry)
        except InvalidRequestError as error:
            refused = error  # of this model, or of all
            continue
        if row is not None:
            rows.append(row)
    if refused is not None and not rows:
        raise refused
    return rows
