"""Numbers of users against contexts: what runs, what each user gets, whether limits are kept.

A cell is one point of the curve of a server that is made for its users and its context: as
`serve_plan` has it, without the rest of that curve.
"""

from __future__ import annotations

from whatfits.sizing.estimate import Verdict  # noqa: TC001 - a field of the cell
from whatfits.sizing.serving.curve import CurvePoint  # noqa: TC001 - a field of the cell
from whatfits.sizing.serving.deploying import deployed, users_of
from whatfits.sizing.serving.profile import check_limits, check_profile
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass, replace
from whatfits.sizing.verdict import MAY_RUN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.planning import Answer
    from whatfits.sizing.serving.profile import Limits, LoadProfile
    from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = ["GridCell", "serving_grid"]


@dataclass(frozen=True, slots=True)
class GridCell:
    """One number of users at one context.

    Attributes:
        users: at the same time.
        context_tokens: of one user.
        memory: verdict of the server's memory.
        point: what each user gets; None where it does not run or its speed is unknown.
    """

    users: int
    context_tokens: int
    memory: Verdict
    point: CurvePoint | None


def serving_grid(
    answer: Answer,
    spec: ModelSpec,
    *,
    runtime: str,
    machine: Machine,
    workload: Workload,
    request: PlacementRequest,
    users: Sequence[int],
    contexts: Sequence[int],
    load: LoadProfile,
    limits: Limits,
    seed: int = 0,
) -> tuple[GridCell, ...]:
    """Return a cell for each number of users at each context, the contexts in turn.

    Contexts that do not hold a request, or that the model was not trained for, are left out.

    Raises:
        InvalidRequestError: a value is out of range, or the runtime is no server of many.
    """
    check_limits(limits)
    longest = load.prompt.least_longest_tokens + load.output.least_longest_tokens
    trained = spec.hparams.context_train_tokens
    cells = []
    for context in contexts:
        if context < longest or (trained is not None and context > trained):
            continue
        for count in users:
            deployment = deployed(
                answer,
                spec,
                runtime=runtime,
                machine=machine,
                workload=replace(workload, context_tokens=context),
                request=request,
                users=count,
                load=load,
                force=False,
            )
            check_profile(load, context_tokens=deployment.context_tokens)
            runs = deployment.plan.verdict in MAY_RUN and deployment.model.unknown() is None
            point = users_of(deployment, load, limits, seed=seed).point(count) if runs else None
            cells.append(GridCell(count, context, deployment.plan.verdict, point))
    return tuple(cells)
