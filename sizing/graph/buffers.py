"""Compute buffers of a run, to the byte, from a replay of its graph.

llama.cpp reserves the graph of one full micro-batch over the full cache (src/llama-context.cpp,
sched_reserve). Its plan without memory (a dry run) forgets which steps were pinned to a device
(ggml-backend.cpp: ggml_backend_sched_reserve_size starts with a reset), a real load does not; where
that can matter both are replayed.
"""

from __future__ import annotations

from whatfits.sizing.device_limits import copies_experts_back
from whatfits.sizing.flash_attention import CUDA_LIKE
from whatfits.sizing.graph.allocator import peaks_of
from whatfits.sizing.graph.budget import GraphSize, check_budget, most_made, table_size
from whatfits.sizing.graph.context import GraphContext
from whatfits.sizing.graph.fused import FUSING_KINDS
from whatfits.sizing.graph.homes import Homes, kinds_of, outer_kinds
from whatfits.sizing.graph.index import TensorIndex
from whatfits.sizing.graph.models import graph_of, keeps_every_layer, mark_of
from whatfits.sizing.graph.reduce import Stretch, layers_of, more_of, stretches_of
from whatfits.sizing.graph.repeat import repeat_of
from whatfits.sizing.graph.replay import Graph
from whatfits.sizing.graph.scheduler import OFFLOAD_MIN_BATCH, Backends
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence
    from typing import Final

    from whatfits.sizing.graph.steps import Steps
    from whatfits.sizing.model import LayerSpec, ModelSpec
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.settings import Settings

__all__ = ["GraphBuffers", "graph_buffers"]

_PIPELINE_COPIES: Final = 4  # GGML_SCHED_MAX_COPIES
_PIN_BELOW_TOKENS: Final = 32
# at least so many equal layers in a row are replayed, with up to one device and with several:
# the first one on a device mostly differs from those after it
_KEPT_LAYERS: Final = (3, 4)
_SURELY_SMALL: Final = 0.6  # of the room; layers that are left out may have more steps than others
# these never take over work on weights that lie on the host (no offload_op in their back end)
_LEAVE_HOST_WORK: Final = frozenset({"rpc"})


