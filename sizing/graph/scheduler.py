"""Which back end runs each node, where the graph is cut, and what is copied between.

Source: llama.cpp ggml/src/ggml-backend.cpp (ggml_backend_sched_split_graph), src/llama-context.cpp
(graph_get_cb), ggml/src/ggml-cuda/ggml-cuda.cu (which operations on host weights are offloaded).
"""

from __future__ import annotations

from whatfits.sizing.device_limits import WITHOUT_F32_SOURCES
from whatfits.sizing.graph.device_attention import fuses_attention
from whatfits.sizing.graph.fused import fuser_of
from whatfits.sizing.graph.tensor import F32_SOURCE, INPUT, NONE, OUTPUT, VIEWS, Tensor
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass, field

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Final

__all__ = ["OFFLOAD_MIN_BATCH", "Backends", "Laid", "Scheduler"]

_MAX_COPIES: Final = 4
OFFLOAD_MIN_BATCH: Final = 32
_FLASH: Final = "FLASH_ATTN_EXT"
_PRODUCTS: Final = frozenset({"MUL_MAT", "MUL_MAT_ID"})
_NOT_BY_WEIGHT: Final = frozenset({"ROPE", _FLASH})


@dataclass(frozen=True, slots=True)
class Backends:
    """The back ends of a run, the host last.

    Attributes:
        count: how many, the host included.
        takes_host_work: devices that take over large operations on weights of the host.
        no_flash: back ends that cannot run fused attention.
        copies: how many copies of inputs are kept (4 when pipelined).
        kinds: of the devices, as `cuda`, for what they change in a graph.
        host_types: storage types that devices cannot multiply with.
    """

    count: int
    takes_host_work: frozenset[int] = frozenset()
    no_flash: frozenset[int] = frozenset()
    copies: int = 1
    kinds: tuple[str, ...] = ()
    host_types: frozenset[str] = frozenset()

    @property
    def host(self) -> int:
        """Index of the host."""
        return self.count - 1

    def runs(self, backend: int, tensor: Tensor) -> bool:
        """Whether a back end can run a tensor's operation."""
        if tensor.op == _FLASH and backend != self.host:
            return backend not in self.no_flash and fuses_attention(tensor, self.kinds[backend])
        if tensor.flags & F32_SOURCE and backend != self.host:
            return self.kinds[backend] not in WITHOUT_F32_SOURCES
        if self.host_types and backend != self.host and tensor.op in _PRODUCTS:
            return tensor.srcs[0].type not in self.host_types
        return True


@dataclass(slots=True)
class Laid:
    """A graph ready for the allocator: each leaf and node knows its place.

    Attributes:
        leafs: its leaves.
        nodes: its nodes.
        n_inputs: so many leaves, the first ones, are inputs that are kept several times.
    """

    leafs: Sequence[Tensor]
    nodes: Sequence[Tensor]
    n_inputs: int = 0


@dataclass(slots=True)
class _Split:
    backend: int
    start: int
    inputs: list[Tensor] = field(default_factory=list)
    end: int = 0


