"""Several machines: which they are, and how a model runs on them."""

from __future__ import annotations

from whatfits.sizing.api.answering import answer
from whatfits.sizing.api.arguments import check_list, check_text
from whatfits.sizing.api.loading import load_machine, load_model, load_workload, replayed
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.version import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from whatfits.sizing.fleets.answer import FleetAnswer
    from whatfits.sizing.fleets.inventory import Node
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.workload import Workload

__all__ = ["fleet", "fleet_nodes"]


def fleet(
    model: str,
    machines: Sequence[Node | str | Machine | Mapping[str, Any]],
    *,
    file_type: str | None = None,
    runtime: str | None = None,
    workload: Workload | Mapping[str, Any] | None = None,
    network: str | None = None,
) -> FleetAnswer:
    """Return the ways to run a model on several machines, the best first.

    Args:
        model: as in `check`.
        machines: nodes; machines as in `check`; or saved reports as objects, which may name the
            `node`, its `address`, its `network` and the `interface` to it.
        file_type: as in `check`; a runtime that has no such type is left out.
        runtime: whose rules to use: `llama.cpp`, `vllm` or `mlx`; None for all of them.
        workload: as in `check`, for each copy of the model.
        network: what the machines hang on that do not say so, as `10gbe`; None: it is not known,
            and neither is the speed of a cut.

    Raises:
        BadInputError: something given cannot be used; the message says what is allowed.
    """
    from whatfits.sizing.catalog.networks import find_network
    from whatfits.sizing.fleets.answer import FleetAnswer
    from whatfits.sizing.fleets.planning import (
        FLEET_RULE,
        FLEET_RUNTIMES,
        FleetRequest,
        plan_fleet,
    )

    if runtime is not None and runtime not in FLEET_RUNTIMES:
        raise InvalidRequestError(what="runtime", got=runtime, allowed=", ".join(FLEET_RUNTIMES))
    nodes = fleet_nodes(machines, network=network)
    names = {node.network for node in nodes if node.network is not None}
    request = FleetRequest(
        nodes=nodes,
        workload=load_workload(workload),
        runtimes=FLEET_RUNTIMES if runtime is None else (runtime,),
        networks={name: find_network(name) for name in names},
    )

    def loaded_for(name: str) -> ModelSpec:
        return load_model(model, file_type=file_type, runtime=name)

    planned = plan_fleet(answer, loaded_for, request)
    return FleetAnswer(
        schema_version=SCHEMA_VERSION,
        nodes=nodes,
        model=planned.name,
        rule=FLEET_RULE,
        plans=planned.plans,
        refused=planned.refused,
    )


def fleet_nodes(
    machines: Sequence[Node | str | Machine | Mapping[str, Any]], *, network: str | None = None
) -> tuple[Node, ...]:
    """Return machines as nodes with names of their own, on a network where none was said.

    Raises:
        BadInputError: one is no machine, there are none or too many, or there is no such network.
    """
    from whatfits.sizing.catalog.networks import find_network
    from whatfits.sizing.fleets.inventory import named_apart
    from whatfits.sizing.values import replace

    check_list(machines, what="machines", of="machines")
    if network is not None:
        check_text(network, what="network", allowed="text, as '10gbe'")
    known = None if network is None else find_network(network).id
    nodes = []
    for given in machines:
        node = _node(given)
        told = known if node.network is None else find_network(node.network).id
        nodes.append(replace(node, network=told))
    return named_apart(nodes)


def _node(given: Node | str | Machine | Mapping[str, Any]) -> Node:
    from whatfits.sizing.fleets.inventory import Node, node_name
    from whatfits.sizing.machine import Machine

    if isinstance(given, Node):
        return given
    if isinstance(given, str):
        return Node(node_name(given), load_machine(given), node_name(given))
    if isinstance(given, Machine):
        return Node(node_name(given.name), given, node_name(given.name))
    from whatfits.sizing.sources.fleet_files import node_from_document

    if not hasattr(given, "get"):
        raise InvalidRequestError(
            what="machine of machines",
            got=type(given).__name__,
            allowed="a node, a name, a Machine, or an object with fields, as a dict",
        )
    described = given.get("machine", given)
    name = described.get("name") if isinstance(described, dict) else None
    return node_from_document(given, name=str(name or ""), replay=replayed)
