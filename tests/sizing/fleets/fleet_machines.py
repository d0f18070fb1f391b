"""Fleets of catalog machines, for the tests of this folder."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from whatfits.sizing.api import answer, fleet_nodes, load_machine, load_model
from whatfits.sizing.catalog.networks import find_network
from whatfits.sizing.fleets.inventory import Node
from whatfits.sizing.fleets.planning import FLEET_RUNTIMES, FleetRequest, plan_fleet
from whatfits.sizing.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whatfits.sizing.fleets.planning import Planned
    from whatfits.sizing.model import ModelSpec

__all__ = ["model", "nodes", "planned"]


@cache
def model(name: str, runtime: str = "llama.cpp") -> ModelSpec:
    """Return a catalog model as a runtime takes it, loaded once."""
    return load_model(name, runtime=runtime)


def nodes(*machines: str, network: str | None = "10gbe") -> tuple[Node, ...]:
    """Return nodes `n0`, `n1`, … of catalog machines on one network."""
    given = [Node(f"n{i}", load_machine(name), f"n{i}") for i, name in enumerate(machines)]
    return fleet_nodes(given, network=network)


def planned(
    asked: str | ModelSpec,
    given: Sequence[Node],
    *,
    runtimes: tuple[str, ...] = FLEET_RUNTIMES,
    workload: Workload | None = None,
) -> Planned:
    """Return the plans for a model, of the catalog where it is a name, on some nodes."""
    networks = {n.network: find_network(n.network) for n in given if n.network is not None}
    request = FleetRequest(tuple(given), workload or Workload(), runtimes, networks)
    return plan_fleet(
        answer, lambda runtime: model(asked, runtime) if isinstance(asked, str) else asked, request
    )
