"""How to run a model on a fleet: what one node can do, copies, and cuts where no node will do.

A cut is only looked for where no single node holds the model in its fastest memory; then sets of
two nodes are tried, of three, and so on, until one fits. More nodes never make the first plan
worse: they only add sets to choose from.
"""

from __future__ import annotations

from whatfits.sizing.errors import BadInputError
from whatfits.sizing.fleets.alone import best_alone, copies_of, replicas
from whatfits.sizing.fleets.exo_split import split_exo
from whatfits.sizing.fleets.inventory import total_free_bytes
from whatfits.sizing.fleets.looks import look_at
from whatfits.sizing.fleets.network import slowest
from whatfits.sizing.fleets.node_sets import alike, sets_of
from whatfits.sizing.fleets.plans import FleetPlan, preference
from whatfits.sizing.fleets.rpc_split import split_rpc
from whatfits.sizing.fleets.starting.exo_start import exo_start
from whatfits.sizing.fleets.starting.kubernetes import kubernetes_files
from whatfits.sizing.fleets.starting.routers import router_commands, router_files
from whatfits.sizing.fleets.starting.rpc_start import rpc_start
from whatfits.sizing.fleets.starting.vllm_start import vllm_start
from whatfits.sizing.fleets.vllm_split import split_vllm
from whatfits.sizing.hub_source import hub_source
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.runtimes import DEFAULT_RUNTIME
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace
from whatfits.sizing.workload import PlacementRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Final

    from whatfits.sizing.estimate import Plan
    from whatfits.sizing.fleets.inventory import Node
    from whatfits.sizing.fleets.network import Network
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.planning import Answer
    from whatfits.sizing.workload import Workload

__all__ = ["FLEET_RULE", "FLEET_RUNTIMES", "FleetRequest", "Planned", "plan_fleet"]

FLEET_RUNTIMES: Final = (DEFAULT_RUNTIME, "vllm", "mlx")
FLEET_RULE: Final = (
    "Plans are ordered by verdict, slow ones by speed; then one node comes before copies on "
    "several, and copies before a cut over the network; then by runtime, fewer nodes and speed. A "
    "cut is looked for where no single node holds the model in its fastest memory, over the fewest "
    "nodes that do together."
)
_MOST_IN_A_CUT: Final = 16
_ONE_NETWORK: Final = (
    "Where a node has several networks, vLLM may take another than the one that is meant: name the "
    'interface in its report ("interface": "enp5s0"), and the commands keep to it.'
)
_HOST_FLAG: Final = frozenset({"llama.cpp", "mlx"})  # these listen on their own machine alone


class FleetRequest(NamedTuple):
    """What is asked of a fleet.

    Attributes:
        nodes: with names of their own.
        workload: for each copy of the model.
        runtimes: whose rules to use, of `FLEET_RUNTIMES`.
        networks: those that nodes name, by their ids.
    """

    nodes: tuple[Node, ...]
    workload: Workload
    runtimes: tuple[str, ...]
    networks: Mapping[str, Network]

    def network_of(self, nodes: Sequence[Node]) -> Network | None:
        """Return the network between some nodes: the slowest; None where one is not known."""
        ids = [node.network for node in nodes]
        known = [self.networks[name] for name in ids if name is not None]
        return slowest(known) if len(known) == len(ids) else None


class Planned(NamedTuple):
    """What a fleet makes of a model.

    Attributes:
        name: of the model.
        plans: the best first.
        refused: what could not be tried, one sentence each.
    """

    name: str
    plans: tuple[FleetPlan, ...]
    refused: tuple[str, ...]


def plan_fleet(
    answer: Answer, loaded_for: Callable[[str], ModelSpec], request: FleetRequest
) -> Planned:
    """Return the ways to run a model on a fleet.

    `answer` is the engine for one machine; `loaded_for` loads the model as a runtime takes it.

    Raises:
        BadInputError: no runtime takes the model, the workload or any of the nodes; that of the
            first one.
    """
    plans: list[FleetPlan] = []
    refused: dict[str, BadInputError] = {}
    names: list[str] = []
    for runtime in request.runtimes:
        try:
            spec = loaded_for(runtime)
        except BadInputError as error:
            refused[runtime] = error
            continue
        names.append(spec.name)
        found, why_not = _under(answer, spec, request, runtime)
        plans += found
        if why_not is not None:
            refused[runtime] = why_not
    if not plans:
        raise next(iter(refused.values()))
    reasons = (f"{runtime}: {error}" for runtime, error in refused.items())
    return Planned(names[0], tuple(sorted(plans, key=preference)), tuple(reasons))


def _under(
    answer: Answer, spec: ModelSpec, request: FleetRequest, runtime: str
) -> tuple[list[FleetPlan], BadInputError | None]:
    """Return the plans under one runtime, and why where no node can run it."""
    looks, refused = look_at(answer, spec, request.nodes, request.workload, runtime=runtime)
    found: list[FleetPlan] = []
    if looks:
        best = min(looks, key=lambda look: look.preference)
        held = [look.node for look in copies_of(looks)]  # the best is one of them, if any
        asked = _asked(answer, spec, held or [best.node], request, runtime)
        alone = next(plan for node, plan in asked if node is best.node)
        found.append(best_alone(spec, best.node, alone, of=len(looks)))
        if held:
            copies = replicas(spec, asked)
            found.append(_with_routers(spec, copies, request, runtime))
    if not found or found[0].verdict != "fits":
        cut = _best_cut(spec, request, runtime)
        found += [] if cut is None else [cut]
    return found, refused


