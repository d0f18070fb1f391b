"""What a model needs at each context, a curve for each precision of the cache."""

from __future__ import annotations

from whatfits.sizing.graph.index import Replays
from whatfits.sizing.placement import usable_accelerators
from whatfits.sizing.search.trials import Trials
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass, replace
from whatfits.sizing.verdict import pool_needs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whatfits.sizing.estimate import Verdict
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.search.trial import Trial
    from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = ["ContextCurve", "ContextPoint", "context_curves", "fast_free_bytes"]


@dataclass(frozen=True, slots=True)
class ContextPoint:
    """The need at one context: everything on the accelerators, as far as the request says so.

    Over several of them, as the split shares it out that holds it.

    Attributes:
        context_tokens: the whole cache.
        high_bytes: upper end of the need in the fastest memory there is.
        verdict: verdict on that placement.
    """

    context_tokens: int
    high_bytes: int
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class ContextCurve:
    """One precision of the cache over the contexts.

    Attributes:
        kv_type: type of keys and values.
        points: in the order of contexts.
        largest_context_tokens: longest context that runs; None when none does.
    """

    kv_type: str
    points: tuple[ContextPoint, ...]
    largest_context_tokens: int | None


def context_curves(
    model: ModelSpec,
    machine: Machine,
    workload: Workload,
    request: PlacementRequest,
    *,
    kv_types: Sequence[str],
    contexts: Sequence[int],
) -> tuple[ContextCurve, ...]:
    """Return llama.cpp's need over contexts, up to what the model was trained for.

    A precision that the model's heads cannot be stored in is left out; so is what is loaded beside
    the model.

    Raises:
        InvalidRequestError: another value of the request is out of range.
    """
    replays = Replays()
    fast = _fast_pools(machine)
    trained = model.hparams.context_train_tokens or max(contexts)
    shown = sorted({min(context, trained) for context in contexts})
    curves = []
    for kv_type in kv_types:
        asked = replace(workload, kv_type_k=kv_type, kv_type_v=kv_type, model_draft=None)
        trials = Trials(model, machine, asked, request, replays=replays)
        try:
            points = tuple(_point(trials.entirely(c), c, machine, fast) for c in shown)
        except ValueError:
            if kv_type == "f16":
                raise  # not the precision's fault
            continue
        curves.append(ContextCurve(kv_type, points, trials.largest_context(trials.best())))
    return tuple(curves)


def _point(trial: Trial, context: int, machine: Machine, pools: frozenset[str]) -> ContextPoint:
    """Return the need in the fastest pools: of a pool's accelerators where those have a limit."""
    needs: dict[str, int] = {}
    for need in pool_needs(trial.memory, machine):
        if need.pool.id in pools:
            needs.setdefault(need.pool.id, need.high_bytes)
    high = sum(needs.values())
    return ContextPoint(context, high, trial.judgement.verdict)


def fast_free_bytes(machine: Machine) -> int | None:
    """Return what is free of the fastest memory there is, by the lower end; None when unknown."""
    free = [machine.pool(pool).free_low_bytes for pool in sorted(_fast_pools(machine))]
    known = [amount for amount in free if amount is not None]
    return sum(known) if free and len(known) == len(free) else None


def _fast_pools(machine: Machine) -> frozenset[str]:
    """Return the pools of accelerators; the host's where there are none."""
    fast = frozenset(device.pool for device in usable_accelerators(machine))
    if fast or machine.host_pool is None:
        return fast
    return frozenset({machine.host_pool.id})
