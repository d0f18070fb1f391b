"""Metal: steps that can run side by side come together, and what runs as one keeps what it reads.

Source: llama.cpp (0c1e57098) ggml/src/ggml-metal/ggml-metal-common.cpp
(ggml_metal_graph_optimize_reorder), ggml-metal.cpp (ggml_backend_metal_graph_optimize).
"""

from __future__ import annotations

from whatfits.sizing.graph.fused.metal_groups import keep_sources, length_of_group
from whatfits.sizing.graph.tensor import VIEWS
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from typing import Final

    from whatfits.sizing.graph.fused.patterns import Part
    from whatfits.sizing.graph.tensor import Tensor

__all__ = ["fuse"]

_LOOKS_AHEAD: Final = 64
# What may be passed on the way forward.
_MAY_BE_PASSED: Final = VIEWS | {
    "MUL_MAT",
    "MUL_MAT_ID",
    "ROPE",
    "NORM",
    "RMS_NORM",
    "GROUP_NORM",
    "L2_NORM",
    "SUM_ROWS",
    "SSM_CONV",
    "SSM_SCAN",
    "CLAMP",
    "TRI",
    "DIAG",
    "MUL",
    "ADD",
    "SUB",
    "DIV",
    "GLU",
    "SCALE",
    "UNARY",
    "GET_ROWS",
    "SET_ROWS",
    "SET",
    "CPY",
    "CONT",
    "REPEAT",
}


def fuse(part: Part) -> Sequence[Tensor]:
    """Return the part's nodes in the order that they run in; what is to be kept is noted."""
    keep_sources(part)
    groups: list[_Group] = []
    at = part.start
    while at < part.end:
        length = length_of_group(part, at)
        groups.append(_Group(part.nodes[at : at + length]))
        at += length
    return [node for group in _side_by_side(groups) for node in group.nodes]


class _Group:
    """Nodes that stay together.

    Attributes:
        nodes: in their order.
        op: of the first one.
        reads: the memory that they read and nobody among them has made.
        writes: the memory of what they make, or look at.
    """

    __slots__ = ("nodes", "op", "reads", "writes")

    def __init__(self, nodes: Sequence[Tensor]) -> None:
        made = {id(node) for node in nodes}
        self.nodes = nodes
        self.op = nodes[0].op
        self.reads: frozenset[Hashable] = frozenset(
            id(src.root) for node in nodes for src in node.srcs if id(src) not in made
        )
        self.writes: frozenset[Hashable] = frozenset(id(node.root) for node in nodes)


class _Memory:
    """What a set of groups reads and writes."""

    def __init__(self, *groups: _Group) -> None:
        self._reads: set[Hashable] = set()
        self._writes: set[Hashable] = set()
        for group in groups:
            self.add(group)

    def add(self, group: _Group) -> None:
        self._reads |= group.reads
        self._writes |= group.writes

    def is_beside(self, group: _Group) -> bool:
        """Return whether a group can run beside the set: what is only read may be shared."""
        return (
            self._writes.isdisjoint(group.reads)
            and self._writes.isdisjoint(group.writes)
            and self._reads.isdisjoint(group.writes)
        )


def _side_by_side(groups: Sequence[_Group]) -> list[_Group]:
    """Return groups in an order in which fewer have to wait for the one before."""
    order: list[_Group] = []
    used = [False] * len(groups)
    running = _Memory()
    for at, group in enumerate(groups):
        if used[at]:
            continue
        if group.op not in VIEWS and not running.is_beside(group):
            passed = _Memory(group)
            for later in range(at + 1, min(at + _LOOKS_AHEAD, len(groups))):
                other = groups[later]
                if used[later]:
                    continue
                if other.op not in _MAY_BE_PASSED:
                    break
                is_beside = other.op in VIEWS or running.is_beside(other)
                if is_beside and passed.is_beside(other):
                    running.add(other)
                    order.append(other)
                    used[later] = True
                else:
                    passed.add(other)
            running = _Memory()
        running.add(group)
        order.append(group)
    return order