def _asked(
    answer: Answer, spec: ModelSpec, nodes: Sequence[Node], request: FleetRequest, runtime: str
) -> list[tuple[Node, Plan]]:
    """Return the whole answer of each node; nodes that are alike are asked once."""
    found: list[tuple[Node, Plan]] = []
    for group in alike(nodes):
        plan = answer(
            spec,
            machine=group[0].machine,
            workload=request.workload,
            request=PlacementRequest(),
            runtime=runtime,
        )
        found += [(node, plan) for node in group]
    return found


def _best_cut(spec: ModelSpec, request: FleetRequest, runtime: str) -> FleetPlan | None:
    """Return the best cut over the fewest nodes that hold the model; else the most promising.

    Sets of nodes whose devices have no room even for the weights are left out. Where no set holds
    all layers, llama.cpp may leave some to the processor of one node: that is tried with pairs.
    """
    best: FleetPlan | None = None
    for size in range(2, min(len(request.nodes), _MOST_IN_A_CUT) + 1):
        for nodes in sets_of(request.nodes, size):
            if total_free_bytes(nodes) >= spec.tensor_bytes:
                best = _better(best, _cut(spec, nodes, request, runtime))
        if best is not None and best.verdict == "fits":
            return best
    if runtime == DEFAULT_RUNTIME:
        for nodes in sets_of(request.nodes, 2):
            if total_free_bytes(nodes) + _host_bytes(nodes) >= spec.tensor_bytes:
                best = _better(best, _started_rpc(spec, nodes, request, spills=True))
    if best is None and 1 < len(request.nodes) <= _MOST_IN_A_CUT:
        return _cut(spec, request.nodes, request, runtime)  # it says what is missing
    return best


def _better(best: FleetPlan | None, other: FleetPlan | None) -> FleetPlan | None:
    if best is None or other is None:
        return best or other
    return min(best, other, key=preference)


def _host_bytes(nodes: Sequence[Node]) -> int:
    """Return the most that is free in the memory of one host."""
    hosts = (node.machine.host_pool for node in nodes)
    return max((pool.free_low_bytes or 0 for pool in hosts if pool is not None), default=0)


def _cut(
    spec: ModelSpec, nodes: Sequence[Node], request: FleetRequest, runtime: str
) -> FleetPlan | None:
    """Return the model cut over these nodes under a runtime, with what starts it."""
    if runtime == "vllm":
        return _started_vllm(spec, nodes, request)
    if runtime == DEFAULT_RUNTIME:
        return _started_rpc(spec, nodes, request, spills=False)
    plan = split_exo(spec, nodes, request.workload, request.network_of(nodes))
    if plan is None or not plan.may_run:
        return plan
    place = None if spec.planned else hub_source(spec.source)
    named = None if place is None else place.repository
    return replace(plan, commands=tuple(exo_start(plan.nodes, named)))


def _started_vllm(
    spec: ModelSpec, nodes: Sequence[Node], request: FleetRequest
) -> FleetPlan | None:
    split = split_vllm(spec, nodes, request.workload, request.network_of(nodes))
    if split is None or not split.plan.may_run or spec.checkpoint is None:
        return None if split is None else split.plan
    is_told = all(node.interface is not None for node in nodes)
    return replace(
        split.plan,
        notes=(*split.plan.notes, *(() if is_told else (_ONE_NETWORK,))),
        commands=tuple(vllm_start(spec.checkpoint, split, nodes)),
        files=tuple(kubernetes_files(spec.checkpoint, split, spec.name)),
    )


def _started_rpc(
    spec: ModelSpec, nodes: Sequence[Node], request: FleetRequest, *, spills: bool
) -> FleetPlan | None:
    workload, network = request.workload, request.network_of(nodes)
    split = split_rpc(spec, nodes, workload, network, spills=spills)
    if split is None or not split.plan.may_run:
        return None if split is None else split.plan
    by_name = {node.node: node for node in nodes}
    return replace(split.plan, commands=tuple(rpc_start(spec, split, workload, by_name)))


def _with_routers(
    spec: ModelSpec, plan: FleetPlan, request: FleetRequest, runtime: str
) -> FleetPlan:
    """Return copies that can be reached, and what stands in front of them."""
    by_name = {node.node: node for node in request.nodes}
    nodes = [by_name[name] for name in plan.nodes]
    served = spec.name if spec.checkpoint is None else spec.checkpoint.reference
    servers = []
    for entry in plan.commands:
        *before, line = entry.commands
        if runtime in _HOST_FLAG:
            line = f"{line} --host {by_name[entry.node].host}"
        servers.append(replace(entry, commands=(*before, line)))
    return replace(
        plan,
        commands=(*servers, *router_commands(served, nodes, runtime=runtime)),
        files=tuple(router_files(served, nodes, runtime=runtime)),
    )
