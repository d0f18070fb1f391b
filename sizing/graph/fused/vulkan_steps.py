"""A part of a graph that is being put in order for Vulkan: what has its place, and what waits."""

from __future__ import annotations

from whatfits.sizing.graph.fused.patterns import is_empty
from whatfits.sizing.graph.tensor import NONE
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whatfits.sizing.graph.fused.patterns import Part
    from whatfits.sizing.graph.tensor import Tensor

__all__ = ["Steps"]


class Steps:
    """The steps of a part by their place in it.

    Attributes:
        part: the part.
        nodes: its nodes.
        used: which have their place, or are chosen for the next set.
        empty: which do no work.
        first: the first one without a place.
        order: those that have one, in their new order.
    """

    def __init__(self, part: Part) -> None:
        """Look at a part; nothing has its place yet."""
        self.part = part
        self.nodes = nodes = part.nodes[part.start : part.end]
        self.used = [False] * len(nodes)
        self.empty = [is_empty(node) for node in nodes]
        self.first = 0
        self.order: list[Tensor] = []
        self._done: set[int] = set()
        self._srcs = [frozenset(map(id, node.srcs)) for node in nodes]
        self._root = [id(node.root) for node in nodes]
        self._src_roots = [frozenset(id(src.root) for src in node.srcs) for node in nodes]

    def take(self, chosen: Sequence[int]) -> None:
        """Give the chosen nodes their place behind all others."""
        for at in chosen:
            self.order.append(self.nodes[at])
            self._done.add(id(self.nodes[at]))
            self.used[at] = True
        while self.first < len(self.nodes) and self.used[self.first]:
            self.first += 1

    def matches(self, ops: Sequence[str], at: int) -> bool:
        """Return whether nodes from `at` on have these operations, and none its place yet."""
        if at < 0 or at + len(ops) > len(self.nodes):
            return False
        return all(
            self.nodes[at + step].op == op and not self.used[at + step]
            for step, op in enumerate(ops)
        )

    def waits(self, later: int, earlier: int) -> bool:
        """Return whether a node reads or writes what an earlier one does."""
        if id(self.nodes[earlier]) in self._srcs[later]:
            return True
        if not (self.empty[later] or self.empty[earlier]) and (
            self._root[earlier] in self._src_roots[later]
            or self._root[later] in self._src_roots[earlier]
        ):
            return True
        return self._root[later] == self._root[earlier]

    def is_there(self, source: Tensor) -> bool:
        """Return whether a source needs no step, or has had it in an earlier set."""
        return source.op == NONE or id(source) in self._done

    def nothing_between(self, low: int, high: int) -> bool:
        """Return whether no step from `low` up to `high` has still to be done."""
        return all(self.used[at] or self.empty[at] for at in range(low, high))
