"""How many users a server carries, and what each of them gets.

The verdict is taken from the slow end: fits when even there the users asked for keep the limits,
tight when only in the middle, else no; memory has its own verdict, and the worse one counts.
`answer` is the engine's front door, handed in because it stands above this package.
"""

from __future__ import annotations

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.serving.basis import serving_basis
from whatfits.sizing.serving.batching import MID
from whatfits.sizing.serving.curve import knee_users, user_steps
from whatfits.sizing.serving.deploying import deployed, users_of
from whatfits.sizing.serving.profile import MOST_USERS, check_limits, check_profile
from whatfits.sizing.serving.roofline import balanced_batch
from whatfits.sizing.serving.sampling import sampling_of
from whatfits.sizing.serving.serve_plan import ServePlan
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.verdict import MAY_RUN, VERDICT_ORDER
from whatfits.sizing.version import SCHEMA_VERSION

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.estimate import Basis, Plan, Verdict
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.planning import Answer
    from whatfits.sizing.serving.curve import CurvePoint, UserRange
    from whatfits.sizing.serving.deployment import Deployment
    from whatfits.sizing.serving.profile import Limits, LoadProfile
    from whatfits.sizing.serving.sampling import Sampling
    from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = ["serve_plan"]

_MOST_SEED: Final = 2**32


class _Simulated(NamedTuple):
    """What the simulations of a server gave."""

    most: UserRange
    points: tuple[CurvePoint, ...]
    asked: CurvePoint
    sampling: Sampling
    basis: tuple[Basis, ...]
    balanced: int | None


def serve_plan(
    answer: Answer,
    spec: ModelSpec,
    *,
    runtime: str,
    machine: Machine,
    workload: Workload,
    request: PlacementRequest,
    users: int,
    load: LoadProfile,
    limits: Limits,
    seed: int,
    force: bool,
    engine_version: str | None = None,
) -> ServePlan:
    """Return how a server of a model does under so many users.

    Raises:
        InvalidRequestError: a value is out of range, or the runtime is no server of many.
    """
    _check(users, seed)
    check_limits(limits)
    deployment = deployed(
        answer,
        spec,
        runtime=runtime,
        machine=machine,
        workload=workload,
        request=request,
        users=users,
        load=load,
        force=force,
        engine_version=engine_version,
    )
    check_profile(load, context_tokens=deployment.context_tokens)
    unknown = deployment.model.unknown()
    runs = deployment.plan.verdict in MAY_RUN and unknown is None
    found = _simulated(deployment, load, limits, users, seed) if runs else None
    return _put_together(
        deployment,
        found,
        unknown,
        users=users,
        load=load,
        limits=limits,
        seed=seed,
        force=force,
        engine_version=engine_version,
    )


def _check(users: int, seed: int) -> None:
    for name, value, least, most in (
        ("number of users", users, 1, MOST_USERS),
        ("seed", seed, 0, _MOST_SEED),
    ):
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise InvalidRequestError(
                what=name, got=value, allowed=f"a whole number from {least:,} to {most:,}"
            )


def _simulated(
    deployment: Deployment, load: LoadProfile, limits: Limits, users: int, seed: int
) -> _Simulated:
    simulated = users_of(deployment, load, limits, seed=seed)
    middle = simulated.servers["mid"]
    most = simulated.most()
    points = tuple(simulated.point(n) for n in user_steps(users, most))
    return _Simulated(
        most=most,
        points=points,
        asked=simulated.point(users),
        sampling=sampling_of(middle, users),
        basis=serving_basis(deployment, middle.costs, middle.profile, seed=seed),
        balanced=balanced_batch(
            deployment.model,
            depth_tokens=load.prompt.median_tokens,
            most=deployment.servers[MID].slots,
        ),
    )


def _put_together(
    deployment: Deployment,
    found: _Simulated | None,
    unknown: str | None,
    *,
    users: int,
    load: LoadProfile,
    limits: Limits,
    seed: int,
    force: bool,
    engine_version: str | None,
) -> ServePlan:
    plan, server = deployment.plan, deployment.servers[MID]
    verdict, reason = _verdict(plan, found, unknown, users, limits)
    binds: str | None = None if found is None else found.asked.binds
    if plan.verdict == "no":
        binds = "memory"
    return ServePlan(
        schema_version=SCHEMA_VERSION,
        users=users,
        load=load,
        limits=limits,
        seed=seed,
        verdict=verdict,
        verdict_reason=reason,
        most_users=None if found is None else found.most,
        binds=binds,
        slots=server.slots,
        step_tokens=server.step_tokens,
        cache_tokens=deployment.cache_tokens,
        longest_requests=deployment.longest_requests,
        at_users=None if found is None else found.asked,
        curve=() if found is None else found.points,
        knee_users=None if found is None else knee_users(found.points),
        balanced_batch=None if found is None else found.balanced,
        sampling=None if found is None else found.sampling,
        plan=plan,
        commands=plan.commands if verdict in MAY_RUN or force else {},
        notes=(*deployment.notes, *_prefix_notes(deployment, load), *plan.notes),
        basis=() if found is None else found.basis,
        engine_version=engine_version,
    )


def _prefix_notes(deployment: Deployment, load: LoadProfile) -> tuple[str, ...]:
    if load.shared_prefix_tokens and not deployment.caches_prefixes:
        return ("The shared prefix is read anew for each request: prefix caching is off.",)
    return ()


def _verdict(
    plan: Plan, found: _Simulated | None, unknown: str | None, users: int, limits: Limits
) -> tuple[Verdict, str]:
    """Return the worse of memory's verdict and the load's, with its reason."""
    if plan.verdict not in MAY_RUN:
        return plan.verdict, plan.verdict_reason
    if found is None:
        return "unknown", unknown or "speed is not known"
    most = found.most
    speed = round(limits.tokens_per_s, 2)
    kept = f"first token in {limits.ttft_p95_s:,g} s and {speed:,g} tokens/s"
    range_text = f"{_how_many(most)} served within the limits ({kept})"
    load: Verdict = "fits" if users <= most.low else "tight" if users <= most.mid else "no"
    if plan.verdict == "fits" or VERDICT_ORDER[load] > VERDICT_ORDER[plan.verdict]:
        return load, range_text
    return plan.verdict, f"{range_text}; {plan.verdict_reason}"


def _how_many(most: UserRange) -> str:
    """Return how many users `are`; more than the most that are simulated may be."""
    more = " or more" if most.high >= MOST_USERS else ""
    if most.low < most.high:
        return f"{most.low:,} to {most.high:,}{more} users are"
    if not most.high:
        return "no user is"
    return "1 user is" if most.high == 1 else f"{most.high:,}{more} users are"
