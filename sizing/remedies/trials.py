"""A request that does not fit, and how a change of it is tried by the same engine."""

from __future__ import annotations

from whatfits.sizing.search.rooms import room_of_all, room_on_accelerators
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass
from whatfits.sizing.verdict import VERDICT_ORDER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.remedies.larger_cards import LargerCard
    from whatfits.sizing.search.trial import Trial
    from whatfits.sizing.workload import Workload

__all__ = ["RemedySearch"]

_SURELY_LOADED: Final = 0.98  # accelerators may pack their part otherwise


@dataclass(frozen=True, slots=True)
class RemedySearch:
    """Everything needed to try a changed request.

    Attributes:
        model: the model as asked.
        machine: the machine as asked.
        workload: the workload as asked, in the program's own terms, its context filled in.
        trial: what came of it.
        attempt: returns what comes of a changed request, by the program's own rules.
        instead: returns what comes of another model, all else just as it was asked for: what
            nobody named (a context) is by that model's own rule, what its rule cuts is not cut yet.
        requantised: returns the model under another file type; None when that is not possible.
        quality: returns what a file type costs in quality, in words.
        smaller: returns smaller models, nearest first.
        larger: returns cards of more memory, smallest first.
        resplit: returns what comes of layers shared out over accelerators as suits them; None
            where nothing was asked of that.
        on_cpu: returns what comes of the CPU alone, which a limit of the GPU does not bind; None
            where that is nothing new.
        unpinned: returns what comes of saying nothing of which parts lie where; None where nothing
            was said of that.
    """

    model: ModelSpec
    machine: Machine
    workload: Workload
    trial: Trial
    attempt: Callable[[ModelSpec, Machine, Workload], Trial]
    instead: Callable[[ModelSpec], Trial]
    requantised: Callable[[str], ModelSpec] | None
    quality: Callable[[str], str]
    smaller: Callable[[], Iterator[ModelSpec]] | None = None
    larger: Callable[[], Iterator[LargerCard]] | None = None
    resplit: Callable[[], Trial | None] | None = None
    on_cpu: Callable[[], Trial | None] | None = None
    unpinned: Callable[[], Trial | None] | None = None

    def tried(
        self,
        *,
        model: ModelSpec | None = None,
        machine: Machine | None = None,
        workload: Workload | None = None,
    ) -> Trial:
        """Return what comes of the request with these in place of its own."""
        return self.attempt(model or self.model, machine or self.machine, workload or self.workload)

    def may_improve(self, model: ModelSpec, *, cache_bytes: int = 0) -> bool:
        """Return whether a model could do better here, by its weights and caches alone.

        What is slow does better only where accelerators hold all of it; all else where it runs.
        """
        if self.trial.judgement.verdict == "slow":
            room = room_on_accelerators(self.machine)
            weights_bytes = sum(t.n_bytes for t in model.tensors if t.role in ("layer", "output"))
        else:
            room = room_of_all(self.machine)
            weights_bytes = model.tensor_bytes
        return room is None or weights_bytes * _SURELY_LOADED + cache_bytes <= room

    def improves(self, trial: Trial) -> bool:
        """Return whether a trial runs, and better than what was asked for."""
        verdict = trial.judgement.verdict
        return trial.runs and VERDICT_ORDER[verdict] < VERDICT_ORDER[self.trial.judgement.verdict]
