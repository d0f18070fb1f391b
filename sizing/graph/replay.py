"""One graph, built once: where its steps run, and what they make the allocator do."""

from __future__ import annotations

from functools import cached_property

from whatfits.sizing.buffers import alignment_of, allocated_bytes
from whatfits.sizing.graph.budget import GraphSize
from whatfits.sizing.graph.scheduler import Backends, Scheduler
from whatfits.sizing.graph.scratch import MAY_NEED_SCRATCH, scratch_bytes
from whatfits.sizing.graph.steps import Steps, steps_of
from whatfits.sizing.graph.tensor import NONE
from whatfits.sizing.quants.ggml_types import GGML_TYPES
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext
    from whatfits.sizing.graph.reduce import Stretch
    from whatfits.sizing.graph.tensor import Tensor

__all__ = ["Graph"]

_HOST: Final = "cpu"
# rows of these are never lengthened
_UNPADDED: Final = frozenset(name for name, t in GGML_TYPES.items() if t.block_elements == 1)


class Graph:
    """A graph that can be placed and laid out several times.

    Attributes:
        size: before it is split over devices.
    """

    def __init__(
        self, context: GraphContext, backends: Backends, device_kinds: Sequence[str]
    ) -> None:
        """Take a built graph; `device_kinds` are those of the accelerators."""
        self._context = context
        self._scheduler = Scheduler(context.nodes, context.leafs, backends)
        self._kinds = (*device_kinds, _HOST)
        self._alignments = [alignment_of(kind) for kind in self._kinds]
        self._known: dict[tuple[tuple[int | None, ...], bool, bool], Steps] = {}
        self.size = _size(len(context.nodes), context.leafs)

    @cached_property
    def _marks(self) -> dict[int, int]:
        """The first node that reads a weight of each layer: identity → number of the layer.

        To be asked for before the graph is laid out: then copies take the place of weights.
        """
        return _first_nodes(self._context.nodes, self._context.layers)

    def places_of(self, op: str, *, pinned: bool) -> list[int | None]:
        """Return where the steps of an operation run, in order; without those of `unlisted`."""
        self._scheduler.place(pinned=pinned)
        unlisted = {id(node) for nodes in self.unlisted.values() for node in nodes}
        nodes = self._context.nodes
        return [node.place for node in nodes if node.op == op and id(node) not in unlisted]

    @property
    def unlisted(self) -> dict[int, list[Tensor]]:
        """By layer: fused attention that llama.cpp does not look for before it decides on it."""
        return self._context.unlisted

    def steps(self, *, pinned: bool, scratch: bool, fused: bool = False) -> Steps:
        """Return the allocator's steps; the same object where nothing about them differs.

        `pinned`: steps that want to be on a back end are put there; `scratch`: with the scratch
        space that back ends add; `fused`: with what they change in the graph.
        """
        key = (self._scheduler.place(pinned=pinned), scratch, fused)
        known = self._known.get(key)
        if known is None:
            marks = self._marks
            laid = self._scheduler.lay(fused=fused)
            known = self._known[key] = steps_of(
                laid.leafs,
                laid.nodes,
                self._sizes(scratch=scratch),
                alignments=self._alignments,
                marks=marks,
                n_inputs=laid.n_inputs,
            )
            self._scheduler.forget()
        return known

    def _sizes(self, *, scratch: bool) -> Callable[[Tensor, int], int]:
        """Return what tells the bytes of a tensor in an arena."""
        kinds, alignments, host = self._kinds, self._alignments, len(self._kinds) - 1

        def size_on(tensor: Tensor, arena: int) -> int:
            size = tensor.n_bytes
            if arena == host:
                return size  # the padding comes later
            kind = kinds[arena]
            if scratch and tensor.op in MAY_NEED_SCRATCH:
                size += scratch_bytes(tensor, kind)
            if tensor.type in _UNPADDED:
                alignment = alignments[arena]
                return -(-size // alignment) * alignment
            return allocated_bytes(tensor.type, tensor.ne[0], size, device_kind=kind)

        return size_on

    def size_of_period(self, stretch: Stretch, first_layer: int) -> GraphSize:
        """Return what one more period of a stretch would add.

        `first_layer` is the number of its first layer in the graph.
        """
        last = first_layer + len(stretch.layers) - 1
        first = last - stretch.period
        inside: set[Tensor] = set()
        outside: set[Tensor] = set()
        n_nodes, within = 0, False
        for node in self._context.nodes:
            layer = self._marks.get(id(node))
            if layer is not None and layer in (first, last):
                within = layer == first
            n_nodes += within
            (inside if within else outside).update(src for src in node.srcs if src.op == NONE)
        return _size(n_nodes, inside - outside)


def _size(n_nodes: int, leafs: Collection[Tensor]) -> GraphSize:
    """Return the size of a graph, or of a part: weights and caches are at home somewhere."""
    made = sum(leaf.home is None for leaf in leafs)
    return GraphSize(n_nodes + len(leafs), n_nodes + made)


def _first_nodes(nodes: Sequence[Tensor], layers: Sequence[int]) -> dict[int, int]:
    """Return the first node that reads a weight of each layer: identity → number of the layer."""
    firsts: dict[int, int] = {}
    for node in nodes:
        for src in node.srcs:
            if src.layer is not None:
                firsts.setdefault(src.layer, id(node))
    return {firsts[layer]: number for number, layer in enumerate(layers) if layer in firsts}
