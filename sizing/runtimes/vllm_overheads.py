"""What vLLM takes of a device beside weights and cache: intervals from public start-up logs.

Profiling runs one batch and one dummy sampling, so the peak of the activations follows the batch
and the requests at once, not the longest request. Graphs are captured for so many lengths of a
batch, each with its layers. Source: vllm-project/vllm 0.33.0 vllm/v1/worker/gpu_worker.py,
gpu_model_runner.py, vllm/config/vllm.py, vllm/model_executor/layers/fused_moe and
sparse_attn_indexer.py, vllm/v1/attention/backends/mla/indexer.py for the rules;
vllm-project/vllm pulls 10511, 14447, 17122, 30515, 57047, issues 10517 and 14452 and further logs
(tests/recorded/vllm) for the figures. Middles on H100 were set from the logs of one model; the
ends were chosen with all logs in view (tests/golden/test_vllm_on_h100.py), which judge them not.
From 0.26 to 0.32 a newer runner, at first of dense models alone, samples from logits of 16 bits
while it profiles: its peak is less than the middle, which is that of versions before and of 0.33,
whose profile samples in 32 bits too (vllm/v1/worker/gpu/model_runner.py, sample/sampler.py).
"""

from __future__ import annotations

from whatfits.sizing.model import ByteRange, LatentAttention
from whatfits.sizing.quants.layouts.parts import F32, HALF
from whatfits.sizing.runtimes.vllm_devices import capability
from whatfits.sizing.runtimes.vllm_layers import convolution_columns
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import GIB, KIB, pad

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from whatfits.sizing.machine import Device
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.runtimes.vllm_settings import VllmSettings

__all__ = [
    "activation_range",
    "context_range",
    "graph_range",
    "graphs_beyond_bytes",
    "rest_range",
]

_BIG_BYTES: Final = 40 * GIB
# Elements a token: of the residual stream, and of the feed-forward part of one layer.
_STREAM_LOW, _STREAM_MID, _STREAM_HIGH = 2.0, 4.0, 12.0
_INNER_LOW, _INNER_MID, _INNER_HIGH = 2.0, 3.0, 4.0
# Copies of the logits in 32 bits while the dummy sampling is at its peak: expected and at most.
_SAMPLED, _MOST_SAMPLED = 3.7, 4.0
_REJECTED: Final = 2  # more copies while drafts are looked through, in that sampling's older form
_STACKED: Final = "MXFP4"  # kernels of such experts bring memory of their own
# Index keys of so many longest requests are read at once while a prompt is, each with a scale.
_INDEXED_REQUESTS: Final = 40
_INDEX_SCALE_BYTES: Final = 4


def _gib(low: float, mid: float, high: float, reason: str) -> ByteRange:
    return ByteRange(round(low * GIB), round(mid * GIB), round(high * GIB), reason)


# GiB of captured graphs: a start, each graph, and each layer of a graph.
_GRAPH_START, _GRAPH_EACH, _GRAPH_LAYER = 0.1, 0.0018, 0.00013
_GRAPH_LOW: Final = 1 / 8  # of the middle
_GRAPH_HIGH, _GRAPH_LEAST_HIGH_GIB, _GRAPH_BIG_GIB = 1.5, 0.95, 1.0
_GRAPHS_BEYOND_BYTES: Final = GIB // 2  # at most 0.46 GiB in logs
_MOST_CAPTURED, _MORE_CAPTURED = 512, 1024  # tokens of the largest captured batch
_LARGE_CAPTURES: Final = "gpt-oss"
# Since 0.26 the estimate counts what one long step of these took for a moment, by tokens of a
# batch; of which operation is not known, so that ranks do not divide it here. Source:
# vllm-project/vllm issue 50780 (4.2 GiB, 96 % of it so), pull 50848.
_DELTA: Final = frozenset({"qwen3next", "qwen35", "qwen35moe"})
_DELTA_TOKEN_BYTES: Final = 128 * KIB
_BLACKWELL: Final = (10.0, 11.0)  # capability of what stands in data centres
_NO_GRAPHS: Final = ByteRange(0, 0, 0, "the CPU captures no graphs")
_CONTEXT: Final = _gib(
    0.2, 0.45, 0.6, "the driver's context of the process, which is gone before vLLM measures"
)
_NO_CONTEXT: Final = ByteRange(0, 0, 0, "the CPU has no driver context")
_PROCESS: Final = _gib(0.5, 1.0, 2.5, "Python and torch on the CPU: no log read, a wide guess")
_REST: Final = {
    # (several ranks, 40 GiB or more of memory); stages have taken no more than one card has
    (False, False): _gib(0.02, 0.3, 0.6, "libraries of one card: 0.02 to 0.6 GiB in logs"),
    (False, True): _gib(0.03, 0.3, 1.8, "libraries of one large card: up to 1.79 GiB in a log"),
    (True, False): _gib(0.2, 0.4, 1.0, "libraries and NCCL on cards: 0.20 to 0.33 GiB in logs"),
    (True, True): _gib(0.2, 2.1, 3.6, "libraries and NCCL on large cards: 0.21 to 3.58 in logs"),
}
_ROCM: Final = _gib(0.3, 0.6, 2.0, "libraries on ROCm: 0.6 GiB usual, few logs")


