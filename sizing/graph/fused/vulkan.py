"""Vulkan: steps that do not wait for each other come together, and routing keeps what it reads.

Source: llama.cpp (0c1e57098) ggml/src/ggml-vulkan/ggml-vulkan.cpp (ggml_vk_graph_optimize).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whatfits.sizing.graph.fused.patterns import (
    NORMALISED,
    Part,
    is_alone,
    is_contiguous_from,
    is_empty,
    keep_outer,
    reads,
)
from whatfits.sizing.graph.tensor import NONE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whatfits.sizing.graph.tensor import Tensor

__all__ = ["fuse"]

_LOOKS_AHEAD: Final = 20
_PULLS_FROM: Final = 15
_CHOSEN: Final = ("ARGSORT", "VIEW", "GET_ROWS")
_BIASED: Final = ("RESHAPE", "ADD", *_CHOSEN, *NORMALISED)
_ROUTING: Final[tuple[tuple[str, ...], ...]] = (
    ("SOFT_MAX", "RESHAPE", *_CHOSEN, *NORMALISED),
    ("UNARY", *_BIASED),
    ("UNARY", "SQRT", *_BIASED),
    ("SOFT_MAX", "RESHAPE", *_CHOSEN),
    (*_CHOSEN, "RESHAPE", "SOFT_MAX", "RESHAPE"),
)
_SELECTION: Final = ("GET_ROWS", "PERMUTE", "CONT", "CPY", "RESHAPE", "ADD", "TOP_K")
_TOGETHER: Final[tuple[tuple[str, ...], ...]] = (
    ("MUL", "SIN", "SQR", "MUL", "ADD"),
    _SELECTION,
    ("RMS_NORM", "MUL", "ADD", "MUL"),
    ("RMS_NORM", "MUL", "ADD"),
    ("RMS_NORM", "MUL", "ROPE", "VIEW", "SET_ROWS"),
    ("RMS_NORM", "VIEW", "SET_ROWS"),
    ("ROPE", "VIEW", "SET_ROWS"),
)
_STREAMS: Final = ("SCALE", "UNARY", "SCALE", "DSV4_HC_POST")
_ALL: Final = (*_ROUTING, *_TOGETHER, _STREAMS)
# A step and the one behind it that it may bring along; the first two not only from next to it.
_APART: Final = frozenset({("RMS_NORM", "MUL"), ("UNARY", "MUL")})
_NEXT: Final = frozenset(
    {
        ("MUL_MAT", "ADD"),
        ("MUL_MAT_ID", "ADD_ID"),
        ("MUL_MAT_ID", "MUL"),
        ("ADD", "ADD"),
        ("SSM_CONV", "ADD"),
        ("SSM_CONV", "UNARY"),
    }
)
# Two steps in a row, and the further one that is brought along.
_THIRDS: Final = {
    ("MUL_MAT_ID", "ADD_ID"): "MUL",
    ("MUL_MAT", "ADD"): "ADD",
    ("SSM_CONV", "ADD"): "UNARY",
}
_ACTIVATED: Final = ("F32", "F16")


def fuse(part: Part) -> Sequence[Tensor]:
    """Return the part's nodes in the order that they run in; what is to be kept is noted."""
    return _Order(part).made()


