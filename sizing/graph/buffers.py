"""Compute buffers of a run, to the byte, from a replay of its graph.

llama.cpp reserves the graph of one full micro-batch over the full cache (src/llama-context.cpp,
sched_reserve). Its plan without memory (a dry run) forgets which steps were pinned to a device
(ggml-backend.cpp: ggml_backend_sched_reserve_size starts with a reset), a real load does not; where
that can matter both are replayed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from whatfits.sizing.buffers import alignment_of, allocated_bytes
from whatfits.sizing.graph.allocator import Arena, replay
from whatfits.sizing.graph.budget import check_budget, table_size
from whatfits.sizing.graph.context import GraphContext
from whatfits.sizing.graph.index import TensorIndex
from whatfits.sizing.graph.models import graph_of, keeps_every_layer, mark_of
from whatfits.sizing.graph.reduce import Stretch, corrected, layers_of, stretches_of
from whatfits.sizing.graph.scheduler import Backends, split
from whatfits.sizing.graph.scratch import CUDA_LIKE, scratch_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from whatfits.sizing.graph.tensor import Tensor
    from whatfits.sizing.model import LayerSpec, ModelSpec, TensorSpec
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.settings import Settings

__all__ = ["GraphBuffers", "graph_buffers"]

_PIPELINE_COPIES: Final = 4  # GGML_SCHED_MAX_COPIES
_PIN_BELOW_TOKENS: Final = 32
_LAYER: Final = "blk."
_SURELY_SMALL: Final = 0.6  # of the room; layers that are left out may have more steps than others
# these never take over work on weights that lie on the host (no offload_op in their back end)
_LEAVE_HOST_WORK: Final = frozenset({"rpc"})


class GraphBuffers(NamedTuple):
    """Bytes of each accelerator's compute buffer, the host's last.

    Attributes:
        planned: as a dry run reports them.
        loaded: as a real load reserves them.
        bare: as planned, without the scratch space of back ends that nobody has measured here.
    """

    planned: tuple[int, ...]
    loaded: tuple[int, ...]
    bare: tuple[int, ...]


def graph_buffers(
    model: ModelSpec,
    settings: Settings,
    placement: Placement,
    *,
    index: TensorIndex | None = None,
    whole: bool = False,
) -> GraphBuffers | None:
    """Return the compute buffers, or None when the architecture has no graph here.

    `index` is the model's, when the caller has made it already; `whole` keeps every layer instead
    of the decisive ones.

    Raises:
        InvalidRequestError: the graph has more steps than llama.cpp makes room for.
    """
    build = graph_of(model.architecture) if model.tensors else None
    if build is None:
        return None
    index = index or TensorIndex(model)
    replayed = _Replayed(model, settings, placement, index=index, whole=whole)
    try:
        replayed.settle_fusion(build)
        replayed.check_size(build)
        loaded = replayed.peaks(build, pinned=True)
        planned = replayed.peaks(build, pinned=False) if replayed.pins_matter else loaded
        bare = replayed.peaks(build, pinned=False, scratch=False) if replayed.scratch else planned
    except KeyError:
        return None  # a weight the graph needs is not there: this is no usual file
    return GraphBuffers(planned, loaded, bare)


class _Replayed:
    """One request, ready to be replayed."""

    def __init__(
        self,
        model: ModelSpec,
        settings: Settings,
        placement: Placement,
        *,
        index: TensorIndex,
        whole: bool,
    ) -> None:
        self._model = model
        self._index = index
        self._settings = settings
        self._placement = placement
        self._homes = _Homes(placement)
        self._stretches: tuple[Stretch, ...] = (Stretch(0, 1, model.n_layers, model.n_layers),)
        devices = placement.accelerators
        self._full_offload = placement.gpu_layers > len(placement.layer_device)
        pipelined = (
            len(devices) > 1
            and self._full_offload
            and placement.kv_offload
            and not placement.has_overrides
            and all("no_async" not in device.features for device in devices)
        )
        self._backends = Backends(
            count=len(devices) + 1,
            takes_host_work=frozenset(
                index
                for index, device in enumerate(devices)
                if placement.op_offload and device.kind not in _LEAVE_HOST_WORK
            ),
            no_flash=frozenset(
                index
                for index, device in enumerate(devices)
                if "no_flash_attention" in device.features
            ),
            copies=_PIPELINE_COPIES if pipelined else 1,
        )
        if not whole and not self._needs_every_layer():
            kinds = _kinds(model, index, self._homes, mark_of(model.architecture))
            self._stretches = stretches_of(kinds)

    def _needs_every_layer(self) -> bool:
        """Return whether the decisive layers do not say as much as all."""
        model, backends = self._model, self._backends
        # caches copied to the host of a pipeline are kept, so that they add up over the layers
        adds_up = backends.copies > 1 and self._settings.flash_attention and backends.no_flash
        # where weights on the host come between states the first layers can take the most
        mixed = self._homes.by_name and any(layer.recurrent for layer in model.layers)
        reuses = any(layer.reuses_cache for layer in model.layers)
        return bool(adds_up) or mixed or reuses or keeps_every_layer(model.architecture)

    @property
    def pins_matter(self) -> bool:
        """Pinned are norms, to the device of their layer, and attention over a cache on the host.

        With one accelerator a norm is drawn to its weight all the same, but for those of few tokens
        on the host, beside layers that are not, and where weights are placed by name.
        """
        devices = self._placement.accelerators
        few_tokens = self._settings.graph_tokens < _PIN_BELOW_TOKENS
        partly = few_tokens and not self._full_offload
        matter = partly or self._homes.by_name or not self._placement.kv_offload
        return len(devices) > 1 or (len(devices) > 0 and matter)

    @property
    def scratch(self) -> bool:
        """Whether a back end adds scratch space to what this graph makes."""
        kinds = {device.kind for device in self._placement.accelerators}
        types = {self._settings.kv_type_k, self._settings.kv_type_v}
        converts = self._settings.flash_attention and types != {"F16"}
        return "metal" in kinds or (converts and bool(kinds & CUDA_LIKE))

    def settle_fusion(self, build: Callable[[GraphContext], None]) -> None:
        """Give fused attention up where llama.cpp does after a look at one token a sequence.

        It can land elsewhere beside recurrent states, whose steps come between it and the weights
        of its layer, beside weights that are placed by name, and over a cache on the host
        (src/llama-context.cpp, resolve_fused_ops).
        """
        settings, layers = self._settings, self._model.layers
        strays = (
            self._homes.by_name
            or not self._placement.kv_offload
            or any(layer.recurrent is not None for layer in layers)
        )
        if not (settings.flash_automatic and strays and self._placement.accelerators):
            return
        few = replace(settings, graph_tokens=settings.sequences, output_rows=settings.sequences)
        context = self._built(build, few, pinned=True)
        laid = split(context.nodes, context.leafs, self._backends)
        places = [place for node, place in laid.nodes if node.op == "FLASH_ATTN_EXT"]
        attending = [at for at in layers_of(self._stretches) if _attends(layers, at)]
        if places != [self._homes.layer(at) for at in attending]:
            self._settings = replace(settings, flash_attention=False)

    def check_size(self, build: Callable[[GraphContext], None]) -> None:
        """Refuse a graph that is too large, counted from its decisive layers.

        Raises:
            InvalidRequestError: llama.cpp would end itself.
        """
        kept, n_layers = len(layers_of(self._stretches)), self._model.n_layers
        n_tokens = self._settings.graph_tokens
        entries = self._entries(build, self._stretches)
        limit = table_size(self._model, n_tokens=n_tokens)
        if entries * n_layers < _SURELY_SMALL * limit * kept:
            return
        whole = entries
        for at, stretch in enumerate(self._stretches):
            left_out = stretch.repeats - stretch.kept
            if left_out:
                fewer = (*self._stretches[:at], stretch._replace(kept=stretch.kept - 1))
                shorter = self._entries(build, (*fewer, *self._stretches[at + 1 :]))
                whole += left_out * (entries - shorter)
        check_budget(self._model, n_tokens=n_tokens, n_entries=whole)

    def _entries(
        self, build: Callable[[GraphContext], None], stretches: tuple[Stretch, ...]
    ) -> int:
        """Return how many nodes and leaves the graph of some of the layers has."""
        context = self._built(build, self._settings, pinned=False, stretches=stretches)
        return len(context.nodes) + len(context.leafs)

    def peaks(
        self, build: Callable[[GraphContext], None], *, pinned: bool, scratch: bool = True
    ) -> tuple[int, ...]:
        """Return the peaks of all buffers, from as many layers as the states ask for."""
        while True:
            context = self._built(build, self._settings, pinned=pinned)
            peaks, states = _replayed(context, self._backends, self._placement, scratch=scratch)
            better = corrected(self._stretches, states)
            if better is None:
                return peaks
            self._stretches = better

    def _built(
        self,
        build: Callable[[GraphContext], None],
        settings: Settings,
        *,
        pinned: bool,
        stretches: tuple[Stretch, ...] | None = None,
    ) -> GraphContext:
        homes, count = self._homes, len(self._placement.accelerators)
        few_tokens = settings.graph_tokens < _PIN_BELOW_TOKENS
        context = GraphContext(
            self._model,
            settings,
            index=self._index,
            layers=layers_of(stretches or self._stretches),
            weight_home=homes.weight,
            layer_home=homes.layer,
            cache_home=homes.cache,
            host=count,
            pinned_layers=pinned and count > 0 and (self._full_offload or few_tokens),
            cache_on_host=pinned and count > 0 and not self._placement.kv_offload,
        )
        build(context)
        return context


def _attends(layers: Sequence[LayerSpec], at: int) -> bool:
    """Return whether a layer has attention: over a cache, or in models that keep nothing at all."""
    layer = layers[at]
    if not (layer.n_head and layer.n_head_kv):
        return False
    cached = layer.attention is not None or layer.reuses_cache
    return cached or not any(other.attention or other.recurrent for other in layers)


class _Homes:
    """Which back end holds what; the host is the last one."""

    def __init__(self, placement: Placement) -> None:
        self._placement = placement
        self._host = len(placement.accelerators)

    @property
    def by_name(self) -> bool:
        """Whether tensors of one layer may lie on different devices."""
        return self._placement.has_overrides

    def _index(self, device: int | None) -> int:
        return self._host if device is None else device

    def copies_from(self, home: int) -> bool:
        """Whether weights that lie there may be copied to a device, so that their size counts."""
        return home == self._host > 0

    def layer(self, layer: int) -> int:
        places = self._placement.layer_device
        if layer >= len(places):
            return self._index(self._placement.output_device)
        return self._index(places[layer])

    def cache(self, layer: int) -> int:
        return self.layer(layer) if self._placement.kv_offload else self._host

    def weight(self, spec: TensorSpec, layer: int | None) -> int:
        placement = self._placement
        match spec.role:
            case "input":
                default: int | None = None
            case "output":
                default = placement.output_device
            case "shared":
                default = placement.layer_device[layer or 0]
            case _:
                default = placement.layer_device[spec.layer or 0]
        return self._index(placement.device_of(spec.name, default))


def _kinds(
    model: ModelSpec,
    index: TensorIndex,
    homes: _Homes,
    mark: Callable[[ModelSpec, int], Hashable] | None,
) -> list[Hashable]:
    """Return what each layer is like: widths, weights, devices, and types where they are copied."""
    kinds: list[Hashable] = []
    for at, layer in enumerate(model.layers):
        home = homes.layer(at)
        if homes.by_name:
            row = index.by_layer[at]
            weight_homes = [homes.weight(tensor, None) for tensor in row]
            types: Hashable = tuple(
                tensor.type if homes.copies_from(where) else None
                for tensor, where in zip(row, weight_homes, strict=True)
            )
            weights: Hashable = (tuple(weight_homes), types)
        else:
            weights = index.types[at] if homes.copies_from(home) else None
        kinds.append(
            (layer, home, homes.cache(at), index.shapes[at], weights, mark and mark(model, at))
        )
    return kinds


def _replayed(
    context: GraphContext, backends: Backends, placement: Placement, *, scratch: bool
) -> tuple[tuple[int, ...], dict[int, Hashable]]:
    """Return each buffer's peak, and the state of the memory before each layer."""
    marks = _first_nodes(context)
    laid = split(context.nodes, context.leafs, backends)
    kinds = [*(device.kind for device in placement.accelerators), "cpu"]
    arenas = [Arena(alignment_of(kind)) for kind in kinds]

    def size_on(tensor: Tensor, arena: int) -> int:
        size = tensor.n_bytes
        if arena == backends.host:
            return size
        kind = kinds[arena]
        if scratch:
            size += scratch_bytes(tensor, kind)
        return allocated_bytes(tensor.type, tensor.ne[0], size, device_kind=kind)

    states = replay(laid.leafs, laid.nodes, arenas, size_on, marks=marks)
    return tuple(arena.peak for arena in arenas), states


def _first_nodes(context: GraphContext) -> dict[int, int]:
    """Return the first node that reads a weight of each layer: identity → layer."""
    firsts: dict[int, int] = {}
    for node in context.nodes:
        for src in node.srcs:
            if src.is_weight and src.name.startswith(_LAYER):
                layer = int(src.name[len(_LAYER) : src.name.index(".", len(_LAYER))])
                firsts.setdefault(layer, id(node))
    return {node: layer for layer, node in firsts.items()}
