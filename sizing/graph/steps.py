"""What ggml's graph allocator does, step by step: everything but the addresses.

Which tensor takes memory, which takes over its parent's, and when memory is given back follows from
the graph alone; only the addresses depend on what is free. Leaves come first, then inputs, then
nodes in order. A node takes over its parent's memory when its operation allows, the parent has no
other user or view, is no output and has the same layout.
Source: llama.cpp ggml/src/ggml-alloc.c (ggml_gallocr_alloc_graph_impl).
"""

from __future__ import annotations

from whatfits.sizing.graph.tensor import INPUT, NONE, OUTPUT
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import pad

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Final

    from whatfits.sizing.graph.tensor import Tensor

__all__ = ["Mark", "Step", "Steps", "steps_of"]

Step = tuple[int, int] | tuple[int, int, int, int]
"""Takes memory: (arena, bytes), in a slot of its own, counted from 0. Or gives it back: (arena,
slot, bytes behind the slot's begin, bytes)."""

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


class Mark(NamedTuple):
    """Where a layer begins.

    Attributes:
        step: its first step.
        slot: the next slot then.
    """

    step: int
    slot: int


class Steps(NamedTuple):
    """The allocator's steps for one graph.

    Attributes:
        fixed: what takes memory before the first node, in slots 0, 1, ...
        steps: what follows.
        marks: where each layer begins. Layers are numbered from 0 as they are in the graph,
            whichever layers of the model they are.
        own: the layer that a slot serves, of those that hold a leaf, or a copy that was brought to
            a device, for one layer alone.
    """

    fixed: list[Step]
    steps: list[Step]
    marks: dict[int, Mark]
    own: dict[int, int]


def steps_of(
    leafs: Sequence[Tensor],
    nodes: Sequence[Tensor],
    size_on: Callable[[Tensor, int], int],
    *,
    alignments: Sequence[int],
    marks: Mapping[int, int],
    n_inputs: int = 0,
) -> Steps:
    """Return the steps of a graph whose leaves and nodes know their place.

    The arena of a leaf or node is that of its place; `size_on` returns what a tensor takes in an
    arena, before it is padded to the arena's alignment. `marks` are the first nodes of layers:
    identity → number of the layer. The notes in the tensors are used up.
    `n_inputs` leaves, the first ones, are inputs of all layers.
    """
    fixed: list[Step] = []
    start = _Writer(fixed, size_on, alignments)
    start.hold_leafs(leafs, nodes)
    steps: list[Step] = []
    writer = _Writer(steps, size_on, alignments, n_slots=len(fixed))
    found: dict[int, Mark] = {}
    for node in nodes:
        layer = marks.get(id(node))
        if layer is not None:
            found[layer] = Mark(len(steps), writer.n_slots)
        srcs = node.srcs
        for src in srcs:
            if not src.held and src.view_of is None and src.home is None:
                writer.hold(src, _arena_of(node))
        if not node.held and node.view_of is None and node.home is None:
            writer.hold(node, _arena_of(node))
        for src in srcs:
            src.children -= 1
            if not src.children and not src.views:
                writer.let_go(src)
    return Steps(fixed, steps, found, _own(nodes, leafs, marks, n_inputs))


class _Writer:
    """Writes down steps, one after the other; what is remembered of a tensor lies in itself."""

    __slots__ = ("_alignments", "_size_on", "n_slots", "steps")

    def __init__(
        self,
        steps: list[Step],
        size_on: Callable[[Tensor, int], int],
        alignments: Sequence[int],
        *,
        n_slots: int = 0,
    ) -> None:
        self.steps = steps
        self.n_slots = n_slots
        self._size_on = size_on
        self._alignments = alignments

    def hold_leafs(self, leafs: Sequence[Tensor], nodes: Sequence[Tensor]) -> None:
        """Hold leaves, inputs among them, and count users and views of every tensor."""
        for leaf in leafs:
            if not leaf.held and leaf.view_of is None and leaf.home is None:
                self.hold(leaf, _arena_of(leaf))
        for node in nodes:
            root = node.view_of
            if root is not None and node.op != NONE:
                root.views += 1
            for src in node.srcs:
                src.children += 1

    def hold(self, tensor: Tensor, arena: int) -> None:
        """Give a tensor its parent's memory, or some of its own."""
        tensor.held = True
        if tensor.op in _MAY_TAKE_OVER and self._take_over(tensor, arena):
            return
        alignment = self._alignments[arena]
        room = -(-self._size_on(tensor, arena) // alignment) * alignment
        tensor.arena, tensor.slot, tensor.room = arena, self.n_slots, room
        self.n_slots += 1
        self.steps.append((arena, room))

    def _take_over(self, tensor: Tensor, arena: int) -> bool:
        for parent in tensor.srcs:
            # a view never holds memory itself, so it is never taken over
            if not parent.held or parent.flags & OUTPUT:
                continue
            if parent.children != 1 or parent.views or not tensor.same_layout(parent):
                continue
            parent.held = False
            tensor.arena, tensor.slot = parent.arena, parent.slot
            room = tensor.room = pad(self._size_on(tensor, arena), self._alignments[parent.arena])
            if parent.room > room:
                self.steps.append((parent.arena, parent.slot, room, parent.room - room))
            return True
        return False

    def let_go(self, parent: Tensor) -> None:
        """Free what nobody will read any more, or the memory that such a view looked at."""
        freed = parent
        if parent.view_of is not None:
            freed = parent.view_of
            freed.views -= 1
            if freed.views or freed.children:
                return
        if freed.held and not freed.flags & OUTPUT:
            self.steps.append((freed.arena, freed.slot, 0, freed.room))
            freed.held = False


def _own(
    nodes: Sequence[Tensor], leafs: Sequence[Tensor], marks: Mapping[int, int], n_inputs: int
) -> dict[int, int]:
    """Return which layer a leaf's or copy's slot serves, where it serves just one."""
    inputs = {id(leaf) for leaf in leafs[:n_inputs]}
    slots = {
        id(tensor): tensor.slot
        for tensors in (leafs, nodes)
        for tensor in tensors
        # inputs serve all layers
        if tensor.op == NONE
        and tensor.flags != INPUT
        and tensor.home is None
        and tensor.view_of is None
        and id(tensor) not in inputs
    }
    if not slots:
        return {}
    own: dict[int, int | None] = {}
    layer: int | None = None
    for node in nodes:
        layer = marks.get(id(node), layer)
        for src in node.srcs:
            slot = slots.get(id(src))
            if slot is not None and own.setdefault(slot, layer) != layer:
                own[slot] = None
    # further copies of an input have no users: they go with the first one, before them
    for slot in sorted(slots[id(leaf)] for leaf in leafs[n_inputs:] if id(leaf) in slots):
        if slot not in own and slot:
            own[slot] = own.get(slot - 1)
    return {slot: layer for slot, layer in own.items() if layer is not None}


def _arena_of(tensor: Tensor) -> int:
    assert tensor.place is not None, "the scheduler comes first"
    return tensor.place
