"""The best placement that fits, and the longest context that does.

The order of preference is fixed and stated: everything on the accelerators, as llama.cpp's own
split shares it out; else everything there under another split; else, for mixtures of experts, the
experts of as few layers as possible on the host; else as many whole layers as possible on the
accelerators, under another split where that holds more; else the host alone.
"""

from __future__ import annotations

from functools import partial

from whatfits.sizing.beside import Beside
from whatfits.sizing.extras import NO_EXTRAS
from whatfits.sizing.flash_attention import all_can_fuse, layers_can_fuse
from whatfits.sizing.placement import resolve_placement, usable_accelerators
from whatfits.sizing.runtimes.llama_cpp import Bill
from whatfits.sizing.search.closing_in import last_proven, last_with_room
from whatfits.sizing.search.rooms import least_room
from whatfits.sizing.search.trial import Trial
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.speculation import draft_type
from whatfits.sizing.speed import estimate_speed
from whatfits.sizing.trained import longest_of_use
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace
from whatfits.sizing.verdict import is_more_than_all, judge

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.estimate import Speed
    from whatfits.sizing.extras import Extras
    from whatfits.sizing.graph.index import Replays
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.search.spilled_context import SpilledContext
    from whatfits.sizing.search.split_search import SplitSearch
    from whatfits.sizing.settings import Settings
    from whatfits.sizing.weights import Weights
    from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = ["Trials"]

_CONTEXT_STEP: Final = 256
_SURELY_LOADED: Final = 0.98  # accelerators may pack their part otherwise