class Scheduler:
    """Places the tensors of one graph, as often as wanted, and lays it out."""

    def __init__(
        self, nodes: Sequence[Tensor], leafs: Sequence[Tensor], backends: Backends
    ) -> None:
        """Look at a graph; nothing is placed yet."""
        self.nodes = nodes
        self.leafs = leafs
        self.backends = backends
        self.host = backends.host
        self.copies: dict[tuple[int, int], list[Tensor]] = {}
        self._first: list[int | None] | None = None
        self._replaced: list[tuple[Tensor, tuple[Tensor, ...]]] = []

    def place(self, *, pinned: bool) -> tuple[int | None, ...]:
        """Place every tensor, anew; return where leaves and nodes lie.

        `pinned`: what wants to be on a back end is put there.
        """
        if self.backends.count == 1:
            for tensors in (self.leafs, self.nodes):
                for tensor in tensors:
                    tensor.place = 0
        else:
            self._assign(pinned=pinned)
        return tuple([tensor.place for tensor in (*self.leafs, *self.nodes)])

    def lay(self, *, fused: bool = False) -> Laid:
        """Return the placed graph with its copies, in the order the allocator sees it.

        With one back end nothing changes. `fused`: with what devices change in their parts.
        """
        if self.backends.count == 1:
            return Laid(self.leafs, self.nodes)
        uses = self._uses() if fused else None  # before copies take the place of sources
        return self._laid(self._cut(), uses)

    def forget(self) -> None:
        """Make the graph ready to be laid again: sources and the allocator's notes as they were."""
        while self._replaced:
            node, srcs = self._replaced.pop()
            node.srcs = srcs
        self.copies.clear()
        for tensors in (self.leafs, self.nodes):
            for tensor in tensors:
                tensor.held = False
                tensor.children = tensor.views = 0

    # where things run

    def _assign(self, *, pinned: bool) -> None:
        """Passes 1 to 4: by weights, by neighbours, by sources."""
        if self._first is None:
            self._first = [self._from_sources(tensor) for tensor in (*self.leafs, *self.nodes)]
        for tensor, place in zip((*self.leafs, *self.nodes), self._first, strict=True):
            tensor.place = tensor.wants if pinned and tensor.wants is not None else place
        working = [node for node in self.nodes if node.op not in VIEWS]
        back = working[::-1]
        for order, host_too in ((working, False), (back, False), (working, True), (back, True)):
            if not self._spread(order, host_too=host_too):
                break
        else:
            for node in working:
                if node.place is None:
                    node.place = self._most_at_home(node)
        for node in self.nodes:
            self._settle(node)

    def _home(self, tensor: Tensor, operation: Tensor) -> int | None:
        """Return the first back end that has the tensor's memory and can run the operation."""
        home = tensor.root.home
        if home is None or not self.backends.runs(home, operation):
            return None
        return home

    def _from_sources(self, tensor: Tensor) -> int | None:
        if (tensor.view_of or tensor).home is not None:
            return self._home(tensor, tensor)
        if tensor.flags & INPUT:
            return self.host
        if tensor.op in _NOT_BY_WEIGHT:
            return None
        for src in tensor.srcs:
            if src.is_weight:
                home = self._home(src, tensor)
                if home == self.host and self._is_offloaded(tensor):
                    for device in sorted(self.backends.takes_host_work):
                        if self.backends.runs(device, tensor):
                            return device
                return home
        return None

    def _is_offloaded(self, tensor: Tensor) -> bool:
        return _batch_of(tensor) >= OFFLOAD_MIN_BATCH

    def _spread(self, order: Iterable[Tensor], *, host_too: bool) -> bool:
        """Give unassigned nodes the back end of the node before; devices first, then the host.

        Return whether any is left without.
        """
        current: int | None = None
        is_left = False
        host, backends = self.host, self.backends
        for node in order:
            place = node.place
            if place is not None:
                current = place if host_too or place != host else None
            elif current is not None and backends.runs(current, node):
                node.place = current
            else:
                is_left = True
        return is_left

    def _most_at_home(self, node: Tensor) -> int:
        best, chosen = -1, self.backends.host
        for backend in range(self.backends.count):
            if not self.backends.runs(backend, node):
                continue
            supported = sum(self._is_at(src, backend) for src in node.srcs)
            if supported > best:
                best, chosen = supported, backend
        return chosen

    def _settle(self, node: Tensor) -> None:
        """Give views the place of what they look at, and sources that have none the node's."""
        if node.place is None and node.view_of is not None:
            node.place = node.view_of.place
        for src in node.srcs:
            if src.place is None:
                src.place = node.place if src.view_of is None else src.view_of.place
        if node.place is None:
            node.place = next(b for b in range(self.backends.count) if self.backends.runs(b, node))

    def _is_at(self, tensor: Tensor, backend: int) -> bool:
        """Whether a back end can read a tensor where it lies."""
        root = tensor.view_of or tensor
        if root.home is not None:
            return root.home == backend
        return (root.place if tensor.place is None else tensor.place) == backend

    # cutting and copying

    def _cut(self) -> list[_Split]:
        """Pass 5: start a split where the back end changes, or where weights come to be copied."""
        current = _Split(next(_place(node) for node in self.nodes if node.op not in VIEWS), 0)
        splits = [current]
        for index, node in enumerate(self.nodes):
            if node.op in VIEWS:
                continue
            if node.place != current.backend or (
                current.inputs and self._needs_new_split(node, current.backend)
            ):
                current.end = index
                current = _Split(_place(node), index)
                splits.append(current)
            for src in node.srcs:
                if src.place != current.backend:
                    self._bring_sources(node, current)
                    break
        splits[-1].end = len(self.nodes)
        return splits

    def _needs_new_split(self, node: Tensor, backend: int) -> bool:
        for src in node.srcs:
            if src.is_weight and src.place != backend and not self._is_at(src, backend):
                return True
        return False

    def _bring_sources(self, node: Tensor, current: _Split) -> None:
        backend = current.backend
        srcs = node.srcs
        for position, src in enumerate(srcs):
            if src.place == backend or self._is_at(src, backend):
                continue
            key = (id(src), backend)
            if key not in self.copies:
                self.copies[key] = self._copies_of(src, backend)
                current.inputs.append(src)
            if node.srcs is srcs:
                self._replaced.append((node, srcs))
            node.srcs = (*node.srcs[:position], self.copies[key][0], *srcs[position + 1 :])

    def _copies_of(self, tensor: Tensor, place: int, *, original: bool = False) -> list[Tensor]:
        made = []
        for number in range(self.backends.copies):
            keep = original and number == 0
            one = tensor if keep else Tensor(NONE, tensor.type, tensor.ne, nb=tensor.nb)
            one.place = place
            if self.backends.copies > 1:
                one.flags |= INPUT | OUTPUT
            made.append(one)
        return made

    def _laid(self, splits: Sequence[_Split], uses: Mapping[int, int] | None) -> Laid:
        """Return the graph with its copies, in the order the allocator sees it."""
        kept: dict[int, list[Tensor]] = {}
        nodes: list[Tensor] = []
        leafs: list[Tensor] = []
        inputs = self._kept_inputs()
        n_inputs = 0
        for part in splits:
            for tensor in part.inputs:
                # a view without an operation keeps the source alive until it has been copied
                held = Tensor(
                    NONE, tensor.type, tensor.ne, nb=tensor.nb, srcs=(tensor,), view_of=tensor
                )
                held.place = tensor.place
                nodes += (held, self.copies[id(tensor), part.backend][0])
            if uses is None or part.backend == self.host:
                nodes += self.nodes[part.start : part.end]
            else:
                nodes += self._fused(part, uses, kept)
        if kept:
            from whatfits.sizing.graph.fused.kept import with_kept  # noqa: PLC0415 - devices' alone

            nodes = list(with_kept(nodes, kept))
        if self.backends.copies > 1:
            for leaf in inputs:
                leafs += self.copies[id(leaf), _place(leaf)]
            n_inputs = len(leafs)
            for part in splits:
                for tensor in part.inputs:
                    leafs += self.copies[id(tensor), part.backend]
        leafs += self.leafs
        return Laid(leafs, nodes, n_inputs)

    def _uses(self) -> Mapping[int, int]:
        from whatfits.sizing.graph.fused.kept import uses_of  # noqa: PLC0415 - devices' alone

        return uses_of(self.nodes)

    def _fused(
        self, split: _Split, uses: Mapping[int, int], kept: dict[int, list[Tensor]]
    ) -> Sequence[Tensor]:
        """Return a split's nodes in the order that its device gives them; note what it keeps."""
        fuse = fuser_of(self.backends.kinds[split.backend])
        if fuse is None:
            return self.nodes[split.start : split.end]
        from whatfits.sizing.graph.fused.patterns import Part  # noqa: PLC0415 - devices' alone

        return fuse(Part(self.nodes, split.start, split.end, uses, kept))

    def _kept_inputs(self) -> list[Tensor]:
        """Pass 6: with several copies every graph input is kept as often."""
        if self.backends.copies == 1:
            return []
        kept = [leaf for leaf in self.leafs if leaf.flags & INPUT]
        for leaf in kept:
            place = _place(leaf)
            if (id(leaf), place) not in self.copies:
                self.copies[id(leaf), place] = self._copies_of(leaf, place, original=True)
        return kept


def _place(tensor: Tensor) -> int:
    assert tensor.place is not None, "places are given before the graph is cut"
    return tensor.place


def _batch_of(tensor: Tensor) -> int:
    """Return how many rows an operation works on, as the CUDA back end counts them."""
    match tensor.op:
        case "GET_ROWS":
            return 0
        case "MUL_MAT":
            return tensor.ne[1]
        case "MUL_MAT_ID" | "ROPE":
            return tensor.ne[2]
        case _:
            return tensor.ne[1] * tensor.ne[2] * tensor.ne[3]
