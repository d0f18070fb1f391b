"""Which nodes to try together: every set of one size, nodes that are alike counted once."""

from __future__ import annotations

from itertools import islice

from whatfits.sizing.fleets.inventory import free_bytes
from whatfits.sizing.machine import UNKNOWN_MACHINE_NAME
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Final

    from whatfits.sizing.fleets.inventory import Node

__all__ = ["MOST_SETS", "alike", "sets_of"]

MOST_SETS: Final = 128
"""Sets of one size that are tried, those with most memory first."""


def alike(nodes: Sequence[Node]) -> list[list[Node]]:
    """Return the nodes in groups of equal machines on one network, those with most free first."""
    groups: dict[object, list[Node]] = {}
    for node in nodes:
        same = (replace(node.machine, name=UNKNOWN_MACHINE_NAME), node.network)
        groups.setdefault(same, []).append(node)
    return sorted(groups.values(), key=lambda group: -free_bytes(group[0].machine))


def sets_of(nodes: Sequence[Node], size: int) -> Iterator[tuple[Node, ...]]:
    """Yield sets of so many nodes, at most `MOST_SETS`; the node with most free memory leads."""
    return islice(_taken(alike(nodes), size), MOST_SETS)


def _taken(groups: Sequence[list[Node]], size: int) -> Iterator[tuple[Node, ...]]:
    if size == 0:
        yield ()
        return
    if sum(map(len, groups)) < size:
        return
    first, *others = groups
    for count in range(min(size, len(first)), -1, -1):
        for rest in _taken(others, size - count):
            yield (*first[:count], *rest)
