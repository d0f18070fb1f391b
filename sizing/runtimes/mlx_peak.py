"""What mlx-lm takes for a moment beside weights and caches: an interval, at its highest point.

A prompt is read in steps; each step's activations live while its layers are computed, several
layers at a time, because the GPU is handed operations ahead. Attention that no fused kernel takes
(`fused` below) writes its scores out: heads x step x context. Once in a layer whose neighbours
attend otherwise, as every fourth of a hybrid, beside what was handed ahead: mask and softmax take
over the stretch that the product was written to. A little over twice where such layers follow each
other. A cache that grows is copied, layer by layer. Layers of Mamba-2 write out decays and products
of each chunk of a step, heads x chunk x chunk in 32 bits; all chunks of a layer are there at once,
because operations that wait for no other are handed out first.
Source: ml-explore/mlx (2026-08-22) mlx/backend/metal/scaled_dot_product_attention.cpp for the
kernels, mlx/fast.cpp (scaled_dot_product_attention) for what is done without them,
mlx/backend/common/ternary.h and mlx/backend/metal/softmax.cpp for stretches that are taken over;
ml-explore/mlx-lm mlx_lm/models/ssm.py (ssm_attn, segsum) for what Mamba-2 writes;
86 peaks of mlx-lm on an Apple M3 Ultra (github.com/guruswami-ai/mlx-benchmarks) and 23 on a CPU.
Error: the other shares were set from these rows, and the interval holds every one; those of the
GPU are of one machine and three models, and of low trust, so it is wide.
"""

from __future__ import annotations

from itertools import pairwise

from whatfits.sizing.model import LatentAttention
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import MIB

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.model import LayerSpec, ModelSpec
    from whatfits.sizing.runtimes.mlx_cache import LayerCache
    from whatfits.sizing.runtimes.mlx_models import MlxModel

__all__ = ["Span", "StepShape", "is_fused", "step_bytes"]

_HALF: Final = 2
_F32: Final = 4
# Heads that the fused kernel for prompts takes; those of 192 and 256 fall back.
_FUSED_LENGTHS: Final = frozenset({64, 72, 80, 96, 128})
_PERHAPS_FUSED: Final = frozenset({256})  # by the newest chips, in long causal steps
_STREAM_COPIES: Final = 8  # residual, norm, query, key, value, attention, and two halves of a sum
_GATED_COPIES: Final = 3
_IN_FLIGHT_BYTES: Final = 512 * MIB  # of operations the GPU was handed ahead
# How often scores are written out: once, and again by softmax and mask.
_LEAST_SCORES: Final = 0.8
_CPU_SCORES: Final = 1.7
_GPU_SCORES: Final = 2.15
_MOST_SCORES: Final = 3
# The same on a GPU, of a layer without a neighbour like it that leaves attention to MLX.
_LONE_SCORES: Final = 1
_MOST_LONE_SCORES: Final = 2
# What Mamba-2 layers keep of a step, in arrays of heads x tokens x chunk. On a CPU MLX 0.32.4 took
# 4 to 5 for one layer, and up to 9 for four. On a GPU, which is handed several layers ahead: 20 by
# the peak before there were chunks (61.32 GB for granite-4.0-h-small, 2,048 tokens in one).
# Source: github.com/ml-explore/mlx-lm/pull/525, whose peak with chunks judges them.
_CHUNK_TOKENS: Final = 256
_SCANNED_ON_CPU: Final = (3, 5, 10)
_SCANNED_ON_GPU: Final = (4, 20, 30)


class Span(NamedTuple):
    """An interval of bytes."""

    low: int
    mid: int
    high: int

    def __add__(self, other: object) -> Span:
        """Return both at the same time."""
        if not isinstance(other, Span):
            return NotImplemented
        return Span(self.low + other.low, self.mid + other.mid, self.high + other.high)

    def or_larger(self, other: Span) -> Span:
        """Return the larger of both at each end: one comes after the other."""
        return Span(*(max(pair) for pair in zip(self, other, strict=True)))

    def scaled(self, low: float, mid: float, high: float) -> Span:
        """Return each end times a factor of its own."""
        return Span(round(self.low * low), round(self.mid * mid), round(self.high * high))


class StepShape(NamedTuple):
    """One step: `rows` sequences of `tokens` each, which then look back on `context` tokens."""

    rows: int
    tokens: int
    context: int


def is_fused(layer: LayerSpec, rules: MlxModel) -> bool:
    """Return whether a GPU has a fused kernel for a layer's prompts."""
    if not rules.fused or isinstance(layer.attention, LatentAttention):
        return False
    return layer.key_length == layer.value_length and layer.key_length in _FUSED_LENGTHS


