"""What each node makes of a whole model, told quickly: the verdict and the speed, nothing more.

llama.cpp's whole answer looks for remedies and for the longest context, which takes seconds where
a model does not fit; here only the placement is searched for, by the same engine.
"""

from __future__ import annotations

from whatfits.sizing.companions import with_companions
from whatfits.sizing.errors import BadInputError
from whatfits.sizing.extras import NO_EXTRAS
from whatfits.sizing.fleets.node_sets import alike
from whatfits.sizing.fleets.plans import mid_rate
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.runtimes import DEFAULT_RUNTIME
from whatfits.sizing.search.trials import Trials
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.verdict import VERDICT_ORDER
from whatfits.sizing.workload import PlacementRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whatfits.sizing.estimate import Verdict
    from whatfits.sizing.fleets.inventory import Node
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.planning import Answer
    from whatfits.sizing.workload import Workload

__all__ = ["Look", "look_at"]


class Look(NamedTuple):
    """One node and the whole model on it.

    Attributes:
        node: which.
        verdict: by the runtime's own rules.
        rate: tokens a second, as `mid_rate` tells them.
    """

    node: Node
    verdict: Verdict
    rate: float

    @property
    def preference(self) -> tuple[int, float]:
        """What nodes are ordered by, the best first."""
        return VERDICT_ORDER[self.verdict], -self.rate


def look_at(
    answer: Answer, spec: ModelSpec, nodes: Sequence[Node], workload: Workload, *, runtime: str
) -> tuple[list[Look], BadInputError | None]:
    """Return a look at each node that can be asked, and why where none can.

    Nodes that are alike are looked at once.
    """
    found: list[Look] = []
    refused: BadInputError | None = None
    for group in alike(nodes):
        machine = group[0].machine
        try:
            if runtime == DEFAULT_RUNTIME:
                verdict, rate = _under_llama_cpp(spec, machine, workload)
            else:
                request = PlacementRequest()
                plan = answer(
                    spec, machine=machine, workload=workload, request=request, runtime=runtime
                )
                verdict, rate = plan.verdict, mid_rate(plan.speed)
        except BadInputError as error:
            refused = refused or error
        else:
            found += [Look(node, verdict, rate) for node in group]
    return found, None if found else refused


def _under_llama_cpp(
    spec: ModelSpec, machine: Machine, workload: Workload
) -> tuple[Verdict, float]:
    asked, extras = workload, NO_EXTRAS
    if spec.companions:
        asked, extras = with_companions(workload, NO_EXTRAS, spec.companions)
    trials = Trials(spec, machine, asked, PlacementRequest(), extras)
    trial = trials.best()
    return trial.judgement.verdict, mid_rate(trials.speed(trial))