def activation_range(model: ModelSpec, settings: VllmSettings) -> ByteRange:
    """Return the peak of one batch through the model or of the sampling after it.

    Batch: tokens x (c1 x width + c2 x inner width / ranks) x 2. Sampling: what it reads and what
    experts keep, tokens x width x 2 and more, + requests at once x vocabulary x 4 x copies. The low
    end leaves the sampling out; what embeds samples nothing. Both keep the room of an indexer.
    What drafts start from, the stream of a whole batch, may be beside that.
    """
    tokens, ranks = settings.batch_tokens, settings.cut.ranks
    stream, inner = _stream_elements(model, ranks), _inner_elements(model, ranks)
    logits = 0 if settings.embeds else settings.sequences * model.hparams.n_vocab * F32
    low, mid, high = (
        round(tokens * (a * stream + b * inner) * HALF)
        for a, b in (
            (_STREAM_LOW, _INNER_LOW),
            (_STREAM_MID, _INNER_MID),
            (_STREAM_HIGH, _INNER_HIGH),
        )
    )
    stream_bytes = tokens * model.hparams.n_embd * HALF
    kept = stream_bytes + _expert_bytes(model, settings)
    indexer = _indexer_bytes(model, settings)
    beside, most_sampled = indexer, _MOST_SAMPLED
    if settings.drafted_tokens:
        beside += stream_bytes
        most_sampled += _REJECTED
    return ByteRange(
        low + indexer,
        max(mid, kept + round(_SAMPLED * logits)) + beside,
        max(high + logits, kept + round(most_sampled * logits)) + beside,
        "peak of the profiling run: 0.4 to 5.7 GiB in logs, by batch, width and vocabulary",
    )


def _indexer_bytes(model: ModelSpec, settings: VllmSettings) -> int:
    """Return the room that sparse attention's indexer gathers keys in, held from the profile on."""
    widths = (
        layer.attention.index_width
        for layer in model.layers
        if isinstance(layer.attention, LatentAttention)
    )
    width = max(widths, default=0)
    return (
        _INDEXED_REQUESTS * settings.request_tokens * (width + _INDEX_SCALE_BYTES) if width else 0
    )


def _expert_bytes(model: ModelSpec, settings: VllmSettings) -> int:
    """Return the two stretches that routed experts work in, which stay once they are taken.

    Both have a row for each expert of each token, as wide as the stream or the inner width.
    """
    hparams, ranks = model.hparams, settings.cut.ranks
    if not hparams.n_expert or any(tensor.type == _STACKED for tensor in model.tensors):
        return 0
    inner = hparams.n_ff_exp // ranks
    widths = max(2 * inner, hparams.n_embd) + max(inner, hparams.n_embd)
    return settings.batch_tokens * hparams.n_expert_used * widths * HALF


