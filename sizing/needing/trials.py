"""Whether a machine runs a model entirely in its fastest memory, by the rules of a runtime."""

from __future__ import annotations

from functools import cached_property

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.graph.index import Replays
from whatfits.sizing.kv_cache import least_cache_bytes
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.search.trials import Trials
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.workload import PlacementRequest

if TYPE_CHECKING:
    from whatfits.sizing.estimate import RateRange
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.runtimes import OwnRuntime
    from whatfits.sizing.workload import Workload

__all__ = ["LlamaMachines", "MachineTrials", "OwnMachines", "Tried"]


class Tried(NamedTuple):
    """What a model takes of a machine that runs it.

    Attributes:
        high_bytes: upper end of the need on all of it.
        rate: speed of writing; None when unknown.
    """

    high_bytes: int
    rate: RateRange | None


class LlamaMachines:
    """Tries machines by llama.cpp's rules."""

    def __init__(self, model: ModelSpec, workload: Workload) -> None:
        """Tries one model under one workload."""
        self._model = model
        self._workload = workload
        self._replays = Replays()

    @cached_property
    def least_cache_bytes(self) -> int:
        """The least that caches take wherever they lie."""
        return least_cache_bytes(self._model, resolve_settings(self._model, self._workload))

    def on(self, machine: Machine) -> Tried | None:
        """Return what it takes; None where it does not fit entirely.

        Raises:
            InvalidRequestError: the request cannot run anywhere.
        """
        trials = Trials(
            self._model, machine, self._workload, PlacementRequest(), replays=self._replays
        )
        trial = trials.entirely()
        if trial.judgement.verdict != "fits":
            return None
        return Tried(trial.memory.high_bytes, trials.speed(trial).decode_tokens_per_s)

    def require_a_machine(self) -> None:
        """Do nothing: llama.cpp runs on every kind of machine."""


class OwnMachines:
    """Tries machines by the rules of a runtime that allocates in its own way.

    Such a program runs on some kinds of machines only, and refuses the others.

    Attributes:
        least_cache_bytes: unknown: what a cache takes is for the program to say.
    """

    least_cache_bytes = 0

    def __init__(self, runtime: OwnRuntime, model: ModelSpec, workload: Workload) -> None:
        """Tries one model, as that runtime loads it, under one workload."""
        self._runtime = runtime
        self._model = model
        self._workload = workload
        self._refusal: InvalidRequestError | None = None
        self._took_one = False

    def on(self, machine: Machine) -> Tried | None:
        """Return what it takes; None where it does not fit, or the program does not run there."""
        try:
            found = self._runtime.tried(self._model, machine, self._workload)
        except InvalidRequestError as error:
            self._refusal = error
            return None
        self._took_one = True
        if found is None:
            return None
        high_bytes, speed = found
        return Tried(high_bytes, None if speed is None else speed.decode_tokens_per_s)

    def require_a_machine(self) -> None:
        """Refuse a request that every machine refused: then it is not the machines' fault.

        Raises:
            InvalidRequestError: the last refusal.
        """
        if self._refusal is not None and not self._took_one:
            raise self._refusal


MachineTrials = LlamaMachines | OwnMachines
