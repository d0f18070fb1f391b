"""Working memory of the graph (llama.cpp's compute buffers), as a closed form with its interval.

The scheduler reserves the worst case: a prompt of one micro-batch over the full cache. Its peak is
the largest of a few stages; what is live at each stage can be written down, what fragmentation
adds cannot, so every figure here carries an interval.
Source: llama.cpp (0c1e57098) src/llama-context.cpp:sched_reserve, src/llama-graph.cpp,
ggml/src/ggml-alloc.c. Used where no graph can be replayed: an architecture without one, a model
without a tensor table, a file without a tensor its graph needs. Error: `closed_form_range`.
"""

from __future__ import annotations

from whatfits.sizing.graph.buffers import graph_buffers
from whatfits.sizing.graph.fused import is_told
from whatfits.sizing.graph.models import is_unsure_unfused
from whatfits.sizing.kv_cache import cache_cells
from whatfits.sizing.model import LatentAttention, SlidingWindow
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.graph.index import TensorIndex
    from whatfits.sizing.model import LayerSpec, ModelSpec
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.settings import Settings

__all__ = [
    "ComputeBytes",
    "Stages",
    "closed_form_range",
    "compute_buffers",
    "compute_stages",
    "input_copies",
]

_F32: Final = 4
_PIPELINE_COPIES: Final = 4  # GGML_SCHED_MAX_COPIES, ggml/src/ggml-backend.cpp
_OFFLOAD_MIN_BATCH: Final = 32  # smaller batches stay where the weights are
_DEVICE_SLACK_HIDDEN: Final = 8  # copies of the residual stream

# Least and most of (true size / closed form), rounded outwards. Nothing left here can be measured
# as itself, so these are the extremes over all architectures of the catalog, as if they had no
# graph: smallest and largest model of each of 76 (117 models), the settings of `bench/suite.py` on
# the CPU, five with one and with two pretend GPUs, 4,094 buffers in all. The truth was the replayed
# graph, which equals llama.cpp's dry run. Half of the CPU's lie between 0.95 and 1.04, 95 of 100
# between 0.64 and 1.73; most of what lies above has an indexer, banked residuals or lightning
# attention, for which the stages say nothing.
_ENCODER: Final = (0.08, 1.2)
_ON_CPU: Final = (0.39, 6.8)
_ON_ONE_DEVICE: Final = (0.07, 6.7)
_ON_SEVERAL_DEVICES: Final = (0.07, 35.0)


class ComputeBytes(NamedTuple):
    """Bytes of one compute buffer with its interval."""

    low: int
    mid: int
    high: int


class Stages(NamedTuple):
    """What is live at each stage of the worst-case graph, in bytes.

    Attributes:
        hidden: one copy of the residual stream (n_embd x tokens, f32).
        inputs: token, position, index and mask inputs together.
        output: the logits stage.
        layers: the largest layer stage (attention, feed-forward or recurrent).
    """

    hidden: int
    inputs: int
    output: int
    layers: int

    @property
    def peak(self) -> int:
        """The largest stage."""
        return max(self.output, self.layers)


def closed_form_range(model: ModelSpec, placement: Placement) -> tuple[float, float]:
    """Return the least and the most that a true size was of its closed form."""
    count = len(placement.accelerators)
    if count:
        return _ON_ONE_DEVICE if count == 1 else _ON_SEVERAL_DEVICES
    return _ON_CPU if model.hparams.causal else _ENCODER


