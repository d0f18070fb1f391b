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
    from collections.abc import Callable, Sequence

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


class _Slot:
    """What the allocator remembers of one tensor."""

    __slots__ = ("arena", "children", "held", "offset", "size", "views")

    def __init__(self) -> None:
        self.children = 0
        self.views = 0
        self.held = False
        self.offset = 0
        self.size = 0
        self.arena = 0


class _Replay:
    def __init__(self, arenas: Sequence[Arena], size_on: Callable[[Tensor, int], int]) -> None:
        self.arenas = arenas
        self.size_on = size_on
        self.slots: dict[int, _Slot] = {}

    def slot(self, tensor: Tensor) -> _Slot:
        found = self.slots.get(id(tensor))
        if found is None:
            found = self.slots[id(tensor)] = _Slot()
        return found

    def allocate(self, tensor: Tensor, arena: int) -> None:
        if tensor.view_of is not None or tensor.home is not None:
            return
        slot = self.slot(tensor)
        if slot.held:
            return
        slot.held = True
        if tensor.op in _MAY_TAKE_OVER and self._take_over(tensor, slot, arena):
            return
        slot.arena = arena
        slot.size = pad(self.size_on(tensor, arena), self.arenas[arena].alignment)
        slot.offset = self.arenas[arena].take(slot.size)

    def _take_over(self, tensor: Tensor, slot: _Slot, arena: int) -> bool:
        for parent in tensor.srcs:
            parent_slot = self.slots.get(id(parent))
            # a view never holds memory itself, so it is never taken over
            if parent_slot is None or not parent_slot.held or parent.flags & OUTPUT:
                continue
            if parent_slot.children != 1 or parent_slot.views or not tensor.same_layout(parent):
                continue
            slot.arena, slot.offset = parent_slot.arena, parent_slot.offset
            parent_slot.held = False
            home = self.arenas[slot.arena]
            slot.size = pad(self.size_on(tensor, arena), home.alignment)
            if parent_slot.size > slot.size:
                home.give_back(slot.offset + slot.size, parent_slot.size - slot.size)
            return True
        return False

    def release(self, tensor: Tensor) -> None:
        if tensor.flags & OUTPUT:
            return
        slot = self.slot(tensor)
        self.arenas[slot.arena].give_back(slot.offset, slot.size)
        slot.held = False

    def done_with(self, parent: Tensor) -> None:
        slot = self.slot(parent)
        slot.children -= 1
        if slot.children or slot.views:
            return
        if parent.view_of is not None:
            root = parent.view_of
            root_slot = self.slot(root)
            root_slot.views -= 1
            if not root_slot.views and not root_slot.children and root_slot.held:
                self.release(root)
        elif slot.held:
            self.release(parent)


def replay(
    leafs: Sequence[tuple[Tensor, int]],
    nodes: Sequence[tuple[Tensor, int]],
    arenas: Sequence[Arena],
    size_on: Callable[[Tensor, int], int],
) -> None:
    """Lay out a graph; each arena's `peak` is then the size of that buffer.

    Leaves and nodes come with the index of their arena; `size_on` returns what a tensor takes in
    an arena's buffer.
    """
    state = _Replay(arenas, size_on)
    for leaf, arena in leafs:
        state.allocate(leaf, arena)
    for node, arena in nodes:
        if node.view_of is not None and node.op != NONE:
            state.slot(node.view_of).views += 1
        if node.flags & INPUT:
            state.allocate(node, arena)
        for src in node.srcs:
            state.slot(src).children += 1
            if src.flags & INPUT:
                state.allocate(src, arena)
    for node, arena in nodes:
        for src in node.srcs:
            state.allocate(src, arena)
        state.allocate(node, arena)
        for src in node.srcs:
            state.done_with(src)
