"""llama-server and Ollama under many users: slots with a cache each, and a queue before them.

As many slots as there are users, or as run without a worse verdict than one has. Every step takes
a token of each slot that writes and fills the logical batch with prompts.
Source: llama.cpp (0c1e57098) tools/server/server-context.cpp, update_slots; ollama/ollama
envconfig/config.go (OLLAMA_NUM_PARALLEL, OLLAMA_MAX_QUEUE).
"""

from __future__ import annotations

from whatfits.sizing.extras import NO_EXTRAS
from whatfits.sizing.graph.index import Replays
from whatfits.sizing.llama_answer import llama_plan
from whatfits.sizing.search.closing_in import last_that_holds
from whatfits.sizing.search.trials import Trials
from whatfits.sizing.serving.batching import BatchModel
from whatfits.sizing.serving.deployment import Deployment
from whatfits.sizing.serving.server import Server
from whatfits.sizing.settings import MAX_CONTEXT_TOKENS, default_context_tokens
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace
from whatfits.sizing.verdict import VERDICT_ORDER

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.estimate import Plan, Remedy
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.runtimes import RuntimeEntry
    from whatfits.sizing.search.trial import Trial
    from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = ["LlamaDeployments"]

_MOST_SLOTS: Final = 256  # llama.cpp: LLAMA_MAX_SEQ
_OLLAMA_QUEUE: Final = 512  # OLLAMA_MAX_QUEUE
_OLLAMA: Final = "ollama"


class LlamaDeployments:
    """Servers of a model with more or fewer slots."""

    def __init__(
        self,
        entry: RuntimeEntry,
        spec: ModelSpec,
        machine: Machine,
        workload: Workload,
        request: PlacementRequest,
        *,
        force: bool = False,
    ) -> None:
        """`workload.context_tokens` is that of one user, whatever the program's own flag says."""
        self._entry, self._spec, self._machine = entry, spec, machine
        self._workload, self._request, self._force = workload, request, force
        self._context = workload.context_tokens or default_context_tokens(spec)
        self._orders: dict[int, int] = {}
        self._replays = Replays()

    def with_slots_for(self, users: int) -> Deployment:
        """Return the server for so many users.

        Raises:
            InvalidRequestError: a value is out of range, or the program has no such setting.
        """
        slots = self._workload.parallel or self._most_slots(users)
        plan, trial = self._planned(slots, brief=False)
        own = plan.workload.parallel or 1  # some models are served one at a time
        settings = trial.settings
        queue = _OLLAMA_QUEUE if self._entry.id == _OLLAMA else None
        server = Server(slots=own, step_tokens=max(own, settings.batch_tokens), queue=queue)
        return Deployment(
            plan=plan,
            servers=(server, server, server),
            model=BatchModel(self._spec, settings, trial.placement, self._machine),
            context_tokens=settings.sequence_tokens,
            caches_prefixes=True,
            notes=() if slots >= users else (self._fewer(slots, users),),
        )

    def _most_slots(self, users: int) -> int:
        """Return the most slots, up to one a user, that run no worse than one does."""
        most = min(users, _MOST_SLOTS, MAX_CONTEXT_TOKENS // self._context)
        if self._lies_where_asked(1):
            # without a look at what else could be moved, which takes much longer
            most = last_that_holds(1, most, self._lies_where_asked)
        worst = self._order(1)
        return last_that_holds(1, most, lambda slots: self._order(slots) <= worst)

    def _lies_where_asked(self, slots: int) -> bool:
        """Return whether it runs with everything in the fastest memory, or as was asked."""
        asked = self._entry.adapter().asked(
            self._spec, self._machine, self._with(slots), self._request
        )
        trials = Trials(
            self._spec,
            self._machine,
            asked.workload,
            asked.request,
            splits_move=asked.splits_move,
        )
        return trials.entirely().runs

    def _with(self, slots: int) -> Workload:
        times = 1 if self._entry.counts_slots else slots
        return replace(self._workload, context_tokens=self._context * times, parallel=slots)

    def _fewer(self, slots: int, users: int) -> str:
        """Return why there are fewer slots than users, and what that means."""
        why = "The server has" if self._workload.parallel else "Memory has room for"
        room = "1 slot" if slots == 1 else f"{slots:,} slots"
        return f"{why} {room}: of {users:,} users the others wait in a queue."

    def _order(self, slots: int) -> int:
        """Return the place of the verdict: nothing else of an answer is needed to compare."""
        if slots not in self._orders:
            plan, _ = self._planned(slots, brief=True)
            self._orders[slots] = VERDICT_ORDER[plan.verdict]
        return self._orders[slots]

    def _planned(self, slots: int, *, brief: bool) -> tuple[Plan, Trial]:
        chosen: list[Trial] = []

        def keep(trial: Trial) -> Trial:
            chosen.append(trial)
            return trial

        plan = llama_plan(
            self._spec,
            entry=self._entry,
            machine=self._machine,
            workload=self._with(slots),
            request=self._request,
            extras=NO_EXTRAS,
            remedies=_no_remedies,
            force=self._force,
            refined=keep,
            replays=self._replays,
            brief=brief,
        )
        return plan, chosen[0]


def _no_remedies(*_: object) -> tuple[Remedy, ...]:
    """Return none: fewer slots are tried instead."""
    return ()