def compute_stages(model: ModelSpec, settings: Settings) -> Stages:
    """Return the stages of the worst-case graph as if it all ran on one CPU back end."""
    hparams = model.hparams
    tokens, rows = settings.graph_tokens, settings.output_rows
    hidden = _F32 * hparams.n_embd * tokens
    masks, value_indices = _masks_and_indices(model, settings)
    softcap = hidden if hparams.logit_softcap else 0
    # encoders hand out their last hidden states and compute no logits
    logits = _F32 * (hparams.n_embd + hparams.n_vocab) * rows if hparams.causal else hidden
    output = hidden + logits + softcap
    layers = max(
        (
            _layer_stage(model, layer, settings, hidden=hidden, masks=masks, indices=value_indices)
            for layer in set(model.layers)
        ),
        default=0,
    )
    inputs = masks + value_indices + (_F32 + _F32 + 8) * tokens + _F32 * rows
    return Stages(hidden=hidden, inputs=inputs, output=output, layers=layers)


def compute_buffers(
    model: ModelSpec,
    settings: Settings,
    placement: Placement,
    *,
    streamed_bytes: int,
    tensors: TensorIndex | None = None,
) -> tuple[ComputeBytes, ...]:
    """Return the compute buffer of each accelerator, then the host's, with intervals.

    From the graph where the architecture has one, else from the closed form; both together where
    operations may lie elsewhere than the graph says. `streamed_bytes` is
    what one step copies to an accelerator of the weights on the host; `tensors` are the model's,
    when the caller has looked them up already.
    """
    replayed = graph_buffers(model, settings, placement, index=tensors)
    if replayed is None:
        return _from_stages(model, settings, placement, streamed_bytes=streamed_bytes)
    told = all(is_told(device) for device in placement.accelerators)
    likeliest = replayed.fused if told else replayed.planned
    sizes = tuple(
        ComputeBytes(min(sizes), sizes[0], max(sizes))
        for sizes in zip(likeliest, *replayed, strict=True)
    )
    if not _may_lie_elsewhere(model, placement):
        return sizes
    rough = _from_stages(model, settings, placement, streamed_bytes=streamed_bytes)
    return tuple(
        ComputeBytes(min(size.low, other.low), size.mid, max(size.high, other.high))
        for size, other in zip(sizes, rough, strict=True)
    )


def _may_lie_elsewhere(model: ModelSpec, placement: Placement) -> bool:
    """Return whether llama.cpp may put operations elsewhere than the replay of this model does."""
    no_flash = any("no_flash_attention" in device.features for device in placement.accelerators)
    return no_flash and is_unsure_unfused(model.architecture)


def _from_stages(
    model: ModelSpec, settings: Settings, placement: Placement, *, streamed_bytes: int
) -> tuple[ComputeBytes, ...]:
    """Return the compute buffers as the closed form has them."""
    stages = compute_stages(model, settings)
    shares = closed_form_range(model, placement)
    count = len(placement.accelerators)
    if count == 0:
        return (_interval(stages.peak, shares, 0),)
    slack = _DEVICE_SLACK_HIDDEN * stages.hidden
    has_layers = [index in placement.layers_in_use for index in range(count)]
    extra_copies = input_copies(placement) - 1
    streams = placement.op_offload and settings.graph_tokens >= _OFFLOAD_MIN_BATCH
    sizes = []
    for index in range(count):
        size = stages.layers - stages.hidden if has_layers[index] else 0
        if placement.output_device == index:
            size = max(size, stages.output - stages.hidden)
        if streams and index == 0 and streamed_bytes:
            # host weights of a large batch are multiplied on the first device that can
            size = max(size, stages.layers, stages.output) + streamed_bytes
        if extra_copies and size:
            size += extra_copies * stages.inputs + 4 * stages.hidden
        sizes.append(_interval(size, shares, slack if size else 0))
    host = 2 * stages.hidden + stages.inputs
    if None in placement.layers_in_use or placement.parts_layers or not placement.kv_offload:
        host = max(host, stages.layers)
    if placement.output_device is None:
        host = max(host, stages.output)
    host += extra_copies * (stages.inputs + stages.hidden)
    return (*sizes, _interval(host, shares, slack))


def input_copies(placement: Placement) -> int:
    """Return how often inputs are kept: four times where batches overlap on several devices.

    They do where every layer is on a device and nothing is placed by name.
    """
    pipelined = (
        len(placement.accelerators) > 1
        and placement.gpu_layers > len(placement.layer_device)
        and placement.kv_offload
        and not placement.has_overrides
    )
    return _PIPELINE_COPIES if pipelined else 1