def step_bytes(
    model: ModelSpec,
    rules: MlxModel,
    caches: list[tuple[LayerSpec, LayerCache]],
    step: StepShape,
    *,
    on_gpu: bool,
    quantised: bool = False,
) -> Span:
    """Return what one step takes for a moment."""
    single = _activation_bytes(model, step)
    lone = in_a_row = _same(0)
    for layer, cache in caches:
        is_lone = on_gpu and rules.fused and _is_lone(model, layer)
        written = _attention(
            model, layer, rules, cache, step, on_gpu=on_gpu, quantised=quantised, is_lone=is_lone
        )
        if is_lone:
            lone = lone.or_larger(written)
        else:
            in_a_row = in_a_row.or_larger(written)
    scores = lone.or_larger(in_a_row)
    scanned = _scanned(model, step, on_gpu=on_gpu) if rules.scans else _same(0)
    if not on_gpu:
        logits = _F32 * model.hparams.n_vocab * step.rows
        return _same(single).scaled(0.5, 1, 3) + scores + scanned + Span(0, logits, 4 * logits)
    ahead = min(_IN_FLIGHT_BYTES, model.n_layers * single)
    return scanned + Span(
        single // 4 + scores.low,
        max(ahead + single // 2 + lone.mid, single + in_a_row.mid),
        2 * ahead + 2 * single + scores.high,
    )


def _scanned(model: ModelSpec, step: StepShape, *, on_gpu: bool) -> Span:
    """Return what layers of Mamba-2 write out while they read a step.

    On a GPU one token goes through a kernel of its own, which writes nothing of the kind.
    """
    heads = model.metadata.get(f"{model.architecture}.ssm.time_step_rank")
    if not isinstance(heads, int) or step.tokens == 1:
        return _same(0)
    chunk = min(step.tokens, _CHUNK_TOKENS)
    array = _same(_F32 * step.rows * heads * step.tokens * chunk)
    return array.scaled(*(_SCANNED_ON_GPU if on_gpu else _SCANNED_ON_CPU))


def _activation_bytes(model: ModelSpec, step: StepShape) -> int:
    """Return what the widest layer writes for a step, each result once."""
    hparams = model.hparams
    routed = hparams.n_ff_exp * hparams.n_expert_used + hparams.n_ff_shexp
    dense = max((layer.n_ff for layer in model.layers), default=0)
    width = _STREAM_COPIES * hparams.n_embd + _GATED_COPIES * max(routed, dense)
    heads = max((layer.n_head * layer.key_length for layer in model.layers), default=0)
    return _HALF * step.rows * step.tokens * (width + 2 * heads)


def _attention(
    model: ModelSpec,
    layer: LayerSpec,
    rules: MlxModel,
    cache: LayerCache,
    step: StepShape,
    *,
    on_gpu: bool,
    quantised: bool,
    is_lone: bool,
) -> Span:
    """Return what attention of one layer writes out beside its result."""
    if not layer.n_head:
        return _same(0)
    context = step.context
    if cache.window_tokens is not None:
        context = min(context, cache.window_tokens - 1 + step.tokens)
    scores = _same(_HALF * step.rows * layer.n_head * step.tokens * context)
    if isinstance(layer.attention, LatentAttention):
        wide = layer.n_head * _expanded_lengths(model)
        keys = _same(_HALF * step.rows * context * wide)
        return scores.scaled(1, _GPU_SCORES, _MOST_SCORES + 1) + keys.scaled(0.5, 1, 2)
    if on_gpu and not quantised and is_fused(layer, rules):
        return _same(0)
    fuses = on_gpu and rules.fused and not quantised and layer.key_length in _PERHAPS_FUSED
    least = 0 if fuses else _LEAST_SCORES
    if is_lone:
        return scores.scaled(least, _LONE_SCORES, _MOST_LONE_SCORES)
    return scores.scaled(least, _GPU_SCORES if on_gpu else _CPU_SCORES, _MOST_SCORES)


def _is_lone(model: ModelSpec, layer: LayerSpec) -> bool:
    """Return whether no layer like this one follows another."""
    return all((one, other) != (layer, layer) for one, other in pairwise(model.layers))


def _expanded_lengths(model: ModelSpec) -> int:
    """Return the elements of a key and a value that a latent row becomes for one head."""
    for tensor in model.tensors:
        if tensor.name.endswith(".attn_k_b.weight"):
            return 2 * tensor.shape[0]
    return 2 * max((layer.key_length for layer in model.layers), default=0)


def _same(n_bytes: int) -> Span:
    return Span(n_bytes, n_bytes, n_bytes)