class _Order:
    """A part that is put in order, set by set."""

    def __init__(self, part: Part) -> None:
        self._part = part
        self._nodes = nodes = part.nodes[part.start : part.end]
        self._used = [False] * len(nodes)
        self._done: set[int] = set()
        self._order: list[Tensor] = []
        self._first = 0
        self._empty = [is_empty(node) for node in nodes]
        self._srcs = [frozenset(map(id, node.srcs)) for node in nodes]
        self._root = [id(node.root) for node in nodes]
        self._src_roots = [frozenset(id(src.root) for src in node.srcs) for node in nodes]

    def made(self) -> list[Tensor]:
        """Return the order."""
        while self._first < len(self._nodes):
            together = self._pattern_at_first()
            if together:
                self._take(range(self._first, self._first + together))
            else:
                self._take(self._next_set())
        return self._order

    def _take(self, chosen: Sequence[int]) -> None:
        for at in chosen:
            self._order.append(self._nodes[at])
            self._done.add(id(self._nodes[at]))
            self._used[at] = True
        while self._first < len(self._nodes) and self._used[self._first]:
            self._first += 1

    def _matches(self, ops: Sequence[str], at: int) -> bool:
        if at < 0 or at + len(ops) > len(self._nodes):
            return False
        return all(
            self._nodes[at + step].op == op and not self._used[at + step]
            for step, op in enumerate(ops)
        )

    def _pattern_at_first(self) -> int:
        """Return how many nodes stay together from the first one on; note what they keep."""
        first = self._first
        for ops in _ROUTING:
            if self._matches(ops, first):
                last = first + len(ops) - 1
                if last + 1 < len(self._nodes) and self._nodes[last + 1].op == "SCALE":
                    last += 1
                self._keep_sources(len(ops), last)
                return len(ops)
        for ops in _TOGETHER:
            if self._matches(ops, first):
                return len(ops)
        if self._matches(_STREAMS, first):
            self._keep_sources(len(_STREAMS), first + len(_STREAMS) - 1)
            return len(_STREAMS)
        return 0

    def _keep_sources(self, count: int, last: int) -> None:
        """Note that what a pattern reads from outside is kept until its last node."""
        group = self._nodes[self._first : self._first + count]
        keep_outer(self._part, self._nodes[last], group)

    def _next_set(self) -> list[int]:
        """Return the first node and those after it that need not wait for what lies between."""
        chosen = [self._first]
        for at in range(self._first + 1, min(self._first + _LOOKS_AHEAD, len(self._nodes))):
            if self._used[at] or self._empty[at] or self._begins_pattern(at):
                continue
            if self._is_free(at, chosen):
                chosen.append(at)
                self._pull(at, chosen)
        # what only looks at memory, unless an addition is to meet what comes next
        if self._nodes[chosen[-1]].op != "ADD":
            for at in range(self._first + 1, min(self._first + _LOOKS_AHEAD, len(self._nodes))):
                if self._used[at] or not self._empty[at]:
                    continue
                among = set(chosen)
                if not any(
                    not self._used[before] and before not in among and self._waits(at, before)
                    for before in range(self._first, at)
                ):
                    chosen.append(at)
        return chosen

    def _begins_pattern(self, at: int) -> bool:
        inside = range(len(_SELECTION))
        return any(self._matches(_SELECTION, at - step) for step in inside) or any(
            self._matches(ops, at) for ops in _ALL
        )

    def _waits(self, later: int, earlier: int) -> bool:
        """Return whether a node reads or writes what an earlier one does."""
        if id(self._nodes[earlier]) in self._srcs[later]:
            return True
        if not (self._empty[later] or self._empty[earlier]) and (
            self._root[earlier] in self._src_roots[later]
            or self._root[later] in self._src_roots[earlier]
        ):
            return True
        return self._root[later] == self._root[earlier]

    def _is_free(self, at: int, chosen: Sequence[int]) -> bool:
        last = chosen[-1]
        for before in range(self._first, at):
            if self._used[before] or not self._waits(at, before):
                continue
            pair = (self._nodes[before].op, self._nodes[at].op)
            if before != last:
                return False
            if pair in _APART and self._nothing_between(before + 1, at):
                continue
            if not (at == before + 1 and pair in _NEXT):
                return False
        return True

    def _nothing_between(self, low: int, high: int) -> bool:
        return all(self._used[at] or self._empty[at] for at in range(low, high))

    # what follows a node in one step

    def _pull(self, at: int, chosen: list[int]) -> None:
        nodes = self._nodes
        rope = at
        pair = (nodes[at - 1].op, nodes[at].op)
        if pair == ("RMS_NORM", "MUL"):
            found = next((k for k in self._ahead(at) if self._turns(k, at)), None)
            if found is not None:
                rope = found
                self._add(chosen, found)
        if nodes[rope].op in ("ROPE", "RMS_NORM"):
            self._pull_store(rope, chosen)
        third = _THIRDS.get(pair)
        if third is not None:
            found = next((k for k in self._ahead(at) if self._follows(k, at, third)), None)
            if found is not None:
                self._add(chosen, found)
        if nodes[at].op == "UNARY":
            self._pull_product(at, chosen)

    def _add(self, chosen: list[int], at: int) -> None:
        chosen.append(at)
        self._used[at] = True

    def _ahead(self, at: int) -> range:
        return range(at + 1, min(at + _PULLS_FROM, len(self._nodes)))

    def _turns(self, at: int, source: int) -> bool:
        node = self._nodes[at]
        return (
            node.op == "ROPE"
            and reads(node, 0, self._nodes[source])
            and all(src.op == NONE for src in node.srcs[1:])
        )

    def _follows(self, at: int, source: int, op: str) -> bool:
        node = self._nodes[at]
        if node.op != op or not reads(node, 0, self._nodes[source]):
            return False
        return op == "UNARY" or self._is_there(node.srcs[1])

    def _is_there(self, source: Tensor) -> bool:
        return source.op == NONE or id(source) in self._done

    def _pull_store(self, at: int, chosen: list[int]) -> None:
        """Bring along the view of a result and the step that stores it in the cache."""
        nodes = self._nodes
        view: int | None = None
        for k in self._ahead(at):
            if self._used[k]:
                continue
            if view is None:
                if nodes[k].op == "VIEW" and reads(nodes[k], 0, nodes[at]):
                    view = k
            elif nodes[k].op == "SET_ROWS" and reads(nodes[k], 0, nodes[view]):
                group = (nodes[at], nodes[view], nodes[k])
                if is_alone(self._part, group, (nodes[k],)) and not any(
                    not self._used[c] and not self._empty[c] and self._waits(k, c)
                    for c in range(at + 1, k)
                ):
                    self._add(chosen, view)
                    self._add(chosen, k)
                return

    def _pull_product(self, at: int, chosen: list[int]) -> None:
        """Bring along the product of an activation with something that is there."""
        activation = self._nodes[at]
        for k in self._ahead(at):
            product = self._nodes[k]
            if product.op != "MUL" or all(src is not activation for src in product.srcs):
                continue
            first = product.srcs[0] is activation
            other = product.srcs[1 if first else 0]
            if self._is_there(other) and _multiplies(activation, product, other, first=first):
                self._add(chosen, k)
                return


def _multiplies(activation: Tensor, product: Tensor, other: Tensor, *, first: bool) -> bool:
    """Return whether one kernel activates and multiplies."""
    kinds = {activation.type, product.type, other.type}
    if len(kinds) > 1 or activation.type not in _ACTIVATED:
        return False
    if not (is_contiguous_from(other, 1) and is_contiguous_from(activation.srcs[0], 1)):
        return False
    small, large = (other, activation) if first else (activation, other)
    return all(n % part == 0 for n, part in zip(large.ne, small.ne, strict=True))
