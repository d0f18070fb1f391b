"""The best placement that fits, and the longest context that does.

The order of preference is fixed and stated: everything on the accelerators; else, for mixtures of
experts, the experts of as few layers as possible on the host; else as many whole layers as
possible on the accelerators; else the host alone. Within each kind the search is by bisection,
because the need of an accelerator never grows when work leaves it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from whatfits.sizing.placement import resolve_placement, usable_accelerators
from whatfits.sizing.runtimes.llama_cpp import Bill
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.verdict import Judgement, judge, pool_needs

if TYPE_CHECKING:
    from collections.abc import Callable

    from whatfits.sizing.estimate import Memory
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.settings import Settings
    from whatfits.sizing.weights import Weights
    from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = ["Trial", "Trials"]

_RUNS: Final = frozenset({"fits", "slow"})
_CONTEXT_STEP: Final = 256
_UNTRAINED_LIMIT_TOKENS: Final = 2**20


@dataclass(frozen=True, slots=True)
class Trial:
    """One placement, what it takes, and the verdict on it."""

    request: PlacementRequest
    settings: Settings
    placement: Placement
    memory: Memory
    judgement: Judgement

    @property
    def runs(self) -> bool:
        """Whether the upper end of every pool is free."""
        return self.judgement.verdict in _RUNS


class Trials:
    """Tries placements of one model on one machine for one request."""

    def __init__(
        self, model: ModelSpec, machine: Machine, workload: Workload, request: PlacementRequest
    ) -> None:
        """Keep the parts of the bill that every trial shares."""
        self._model = model
        self._machine = machine
        self._workload = workload
        self._request = request
        self._bill = Bill(model)
        self._flash = all(
            "no_flash_attention" not in device.features for device in usable_accelerators(machine)
        )

    def best(self, context_tokens: int | None = None) -> Trial:
        """Return the first placement, by the order of preference, that fits.

        When none does, the one that promises most: a tight one, else the one least short.

        Raises:
            InvalidRequestError: a value of the request is out of range.
        """
        workload = self._workload
        if context_tokens is not None:
            workload = replace(workload, context_tokens=context_tokens)
        settings = resolve_settings(self._model, workload, flash_supported=self._flash)

        def attempt(request: PlacementRequest) -> Trial:
            placement = resolve_placement(self._model, request, self._machine)
            memory = self._bill.memory(
                settings, placement, self._machine, is_server=workload.program == "server"
            )
            judgement = judge(memory, placement, self._machine)
            return Trial(request, settings, placement, memory, judgement)

        first = attempt(self._request)
        if first.runs or self._is_fixed() or not _can_spill(first.placement):
            return first
        found = [first, *self._spill(first, attempt)]
        for trial in found:
            if trial.runs:
                return trial
        return _most_promising(found)

    def weights(self, trial: Trial) -> Weights:
        """Return where the weights of a trial lie."""
        return self._bill.weights(trial.placement)

    def largest_context(self, trial: Trial) -> int | None:
        """Return the longest context that runs, at most what the model was trained for.

        When the request fits, spilling does not count: the answer is what fits entirely.
        None when not even the shortest context runs.
        """
        sequences = trial.settings.streams
        trained = self._model.hparams.context_train_tokens or _UNTRAINED_LIMIT_TOKENS
        if not self._model.hparams.causal:
            trained = min(trained, _UNTRAINED_LIMIT_TOKENS)
        keep = {"fits"} if trial.judgement.verdict == "fits" else _RUNS

        def holds(units: int) -> bool:
            return self.best(units * step).judgement.verdict in keep

        step = _CONTEXT_STEP * sequences
        most = max(1, -(-trained * sequences // step))
        if holds(most):  # the usual answer first: it spares the search
            units = most
        elif holds(1):
            units = _last_true(1, most - 1, holds)
        else:
            return None
        return min(units * step, trained * sequences) if trained >= _CONTEXT_STEP else trained

    def _is_fixed(self) -> bool:
        request = self._request
        return (
            request.gpu_layers is not None
            or request.cpu_moe_layers is not None
            or bool(request.overrides)
            or request.devices is not None
        )

    def _spill(self, first: Trial, attempt: Callable[[PlacementRequest], Trial]) -> list[Trial]:
        """Return placements that move work to the host, least first."""
        spilled: list[Trial] = []
        n_layers = len(first.placement.layer_device)
        base = self._request
        if any(layer.n_expert for layer in self._model.layers):
            count = _first_true(
                1, n_layers, lambda n: self._relieved(attempt(replace(base, cpu_moe_layers=n)))
            )
            spilled.append(attempt(replace(base, cpu_moe_layers=count)))
            if spilled[-1].runs:
                return spilled
        layers = _last_true(
            0, n_layers, lambda n: self._relieved(attempt(replace(base, gpu_layers=n)))
        )
        if layers:
            spilled.append(attempt(replace(base, gpu_layers=layers)))
        spilled.append(attempt(replace(base, devices=())))
        return spilled

    def _relieved(self, trial: Trial) -> bool:
        """Whether the accelerators hold what is left to them; the host is judged afterwards."""
        host_pool = trial.placement.host.pool
        return all(
            need.pool.free_low_bytes is not None and need.high_bytes <= need.pool.free_low_bytes
            for need in pool_needs(trial.memory, self._machine)
            if need.pool.id != host_pool
        )


def _can_spill(placement: Placement) -> bool:
    """Return whether the host has memory of its own: on unified memory nothing is gained."""
    return any(device.pool != placement.host.pool for device in placement.accelerators)


def _first_true(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """Return the smallest number for which a rule that stays true holds; `high` if none does."""
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low


def _last_true(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """Return the largest number for which a rule that stays false holds; `low` is taken to hold."""
    while low < high:
        middle = (low + high + 1) // 2
        if holds(middle):
            low = middle
        else:
            high = middle - 1
    return low


def _most_promising(trials: list[Trial]) -> Trial:
    """Return a tight trial if there is one, else the trial that is least short."""
    for trial in trials:
        if trial.judgement.verdict == "tight":
            return trial
    unknown = [trial for trial in trials if trial.judgement.verdict == "unknown"]
    if unknown and unknown[0] is trials[0]:
        return unknown[0]
    known = [trial for trial in trials if trial.judgement.verdict != "unknown"]
    return min(known, key=lambda trial: trial.judgement.shortfall_bytes, default=trials[0])