class Trials:
    """Tries placements of one model on one machine for one request."""

    def __init__(
        self,
        model: ModelSpec,
        machine: Machine,
        workload: Workload,
        request: PlacementRequest,
        extras: Extras = NO_EXTRAS,
        *,
        replays: Replays | None = None,
        experts_move: bool = True,
        splits_move: bool = True,
        may_leave_out: bool = True,
    ) -> None:
        """Keep the parts of the bill that every trial shares.

        `replays` are those of the model under any file type; `experts_move` lets experts go to the
        host without the rest of their layers, `splits_move` layers to another accelerator than the
        one llama.cpp's own split chooses; `may_leave_out` leaves out one that is full already,
        where splits move, and all but one slice of a card that is cut up.
        """
        self._splits_move = splits_move
        self._experts_move = experts_move and any(layer.n_expert for layer in model.layers)
        self._model = model
        self._machine = machine
        self._workload = workload
        self._asked = request
        usable = usable_accelerators(machine)
        if may_leave_out and len(usable) > 1:
            from whatfits.sizing.crowded import (  # noqa: PLC0415 - several cards
                beside_crowded,
                of_one_slice,
            )

            request = of_one_slice(request, machine)
            request = beside_crowded(request, machine) if splits_move else request
        self._request = request
        self._bill = Bill(model, Beside(model, workload, request, extras), replays=replays)
        self._extras = extras
        self._tried: dict[tuple[PlacementRequest, Settings], Trial] = {}
        self._flash = all_can_fuse(model, usable, kv_types=(workload.kv_type_k, workload.kv_type_v))

    def best(self, context_tokens: int | None = None) -> Trial:
        """Return the first placement, by the order of preference, that fits.

        When none does, the one that promises most: a tight one, else the one least short.

        Raises:
            InvalidRequestError: a value of the request is out of range.
        """
        first = self.entirely(context_tokens)
        if first.runs or self._is_fixed() or self.draft_is_too_large():
            return first
        from whatfits.sizing.search.spilling import Spilling, can_spill  # noqa: PLC0415 - where it spills

        if not can_spill(first.placement):
            return first
        spilling = Spilling(
            self._model,
            self._machine,
            self._bill,
            self._request,
            first=first,
            attempt=partial(self._attempt, settings=first.settings),
            tried=partial(self._tried_with, first.settings),
            splits=lambda: self._splits_like(first) if self._split_is_open(first) else None,
        )
        found = [first, *spilling.placements(experts_move=self._experts_move)]
        for trial in found:
            if trial.runs:
                return trial
        return _most_promising(found)

    def entirely(self, context_tokens: int | None = None) -> Trial:
        """Return the request as it is, under another split where only that makes it run.

        When it says nothing that is everything on the accelerators.
        """
        first = self.first(context_tokens)
        if first.runs or not self._split_is_open(first):
            return first
        other = self._splits_like(first).holding(self._request)
        return first if other is None or not other.runs else other

    def first(self, context_tokens: int | None = None) -> Trial:
        """Return the request as it is, under llama.cpp's own split over accelerators."""
        return self._attempt(self._request, self._settings(context_tokens))

    def tried(self, request: PlacementRequest, context_tokens: int | None = None) -> Trial:
        """Return what comes of one placement, whatever was asked for."""
        return self._attempt(request, self._settings(context_tokens))

    def own_split_instead_of(self, trial: Trial) -> Trial | None:
        """Return a trial with as much on the accelerators, shared out as llama.cpp itself would.

        None where it is so already, or was asked to be shared out otherwise.
        """
        asked = self._request.tensor_split
        if trial.request.tensor_split == asked:
            return None
        return self._attempt(replace(trial.request, tensor_split=asked), trial.settings)

    def _split_is_open(self, trial: Trial) -> bool:
        if not self._splits_move or len(trial.placement.accelerators) < 2:  # noqa: PLR2004 - no split
            return False
        from whatfits.sizing.search.split_search import leaves_split_open  # noqa: PLC0415 - several cards

        return leaves_split_open(self._asked, trial.placement, self._machine)

    def _splits_like(self, trial: Trial) -> SplitSearch:
        from whatfits.sizing.search.split_search import SplitSearch  # noqa: PLC0415 - several cards

        attempt = partial(self._attempt, settings=trial.settings)
        return SplitSearch(self._model, self._machine, self._bill, attempt, like=trial)

    def _settings(self, context_tokens: int | None) -> Settings:
        workload = self._workload
        if context_tokens is not None:
            workload = replace(workload, context_tokens=context_tokens)
        return resolve_settings(self._model, workload, flash_supported=self._flash)

    def _attempt(self, request: PlacementRequest, settings: Settings) -> Trial:
        known = self._tried.get((request, settings))
        if known is None:
            known = self._tried[request, settings] = self._new_trial(request, settings)
        return known

    def _tried_with(self, settings: Settings) -> list[Trial]:
        return [trial for (_, asked), trial in self._tried.items() if asked == settings]

    def _placed(self, request: PlacementRequest, settings: Settings) -> tuple[Placement, Settings]:
        """Return a placement, and the settings as the devices that have layers allow them."""
        placement = resolve_placement(self._model, request, self._machine)
        if not self._flash:
            settings = resolve_settings(
                self._model,
                replace(self._workload, context_tokens=settings.requested_context_tokens),
                flash_supported=layers_can_fuse(
                    self._model,
                    placement,
                    kv_types=(self._workload.kv_type_k, self._workload.kv_type_v),
                ),
            )
        return placement, settings

    def _new_trial(self, request: PlacementRequest, settings: Settings) -> Trial:
        placement, settings = self._placed(request, settings)
        memory = self._bill.memory(
            settings, placement, self._machine, is_server=self._workload.program == "server"
        )
        by_name = self._bill.host_by_name(placement)
        judgement = judge(memory, placement, self._machine, by_name=by_name)
        growth = self._bill.growth(settings, is_server=self._workload.program == "server")
        return Trial(request, settings, placement, memory, judgement, growth, self._extras)

    def weights(self, trial: Trial) -> Weights:
        """Return where the weights of a trial lie."""
        return self._bill.weights(trial.placement)

    def speed(self, trial: Trial) -> Speed:
        """Return how fast a trial would be."""
        return self._speed(trial.placement, trial.settings, trial.request)

    def first_speed(self) -> Speed:
        """Return how fast the request as it is would be: its bill is not made for that."""
        return self._speed(*self._placed(self._request, self._settings(None)), self._request)

    def entire_speed(self) -> Speed:
        """Return how fast it would be with every layer on the accelerators, held or not."""
        request = replace(
            self._request, gpu_layers=None, cpu_moe_layers=None, overrides=(), kv_offload=None
        )
        return self._speed(*self._placed(request, self._settings(None)), request)

    def _speed(self, placement: Placement, settings: Settings, request: PlacementRequest) -> Speed:
        speed = estimate_speed(
            self._model,
            settings,
            placement,
            prompt_tokens=self._workload.prompt_tokens,
            machine=self._machine,
        )
        draft = self._extras.draft
        if draft is None or draft_type(self._workload) != "draft-simple":
            return speed
        from whatfits.sizing.speed.drafts import with_drafts  # noqa: PLC0415 - rarely needed

        return with_drafts(
            speed,
            self._model,
            draft,
            settings=settings,
            placement=placement,
            machine=self._machine,
            workload=self._workload,
            request=request,
        )

    @property
    def _draft_bytes(self) -> int:
        """Weights of a model that drafts; 0 without one."""
        draft = self._extras.draft
        drafts = draft is not None and draft_type(self._workload) == "draft-simple"
        return draft.tensor_bytes if drafts and draft is not None else 0

    def draft_is_too_large(self) -> bool:
        """Return whether the draft model alone is more than all memory, wherever layers go."""
        return is_more_than_all(round(self._draft_bytes * _SURELY_LOADED), self._machine)

    def is_too_large(self) -> bool:
        """Return whether the weights alone are more than all memory: the verdict is surely no.

        To find the least bad of so many placements takes long, and no context makes it better.
        """
        if self.draft_is_too_large():
            return True
        if self._model.weights is not None:  # known by their interval alone
            return False
        request = replace(self._request, devices=(), tensor_split=None, overrides=())
        placement = resolve_placement(self._model, request, self._machine)
        on_host = self._bill.weights(placement).host.total_bytes
        both = on_host + self._draft_bytes
        return is_more_than_all(round(both * _SURELY_LOADED), self._machine)

    def largest_context(self, trial: Trial) -> int | None:
        """Return the longest context that runs, at most what the model was trained for.

        When the request fits, spilling does not count: the answer is what fits entirely.
        None when not even the shortest context runs.
        """
        if not trial.runs and self.is_too_large():
            return None
        sequences = trial.settings.streams
        trained = longest_of_use(self._model)
        step = _CONTEXT_STEP * sequences
        most = -(-trained * sequences // step)
        units = self._most_units(trial, step=step, most=most)
        if units is None:
            return None
        return min(units * step, trained * sequences) if trained >= _CONTEXT_STEP else trained

    def _most_units(self, trial: Trial, *, step: int, most: int) -> int | None:
        """Return the most steps of context that run; None when not even one does."""
        whole = trial.judgement.verdict == "fits"
        if not whole and not self._is_fixed():
            from whatfits.sizing.search.spilling import can_spill  # noqa: PLC0415 - where it spills

            if can_spill(self.first().placement):
                return self.spilled_context().most_units(trial, step=step, most=most)

        def slack(units: int) -> int:
            # what fits entirely is placed as this trial is: nothing else needs to be tried
            found = self._same_way(trial, units * step) if whole else self.best(units * step)
            runs = found.judgement.verdict == "fits" if whole else found.runs
            room = self._fixed_room(found, whole=whole)
            return room if runs else min(room, -1)

        if slack(most) >= 0:
            return most
        units = last_with_room(1, most, slack)
        if not whole or units is None or not self._split_is_open(trial):
            return units
        return self._most_units_of_any_split(trial, units, step=step, most=most)

    def spilled_context(self) -> SpilledContext:
        """Return what tells the longest context where parts of the model lie on the host."""
        from whatfits.sizing.search.spilled_context import SpilledContext  # noqa: PLC0415 - where it spills

        return SpilledContext(
            self._model,
            self._machine,
            self._bill,
            self._request,
            best=self.best,
            attempt=self.tried,
            settings=self._settings,
            tried=self._tried.values,
            n_layers=len(self.first().placement.layer_device),
            experts_move=self._experts_move,
        )

    def _most_units_of_any_split(self, trial: Trial, held: int, *, step: int, most: int) -> int:
        """Return the most steps of context that fit entirely; `held` fit as `trial` is split."""
        seen = [trial]

        def rough(units: int) -> int:
            settings = self._settings(units * step)
            return self._splits_like(seen[-1]).left_bytes(self._request, settings)

        def fits(units: int) -> bool:
            seen.append(self.entirely(units * step))
            return seen[-1].judgement.verdict == "fits"

        return last_proven(held + 1, most, rough=rough, holds=fits) or held

    def _fixed_room(self, trial: Trial, *, whole: bool) -> int:
        """Return the room in the fullest pool, where nothing is placed otherwise than `trial`.

        Of unknown size, the host's pool is left out where the verdict leaves it out.
        """
        host_too = not (whole and self._host_is_unknown(trial))
        return least_room(trial, self._machine, host_too=host_too)

    def _same_way(self, trial: Trial, context_tokens: int) -> Trial:
        return self._attempt(trial.request, self._settings(context_tokens))

    def _host_is_unknown(self, trial: Trial) -> bool:
        return self._machine.pool(trial.placement.host.pool).total_bytes is None

    def _is_fixed(self) -> bool:
        request = self._request
        return (
            request.gpu_layers is not None
            or request.cpu_moe_layers is not None
            or bool(request.overrides)
        )


def _most_promising(trials: list[Trial]) -> Trial:
    """Return a tight trial if there is one, else the trial that is least short.

    What cannot be judged is no answer to what does not fit: it comes last, the request first.
    """
    for trial in trials:
        if trial.judgement.verdict == "tight":
            return trial
    known = [trial for trial in trials if trial.judgement.verdict != "unknown"]
    return min(known, key=lambda trial: trial.judgement.shortfall_bytes, default=trials[0])