def _stream_elements(model: ModelSpec, ranks: int) -> int:
    """Return the widest of what one token carries between the matrices of a layer."""
    heads = max((layer.n_head * layer.key_length for layer in model.layers), default=0)
    shifted = max(
        (layer.recurrent.shift_elements for layer in model.layers if layer.recurrent), default=0
    )
    columns = convolution_columns(model)
    return max(model.hparams.n_embd, heads // ranks, shifted // columns // ranks)


def _inner_elements(model: ModelSpec, ranks: int) -> int:
    """Return the width of the feed-forward part one token goes through.

    Experts keep a row of the stream's width for each one used as well.
    """
    return max(_widths(model, ranks))


def _widths(model: ModelSpec, ranks: int) -> Iterator[int]:
    yield max((layer.n_ff for layer in model.layers), default=0) // ranks
    hparams = model.hparams
    if hparams.n_expert:
        routed = hparams.n_expert_used * (hparams.n_ff_exp // ranks + hparams.n_embd // 2)
        yield routed + hparams.n_ff_shexp // ranks


def graph_range(
    model: ModelSpec, settings: VllmSettings, *, n_layers: int, total_bytes: int
) -> ByteRange:
    """Return what graphs captured of so many layers take of a device.

    vLLM captures them twice: in pieces between the attentions, up to twice the tokens that all
    requests decode at once, and whole, up to those tokens. What it subtracts from the pool is an
    estimate of its own, which has been up to a GiB above what they took, on large cards; of gated
    delta nets it may count a batch's working memory as well.
    """
    if settings.on_host:
        return _NO_GRAPHS
    checked = 1 + settings.drafted_tokens  # tokens of a request in a step of decoding
    whole = settings.sequences * checked
    most = _most_captured(model, settings.devices[0])
    if model.architecture != _LARGE_CAPTURES:  # whose length is set, whatever decodes at once
        most = min(2 * whole, most)
    most = min(most, settings.batch_tokens)
    n_graphs = sum(_n_captured(limit, most=most, checked=checked) for limit in (most, whole))
    mid = _GRAPH_START + n_graphs * (_GRAPH_EACH + _GRAPH_LAYER * n_layers)
    is_big = total_bytes >= _BIG_BYTES
    high = max(mid + _GRAPH_BIG_GIB if is_big else mid * _GRAPH_HIGH, _GRAPH_LEAST_HIGH_GIB)
    if model.architecture in _DELTA:
        high += settings.batch_tokens * _DELTA_TOKEN_BYTES / GIB
    return _gib(
        mid * _GRAPH_LOW,
        mid,
        high,
        f"{n_graphs} captured graphs: 0.04 to 1.92 GiB in logs without drafts, estimates among "
        "them, the more on large cards",
    )


def graphs_beyond_bytes(graphs: ByteRange) -> int:
    """Return by how much graphs may outgrow what vLLM estimates for them."""
    return _GRAPHS_BEYOND_BYTES if graphs.high_bytes else 0


def _most_captured(model: ModelSpec, device: Device) -> int:
    first, after = _BLACKWELL
    is_large = first <= (capability(device) or 0.0) < after
    large = is_large or model.architecture == _LARGE_CAPTURES
    return _MORE_CAPTURED if large else _MOST_CAPTURED


def _n_captured(limit: int, *, most: int, checked: int) -> int:
    """Return how many lengths of a batch up to a limit are captured: 1, 2, 4, by 8, by 16 from 256.

    Each is brought up to whole requests, which have several tokens each with drafts.
    """
    lengths = (1, 2, 4, *range(8, 256, 8), *range(256, most + 1, 16))
    found = {pad(length, checked) for length in lengths if length <= most}
    return sum(length <= min(limit, most) for length in found)


def context_range(device: Device) -> ByteRange:
    """Return what the process holds of a device before vLLM measures what is free."""
    return _NO_CONTEXT if device.kind == "cpu" else _CONTEXT


def rest_range(device: Device, *, total_bytes: int, several: bool) -> ByteRange:
    """Return what libraries (cuBLAS, NCCL …) take of a device outside torch.

    `several`: it is one of several ranks, which add up their results all the time.
    """
    if device.kind == "cpu":
        return _PROCESS
    if device.kind == "rocm":
        return _ROCM
    return _REST[several, total_bytes >= _BIG_BYTES]