class GraphBuffers(NamedTuple):
    """Bytes of each accelerator's compute buffer, the host's last.

    Attributes:
        planned: as a dry run reports them.
        loaded: as a real load reserves them.
        bare: as planned, without the scratch space that back ends add.
        fused: as planned, with what the devices' back ends change in the graph.
    """

    planned: tuple[int, ...]
    loaded: tuple[int, ...]
    bare: tuple[int, ...]
    fused: tuple[int, ...]


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
        replayed.settle_streams(build)
        found = replayed.buffers(build)
        replayed.check_size(build)
    except KeyError:
        return None  # a weight the graph needs is not there: this is no usual file
    return found


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
        device_kinds = tuple(device.kind for device in placement.accelerators)
        copies_back = copies_experts_back(model.architecture, device_kinds)
        self._homes = Homes(placement, copies_back=copies_back)
        self._kinds = kinds_of(model, index, self._homes, mark_of(model.architecture))
        self._size = GraphSize(0, 0)
        self._now: Graph | None = None
        self._few: dict[Hashable, Graph] = {}
        self._unfused: frozenset[str] = frozenset()
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
            kinds=device_kinds,
            host_types=placement.host_types,
        )
        if not whole and not keeps_every_layer(model.architecture):
            self._stretches = stretches_of(self._kinds, _KEPT_LAYERS[len(devices) > 1])

    @property
    def pins_matter(self) -> bool:
        """Pinned are norms, to the device of their layer, and attention over a cache on the host.

        With one accelerator a norm is drawn to its weight all the same, but for those of few tokens
        on the host, beside layers that are not, and where weights are placed by name.
        """
        placement = self._placement
        few_tokens = self._settings.graph_tokens < _PIN_BELOW_TOKENS
        partly = few_tokens and not self._full_offload
        by_name = self._homes.by_name
        return len(placement.accelerators) > 1 or partly or by_name or not placement.kv_offload

    @property
    def scratch(self) -> bool:
        """Whether a back end adds scratch space to what this graph makes."""
        kinds = {device.kind for device in self._placement.accelerators}
        types = {self._settings.kv_type_k, self._settings.kv_type_v}
        converts = self._settings.flash_attention and types != {"F16"}
        return "metal" in kinds or (converts and bool(kinds & CUDA_LIKE))

    @property
    def fuses(self) -> bool:
        """Whether a device's back end may change its part of this graph.

        CUDA's does so around experts alone.
        """
        kinds = {device.kind for device in self._placement.accelerators}
        has_experts = any(layer.n_expert for layer in self._model.layers)
        return bool(kinds & (FUSING_KINDS if has_experts else FUSING_KINDS - CUDA_LIKE))

    def settle_fusion(self, build: Callable[[GraphContext], None]) -> None:
        """Give fused attention up where llama.cpp does after a look at one token a sequence.

        It looks whether each fused operation lands on its layer's device (src/llama-context.cpp,
        resolve_fused_ops).
        """
        settings = self._settings
        if not (settings.flash_automatic and self._may_stray()):
            return
        attending = [at for at in layers_of(self._stretches) if _attends(self._model.layers, at)]
        if not self._lands(build, "FLASH_ATTN_EXT", attending):
            self._settings = replace(settings, flash_attention=False)

    def settle_streams(self, build: Callable[[GraphContext], None]) -> None:
        """Make operations on several residual streams of smaller ones, where llama.cpp does.

        It does so for each one that lands elsewhere than its layer, one after the other.
        """
        if (
            f"{self._model.architecture}.hyper_connection.count" not in self._model.metadata
            or not self._placement.accelerators
        ):
            return
        from whatfits.sizing.graph.hyper_connections import (  # noqa: PLC0415 - few models
            FUSED,
            PER_LAYER,
        )

        layers = [at for at in layers_of(self._stretches) for _ in range(PER_LAYER)]
        for op in FUSED:
            if not self._lands(build, op, layers):
                self._unfused |= {op}

    def _lands(self, build: Callable[[GraphContext], None], op: str, layers: Sequence[int]) -> bool:
        """Return whether an operation runs beside its layers; one that is not there does.

        llama.cpp looks at the graph of one token a sequence.
        """
        settings = self._settings
        few = replace(settings, graph_tokens=settings.sequences, output_rows=settings.sequences)
        known, key = self._index.replays.landed, self._key(few, pinned=True)
        if (key, op) not in known:
            if key not in self._few:
                self._few[key] = self._graph(build, few)
            graph = self._few[key]
            places = graph.places_of(op, pinned=True)
            homes = [self._homes.layer(at) for at in layers if at not in graph.unlisted]
            known[key, op] = not places or places == homes
        return known[key, op]

    def _may_stray(self) -> bool:
        """Return whether fused attention may land elsewhere than the weights of its layer.

        It mostly follows the cache it has just written to, or the output matrix after it. Not so
        beside recurrent states, whose steps come between, where another layer's cache is read,
        where weights are placed by name or the cache lies on the host, and where there are
        sequences enough for operations on weights of the host to move to a device.
        """
        placement = self._placement
        if not placement.accelerators:
            return False
        if placement.parts_layers or not placement.kv_offload:
            return True
        layers = self._model.layers
        if any(layer.recurrent is not None or layer.reuses_cache for layer in layers):
            return True
        return self._settings.sequences >= OFFLOAD_MIN_BATCH and not self._full_offload

    def check_size(self, build: Callable[[GraphContext], None]) -> None:
        """Refuse a graph that is too large, counted from its decisive layers.

        Raises:
            InvalidRequestError: llama.cpp would end itself.
        """
        kept, n_layers = len(layers_of(self._stretches)), self._model.n_layers
        n_tokens = self._settings.graph_tokens
        entries, made = self._size
        most, table = (limit(self._model, n_tokens=n_tokens) for limit in (most_made, table_size))
        surely = _SURELY_SMALL * kept / n_layers
        if entries < surely * table and made < surely * most:
            return
        for stretch, first in self._shortened():
            period = self._size_of_period(build, stretch, first)
            entries += (stretch.repeats - stretch.kept) * period.entries
            made += (stretch.repeats - stretch.kept) * period.made
        check_budget(self._model, n_tokens=n_tokens, size=GraphSize(entries, made))

    def _size_of_period(
        self, build: Callable[[GraphContext], None], stretch: Stretch, first: int
    ) -> GraphSize:
        """Return what one more period of a stretch would add; no graph is built for it twice."""
        known = self._index.replays.periods
        key = (stretch[1:], first, self._key(self._settings, pinned=True))
        if key not in known:
            known[key] = self._whole(build).size_of_period(stretch, first)
        return known[key]

    def buffers(self, build: Callable[[GraphContext], None]) -> GraphBuffers:
        """Return the peaks of all buffers, from as many layers as it takes.

        What it took at another context it takes at this one: it is not found out anew.
        """
        known, key = self._index.replays.kept, (self._backends, self._stretches)
        self._stretches = known.get(key, self._stretches)
        while True:
            loaded = self._peaks(build, pinned=True)
            planned = self._peaks(build, pinned=False) if self.pins_matter else loaded
            bare = planned
            if self.scratch:
                bare = self._peaks(build, pinned=False, scratch=False)
            fused = planned
            if self.fuses:
                fused = self._peaks(build, pinned=False, fused=True)
            if not (loaded is None or planned is None or bare is None or fused is None):
                known[key] = self._stretches
                return GraphBuffers(planned, loaded, bare, fused)

    def _peaks(
        self,
        build: Callable[[GraphContext], None],
        *,
        pinned: bool,
        scratch: bool = True,
        fused: bool = False,
    ) -> tuple[int, ...] | None:
        """Return each buffer's peak; None, and more layers kept, where they were too few."""
        known = self._index.replays
        key = (scratch and self.scratch, fused, self._key(self._settings, pinned=pinned))
        shape = (key, tuple(stretch[1:] for stretch in self._stretches))
        if key not in known.steps:
            graph = self._whole(build)
            steps = graph.steps(pinned=pinned, scratch=scratch, fused=fused)
            known.steps[key] = steps, graph.size
        steps, self._size = known.steps[key]
        if shape not in known.peaks:
            known.peaks[shape] = self._repeated(steps)
        peaks = known.peaks[shape]
        if peaks is None:
            untold = {
                stretch
                for stretch, first in self._shortened()
                if repeat_of(steps, stretch, first) is None
            }
            self._stretches = tuple(
                more_of(stretch) if stretch in untold else stretch for stretch in self._stretches
            )
            self._now = None
        return peaks

    def _repeated(self, steps: Steps) -> tuple[int, ...] | None:
        """Return each buffer's peak with all layers; None where too few of them were kept."""
        repeats = []
        for stretch, first in self._shortened():
            repeat = repeat_of(steps, stretch, first)
            if repeat is None:
                return None
            repeats.append(repeat)
        return peaks_of(steps, self._backends.count, repeats)

    def _shortened(self) -> Iterator[tuple[Stretch, int]]:
        """Yield the stretches that leave layers out, with the number of their first layer kept."""
        first = 0
        for stretch in self._stretches:
            if stretch.kept < stretch.repeats:
                yield stretch, first
            first += len(stretch.layers)

    def _whole(self, build: Callable[[GraphContext], None]) -> Graph:
        """Return the graph of a full micro-batch, as pinned as a real load makes it."""
        if self._now is None:
            self._now = self._graph(build, self._settings)
        return self._now

    def _key(self, settings: Settings, *, pinned: bool) -> Hashable:
        """Return all that a replay depends on: equal kinds of layers give equal graphs."""
        layers, placement = layers_of(self._stretches), self._placement
        return (
            settings,
            self._backends,
            tuple(device.kind for device in placement.accelerators),
            self._pins(settings, pinned=pinned),
            self._unfused,
            layers[:1] == (0,),
            tuple(self._kinds[layer] for layer in layers),
            outer_kinds(self._index, self._homes),
        )

    def _pins(self, settings: Settings, *, pinned: bool) -> tuple[bool, bool]:
        """Return whether layers' norms are pinned, and attention over a cache on the host."""
        pins = pinned and len(self._placement.accelerators) > 0
        few_tokens = settings.graph_tokens < _PIN_BELOW_TOKENS
        return pins and (self._full_offload or few_tokens), pins and not self._placement.kv_offload

    def _graph(self, build: Callable[[GraphContext], None], settings: Settings) -> Graph:
        homes, devices = self._homes, self._placement.accelerators
        pinned_layers, cache_on_host = self._pins(settings, pinned=True)
        context = GraphContext(
            self._model,
            settings,
            index=self._index,
            layers=layers_of(self._stretches),
            weight_home=homes.weight,
            layer_home=homes.layer,
            cache_home=homes.cache,
            host=len(devices),
            pinned_layers=pinned_layers,
            cache_on_host=cache_on_host,
        )
        context.unfused = self._unfused
        build(context)
        return Graph(context, self._backends, [device.kind for device in devices])


def _attends(layers: Sequence[LayerSpec], at: int) -> bool:
    """Return whether a layer has attention: over a cache, or in models that keep nothing at all."""
    layer = layers[at]
    if not (layer.n_head and layer.n_head_kv):
        return False
    cached = layer.attention is not None or layer.reuses_cache
    return cached or not any(other.attention or other.recurrent for other in layers)
