"""The whole answer about a fleet: its fields are the JSON contract."""

from __future__ import annotations

from whatfits.sizing.fleets.inventory import Node  # noqa: TC001 - read by pydantic
from whatfits.sizing.fleets.plans import FleetPlan  # noqa: TC001 - read by pydantic
from whatfits.sizing.values import dataclass

__all__ = ["FleetAnswer"]


@dataclass(frozen=True, slots=True)
class FleetAnswer:
    """The machines, and the ways to run a model on them.

    Attributes:
        schema_version: of the JSON.
        nodes: each with its machine; the same objects that JSON Lines of reports are read from.
        model: its name; null without one.
        rule: how the plans are ordered; null without a model.
        plans: the best first; none without a model.
        refused: runtimes that could not be tried, and why.
        warnings: nodes that did not answer.
    """

    schema_version: str
    nodes: tuple[Node, ...]
    model: str | None = None
    rule: str | None = None
    plans: tuple[FleetPlan, ...] = ()
    refused: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