def _interval(size: int, shares: tuple[float, float], slack: int) -> ComputeBytes:
    low, high = shares
    return ComputeBytes(
        low=max(0, round(size * low) - slack), mid=size, high=round(size * high) + slack
    )


def _masks_and_indices(model: ModelSpec, settings: Settings) -> tuple[int, int]:
    """Return (bytes of the attention masks, bytes of the value indices), one each per cache."""
    tokens = settings.graph_tokens
    mask_element = 2 if settings.flash_attention else 4
    masks = indices = 0
    kinds = {type(layer.attention): layer for layer in model.layers if layer.attention is not None}
    for layer in kinds.values():
        assert layer.attention is not None
        masks += cache_cells(layer.attention, settings) * tokens * mask_element
        if not settings.flash_attention and not isinstance(layer.attention, LatentAttention):
            indices += 8 * tokens * layer.n_head_kv * layer.value_length
        else:
            indices += 8 * tokens
    return masks, indices


def _layer_stage(
    model: ModelSpec,
    layer: LayerSpec,
    settings: Settings,
    *,
    hidden: int,
    masks: int,
    indices: int,
) -> int:
    stages = [_feed_forward(model, layer, settings.graph_tokens, hidden) + masks + indices]
    if layer.attention is not None or layer.reuses_cache or layer.n_head:
        stages.append(_attention(model, layer, settings, hidden) + masks + indices)
    if layer.recurrent is not None:
        stages.append(_recurrent(model, layer, settings, hidden) + masks)
    return max(stages)


def _attention(model: ModelSpec, layer: LayerSpec, settings: Settings, hidden: int) -> int:
    tokens = settings.graph_tokens
    query = _F32 * layer.n_head * layer.key_length * tokens
    if settings.flash_attention:
        return 3 * hidden + 3 * query
    cells = settings.sequence_tokens
    if isinstance(layer.attention, SlidingWindow):
        cells = cache_cells(layer.attention, settings)
    scores = _F32 * layer.n_head * cells * tokens
    if isinstance(layer.attention, LatentAttention):
        latent = _F32 * layer.n_head * model.hparams.kv_lora_rank * tokens
        return 2 * hidden + 2 * query + latent + scores
    return 3 * hidden + 2 * query + scores


def _feed_forward(model: ModelSpec, layer: LayerSpec, tokens: int, hidden: int) -> int:
    hparams = model.hparams
    matrices = 3 if hparams.gated else 2
    if layer.n_expert:
        used = hparams.n_expert_used
        routed = max(
            matrices * _F32 * hparams.n_ff_exp * used * tokens,
            _F32 * tokens * (hparams.n_ff_exp + 2 * hparams.n_embd) * used,
        )
        shared = matrices * _F32 * hparams.n_ff_shexp * tokens
        return 4 * hidden + max(routed, shared)
    return 4 * hidden + matrices * _F32 * layer.n_ff * tokens


def _recurrent(model: ModelSpec, layer: LayerSpec, settings: Settings, hidden: int) -> int:
    """State-space stage: inner width and convolution width from the state's own shape."""
    assert layer.recurrent is not None
    tokens = settings.graph_tokens
    inner = _integer(model, "ssm.inner_size") or model.hparams.n_embd
    kernel = _integer(model, "ssm.conv_kernel")
    convolution = layer.recurrent.shift_elements // (kernel - 1) if kernel > 1 else inner
    state = _F32 * layer.recurrent.state_elements * settings.sequences
    return 2 * hidden + (3 * inner + 2 * convolution) * _F32 * tokens + state


def _integer(model: ModelSpec, key: str) -> int:
    value = model.metadata.get(f"{model.architecture}.{key}", 0)
    return value if isinstance(value, int) else 0
