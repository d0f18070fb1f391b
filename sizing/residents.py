"""Several models on one machine at once: each a server of its own, placed in the order given.

Every model is placed by the same engine as any other answer, on what the ones before it leave at
the upper end of their need. `answer` is the engine's front door, handed in because it stands above
this module.
"""

from __future__ import annotations

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.estimate import Plan, Remedy, Verdict  # noqa: TC001 - read by pydantic
from whatfits.sizing.machine import Machine  # noqa: TC001 - read by pydantic
from whatfits.sizing.resident_trials import (
    Resident,
    ResidentRemedies,
    reserved,
    without,
    worst_of,
)
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass, replace
from whatfits.sizing.version import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Final

    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.planning import Answer
    from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = ["PoolShare", "TogetherPlan", "place_together"]

_HIGHEST_PORT: Final = 65_535
_RULE: Final = (
    "Models are placed in the order given, each on what the ones before it leave at the upper end "
    "of their need; one that does not run takes nothing. The verdict is the worst of all."
)
_ALONE: Final = "Speeds are of each model while the others wait: at work together they share them."
_RUNTIME: Final = "llama.cpp"


@dataclass(frozen=True, slots=True)
class PoolShare:
    """Who takes what of one pool.

    Attributes:
        pool: its id.
        free_bytes: what the models may share; None when unknown.
        high_bytes: upper end of the need of each model, in their order.
        left_bytes: what is left by those that run, not below zero; None when unknown.
    """

    pool: str
    free_bytes: int | None
    high_bytes: tuple[int, ...]
    left_bytes: int | None


@dataclass(frozen=True, slots=True)
class TogetherPlan:
    """Several models resident at once; its fields are the JSON contract.

    Attributes:
        machine: as it is before any of them is loaded.
        verdict: the worst of all models.
        verdict_reason: one sentence: that of the model it comes from.
        rule: how they were placed.
        pools: what each model takes of each pool.
        models: the plan of each, on the machine as the ones before leave it.
        remedies: what would help all of them, each tried by the engine.
        notes: what else to know, one sentence each.
    """

    schema_version: str
    machine: Machine
    verdict: Verdict
    verdict_reason: str
    rule: str
    pools: tuple[PoolShare, ...]
    models: tuple[Plan, ...]
    remedies: tuple[Remedy, ...]
    notes: tuple[str, ...]


def place_together(
    answer: Answer,
    specs: Sequence[ModelSpec],
    *,
    machine: Machine,
    workload: Workload,
    request: PlacementRequest,
    requantised: Callable[[ModelSpec, str], ModelSpec],
    quality: Callable[[str], str],
    first_port: int,
    force: bool,
) -> TogetherPlan:
    """Return whether and how models stay loaded together.

    A context longer than a model was trained for is cut to what it was. `requantised` returns a
    model under another file type, `quality` what that costs in words.

    Raises:
        InvalidRequestError: there is no model, or a value of a request is out of range.
    """
    _check(specs, first_port)
    residents = [Resident(spec, _within_training(spec, workload)) for spec in specs]
    plans: list[Plan] = []
    left = machine
    for spec, own in residents:
        plan = answer(spec, machine=left, workload=own, request=request, force=force)
        plans.append(plan)
        left = without(left, plan.memory, plan.verdict)
    verdict = worst_of([plan.verdict for plan in plans])
    remedies: tuple[Remedy, ...] = ()
    if verdict not in ("fits", "unknown"):
        tries = ResidentRemedies(tuple(residents), machine, request, verdict, requantised, quality)
        remedies = tries.remedies()

    def started(index: int) -> Plan:
        plan, (spec, own) = plans[index], residents[index]
        if plan.verdict in ("fits", "slow"):
            room = _room_to_grow(plan, left, count=len(plans))
            plan = answer(spec, machine=room, workload=own, request=request, brief=True)
        lines = [f"{line} --port {first_port + index}" for line in plan.commands.get(_RUNTIME, ())]
        return replace(plans[index], commands={_RUNTIME: tuple(lines)} if lines else {})

    return TogetherPlan(
        schema_version=SCHEMA_VERSION,
        machine=machine,
        verdict=verdict,
        verdict_reason=_reason(verdict, plans),
        rule=_RULE,
        pools=tuple(_share(machine, left, plans, index) for index in range(len(machine.pools))),
        models=tuple(started(index) for index in range(len(plans))),
        remedies=remedies,
        notes=(_ALONE,) if len(plans) > 1 else (),
    )


def _within_training(spec: ModelSpec, workload: Workload) -> Workload:
    """Return the workload with a context that the model was trained for, when one is given."""
    trained = spec.hparams.context_train_tokens
    if workload.context_tokens is None or trained is None:
        return workload
    most = trained * (workload.parallel or 1)
    return replace(workload, context_tokens=min(workload.context_tokens, most))


def _check(specs: Sequence[ModelSpec], first_port: int) -> None:
    if not specs:
        raise InvalidRequestError(what="models", got="none", allowed="one or more")
    last = _HIGHEST_PORT - len(specs) + 1
    if not 1 <= first_port <= last:
        raise InvalidRequestError(
            what="port", got=first_port, allowed=f"a whole number from 1 to {last:,}"
        )


def _room_to_grow(plan: Plan, left: Machine, *, count: int) -> Machine:
    """Return the machine on which a model's caches may grow to its share of what is left.

    Its turn came before the others', so that it saw memory which they take. On the host it gets
    what it needs itself, and one part in `count` of what all of them leave.
    """
    seen = plan.machine
    host = seen.pool(plan.memory.devices[-1].pool)
    free, rest = host.whole.free_low_bytes, left.pool(host.id).whole.free_low_bytes
    if free is None or rest is None:
        return seen
    own = sum(row.high_bytes for row in plan.memory.devices if row.pool == host.id)
    return reserved(seen, {host.id: free - own - rest // count})


def _reason(verdict: Verdict, plans: Sequence[Plan]) -> str:
    if verdict == "fits":
        return "all of them lie in the fastest memory there is at once"
    worst = next(plan for plan in plans if plan.verdict == verdict)
    return f"{worst.model.name}: {worst.verdict_reason}"


def _share(machine: Machine, left: Machine, plans: Sequence[Plan], index: int) -> PoolShare:
    pool = machine.pools[index]
    high = tuple(
        sum(row.high_bytes for row in plan.memory.devices if row.pool == pool.id) for plan in plans
    )
    rest = left.pools[index].whole.free_low_bytes
    return PoolShare(pool.id, pool.whole.free_low_bytes, high, rest)
