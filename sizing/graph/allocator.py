"""The replay of ggml's graph allocator: offsets handed out best-fit, freed when last used.

Leaves come first, then inputs, then nodes in order. A node takes over its parent's memory when its
operation allows, the parent has no other user or view, is no output and has the same layout.
Source: llama.cpp ggml/src/ggml-alloc.c (ggml_gallocr_alloc_graph_impl, ggml_dyn_tallocr_alloc).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whatfits.sizing.graph.tensor import INPUT, NONE, OUTPUT
from whatfits.sizing.units import pad

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from whatfits.sizing.graph.tensor import Tensor

__all__ = ["Arena", "replay"]

_MAY_TAKE_OVER: Final = frozenset(
    {
        "FILL",
        "SCALE",
        "DIAG_MASK_ZERO",
        "DIAG_MASK_INF",
        "ADD",
        "ADD_ID",
        "ADD1",
        "SUB",
        "MUL",
        "DIV",
        "SQR",
        "SQRT",
        "LOG",
        "UNARY",
        "ROPE",
        "RMS_NORM",
        "CLAMP",
        "SOFT_MAX",
    }
)
_ENDLESS: Final = 1 << 62


class Arena:
    """Free memory of one buffer: blocks (offset, size) in order; the last one has no end."""

    def __init__(self, alignment: int) -> None:
        """Start with one endless block."""
        self.alignment = alignment
        self.blocks: list[list[int]] = [[0, _ENDLESS]]
        self.peak = 0

    def take(self, size: int) -> int:
        """Return the offset of `size` bytes: the tightest hole, else the end."""
        best, best_size = -1, _ENDLESS
        blocks = self.blocks
        for index in range(len(blocks) - 1):
            room = blocks[index][1]
            if size <= room <= best_size:
                best, best_size = index, room
        block = blocks[best]
        offset = block[0]
        block[0] += size
        block[1] -= size
        if block[1] == 0:
            del blocks[best]
        self.peak = max(self.peak, offset + size)
        return offset

    def give_back(self, offset: int, size: int) -> None:
        """Free bytes, joined with the free blocks they touch."""
        blocks = self.blocks
        for index, block in enumerate(blocks):
            if block[0] + block[1] == offset:
                block[1] += size
                if index + 1 < len(blocks) and block[0] + block[1] == blocks[index + 1][0]:
                    block[1] += blocks.pop(index + 1)[1]
                return
            if offset + size == block[0]:
                block[0] = offset
                block[1] += size
                if index and blocks[index - 1][0] + blocks[index - 1][1] == block[0]:
                    blocks[index - 1][1] += blocks.pop(index)[1]
                return
        place = 0
        while place < len(blocks) and blocks[place][0] < offset:
            place += 1
        blocks.insert(place, [offset, size])


class _Replay:
    """State of one replay; what is remembered of a tensor lies in the tensor itself."""

    __slots__ = ("arenas", "size_on")

    def __init__(self, arenas: Sequence[Arena], size_on: Callable[[Tensor, int], int]) -> None:
        self.arenas = arenas
        self.size_on = size_on

    def allocate(self, tensor: Tensor, arena: int) -> None:
        """Give a tensor memory of its own: one that has none, is no view and needs some."""
        tensor.held = True
        if tensor.op in _MAY_TAKE_OVER and self._take_over(tensor, arena):
            return
        home = self.arenas[arena]
        tensor.arena = arena
        tensor.room = pad(self.size_on(tensor, arena), home.alignment)
        tensor.offset = home.take(tensor.room)

    def _take_over(self, tensor: Tensor, arena: int) -> bool:
        for parent in tensor.srcs:
            # a view never holds memory itself, so it is never taken over
            if not parent.held or parent.flags & OUTPUT:
                continue
            if parent.children != 1 or parent.views or not tensor.same_layout(parent):
                continue
            tensor.arena, tensor.offset = parent.arena, parent.offset
            parent.held = False
            home = self.arenas[tensor.arena]
            tensor.room = pad(self.size_on(tensor, arena), home.alignment)
            if parent.room > tensor.room:
                home.give_back(tensor.offset + tensor.room, parent.room - tensor.room)
            return True
        return False

    def release(self, tensor: Tensor) -> None:
        if not tensor.flags & OUTPUT:
            self.arenas[tensor.arena].give_back(tensor.offset, tensor.room)
            tensor.held = False

    def snapshot(self, node: Tensor) -> Hashable:
        """Return what is free, and where the node's own sources lie."""
        free = tuple(tuple(map(tuple, arena.blocks)) for arena in self.arenas)
        return free, tuple((src.root.arena, src.root.offset) for src in node.srcs)

    def let_go(self, parent: Tensor) -> None:
        """Free what nobody will read any more, or the memory that such a view looked at."""
        root = parent.view_of
        if root is not None:
            root.views -= 1
            if not root.views and not root.children and root.held:
                self.release(root)
        elif parent.held:
            self.release(parent)


def replay(
    leafs: Sequence[Tensor],
    nodes: Sequence[Tensor],
    arenas: Sequence[Arena],
    size_on: Callable[[Tensor, int], int],
    *,
    marks: Mapping[int, int],
) -> dict[int, Hashable]:
    """Lay out a graph, once; each arena's `peak` is then the size of that buffer.

    The arena of a leaf or node is that of its place; `size_on` returns what a tensor takes in an
    arena's buffer. Returned is the state of the memory before each marked node: `marks` are the
    nodes' identities, each with its key in the answer.
    """
    state = _Replay(arenas, size_on)
    seen: dict[int, Hashable] = {}
    for leaf in leafs:
        if _needs_memory(leaf):
            state.allocate(leaf, _arena_of(leaf))
    _count_users(state, nodes)
    for node in nodes:
        if id(node) in marks:
            seen[marks[id(node)]] = state.snapshot(node)
        srcs = node.srcs
        for src in srcs:
            if not src.held and src.view_of is None and src.home is None:
                state.allocate(src, _arena_of(node))
        if not node.held and node.view_of is None and node.home is None:
            state.allocate(node, _arena_of(node))
        for src in srcs:
            src.children -= 1
            if not src.children and not src.views:
                state.let_go(src)
    return seen


def _count_users(state: _Replay, nodes: Sequence[Tensor]) -> None:
    """Count users and views of every tensor; inputs are given their place on the way."""
    for node in nodes:
        if node.view_of is not None and node.op != NONE:
            node.view_of.views += 1
        if node.flags & INPUT and _needs_memory(node):
            state.allocate(node, _arena_of(node))
        for src in node.srcs:
            src.children += 1
            if src.flags & INPUT and _needs_memory(src):
                state.allocate(src, _arena_of(node))


def _needs_memory(tensor: Tensor) -> bool:
    """Return whether a tensor still has to be given memory: it has none and is no view."""
    return not tensor.held and tensor.view_of is None and tensor.home is None


def _arena_of(tensor: Tensor) -> int:
    assert tensor.place is not None, "the scheduler comes first"
    return tensor.place
