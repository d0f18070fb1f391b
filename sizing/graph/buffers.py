"""Compute buffers of a run, to the byte, from a replay of its graph.

llama.cpp reserves the graph of one full micro-batch over the full cache (src/llama-context.cpp,
sched_reserve). With several devices in a pipeline its dry run reports 16 x n_embd x tokens bytes
more on the device of the output layer than a real load takes; that is the upper end here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from whatfits.sizing.buffers import alignment_of, allocated_bytes
from whatfits.sizing.graph.allocator import Arena, replay
from whatfits.sizing.graph.context import GraphContext
from whatfits.sizing.graph.models import graph_of, state_cycle_of
from whatfits.sizing.graph.reduce import decisive_layers
from whatfits.sizing.graph.scheduler import Backends, split

if TYPE_CHECKING:
    from collections.abc import Hashable

    from whatfits.sizing.graph.tensor import Tensor
    from whatfits.sizing.model import ModelSpec, TensorSpec
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.settings import Settings

__all__ = ["GraphBuffers", "graph_buffers"]

_PIPELINE_COPIES: Final = 4  # GGML_SCHED_MAX_COPIES
_PIN_BELOW_TOKENS: Final = 32


class GraphBuffers(NamedTuple):
    """Bytes of each accelerator's compute buffer, then the host's, and the dry run's surplus."""

    sizes: tuple[int, ...]
    dry_run_surplus: tuple[int, ...]


def graph_buffers(
    model: ModelSpec, settings: Settings, placement: Placement, *, whole: bool = False
) -> GraphBuffers | None:
    """Return the compute buffers, or None when the architecture has no graph here.

    `whole` keeps every layer instead of the decisive ones.
    """
    build = graph_of(model.architecture)
    if build is None or not model.tensors:
        return None
    count = len(placement.accelerators)
    homes = _Homes(placement)
    layers = tuple(range(model.n_layers))
    if not whole and not any(layer.reuses_cache for layer in model.layers):
        layers = decisive_layers(_kinds(model, homes), cycle=state_cycle_of(model.architecture))
    full_offload = placement.gpu_layers > len(placement.layer_device)
    context = GraphContext(
        model,
        settings,
        layers=layers,
        weight_home=homes.weight,
        layer_home=homes.layer,
        cache_home=homes.cache,
        host=count,
        pinned_layers=count > 0 and (full_offload or settings.graph_tokens < _PIN_BELOW_TOKENS),
        cache_on_host=count > 0 and not placement.kv_offload,
    )
    try:
        build(context)
    except KeyError:
        return None  # a weight the graph needs is not there: this is no usual file
    pipelined = count > 1 and full_offload and placement.kv_offload and not placement.has_overrides
    pipelined = pipelined and all("no_async" not in d.features for d in placement.accelerators)
    backends = Backends(
        count=count + 1,
        host_weights_offloadable=placement.op_offload,
        no_flash=frozenset(
            index
            for index, device in enumerate(placement.accelerators)
            if "no_flash_attention" in device.features
        ),
        copies=_PIPELINE_COPIES if pipelined else 1,
    )
    peaks = _peaks(context, backends, placement)
    surplus = [0] * (count + 1)
    if pipelined and placement.output_device is not None:
        surplus[placement.output_device] = (
            _PIPELINE_COPIES * 4 * model.hparams.n_embd * context.n_tokens
        )
    return GraphBuffers(peaks, tuple(surplus))


class _Homes:
    """Which back end holds what; the host is the last one."""

    def __init__(self, placement: Placement) -> None:
        self._placement = placement
        self._host = len(placement.accelerators)

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
                return self.layer(layer or 0)
            case _:
                default = placement.layer_device[spec.layer or 0]
        return self._index(placement.device_of(spec.name, default))


def _kinds(model: ModelSpec, homes: _Homes) -> list[Hashable]:
    """Return what each layer is like: widths, weights, devices, and types where they are copied."""
    weights: list[list[Hashable]] = [[] for _ in model.layers]
    for tensor in model.tensors:
        if tensor.role != "layer" or tensor.layer is None or tensor.layer >= len(weights):
            continue
        home = homes.weight(tensor, None)
        short = tensor.name.partition(".")[2].partition(".")[2]
        kind = tensor.type if homes.copies_from(home) else None
        weights[tensor.layer].append((short, tensor.shape, home, kind))
    return [
        (layer, homes.layer(index), homes.cache(index), tuple(weights[index]))
        for index, layer in enumerate(model.layers)
    ]


def _peaks(context: GraphContext, backends: Backends, placement: Placement) -> tuple[int, ...]:
    laid = split(context.nodes, context.leafs, backends)
    kinds = [*(device.kind for device in placement.accelerators), "cpu"]
    arenas = [Arena(alignment_of(kind)) for kind in kinds]

    def size_on(tensor: Tensor, arena: int) -> int:
        size = tensor.n_bytes
        if arena == backends.host:
            return size
        return allocated_bytes(tensor.type, tensor.ne[0], size, device_kind=kinds[arena])

    replay(laid.leafs, laid.nodes, arenas, size_on)
    return tuple(arena.peak for arena in arenas)
