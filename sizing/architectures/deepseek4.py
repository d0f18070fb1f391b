"""DeepSeek V4: one head of keys, a compressed past, several residual streams, routing by hash.

The blocks that predict further tokens are left out by the converter.
Source: llama.cpp (0c1e57098) src/models/deepseek4.cpp; conversion/deepseek.py.
"""

from __future__ import annotations

from whatfits.sizing.architectures import blocks
from whatfits.sizing.architectures.convert import NEUTRAL_SCALE, base_metadata
from whatfits.sizing.architectures.decoder import mixture_part
from whatfits.sizing.architectures.family import Architecture
from whatfits.sizing.model import TensorShape
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from whatfits.sizing.architectures.config import Config
    from whatfits.sizing.architectures.family import Blueprint

__all__ = ["ARCHITECTURES", "hyper_connections"]

_SQRT_SOFTPLUS: Final = 4
_ITERATIONS: Final = 20  # hc_sinkhorn_iters of the published models; no byte depends on it
_NEUTRAL_CLAMP: Final = 10.0  # same
_SPARSE_RATIO: Final = 4
_SCALES: Final = 3


def _metadata(config: Config) -> dict[str, object]:
    scale, clamp = config.number("routed_scaling_factor"), config.number("swiglu_limit")
    ratios = config.items("compress_ratios")
    if ratios is None:
        allowed = "a list, one ratio a layer"
        raise config.error("compress_ratios", "missing", allowed=allowed)
    epsilon = config.number("hc_eps")
    return {
        **base_metadata(config),
        "attention.q_lora_rank": config.positive("q_lora_rank"),
        "attention.output_lora_rank": config.positive("o_lora_rank"),
        "attention.output_group_count": config.positive("o_groups"),
        "attention.compress_ratios": ratios,
        "attention.compress_rope_freq_base": float(config.positive("compress_rope_theta")),
        "attention.sliding_window": config.positive("sliding_window"),
        "attention.indexer.head_count": config.positive("index_n_heads"),
        "attention.indexer.key_length": config.positive("index_head_dim"),
        "attention.indexer.top_k": config.positive("index_topk"),
        "expert_feed_forward_length": config.positive("moe_intermediate_size"),
        "expert_shared_count": config.positive("n_shared_experts"),
        "expert_gating_func": _SQRT_SOFTPLUS,
        "expert_weights_scale": NEUTRAL_SCALE if scale is None else scale,
        "expert_weights_norm": True,
        "swiglu_clamp_exp": (_NEUTRAL_CLAMP if clamp is None else clamp,) * config.n_layers,
        "hash_layer_count": min(config.optional("num_hash_layers") or 0, config.n_layers),
        "hyper_connection.count": config.positive("hc_mult"),
        "hyper_connection.sinkhorn_iterations": config.optional("hc_sinkhorn_iters") or _ITERATIONS,
        "hyper_connection.epsilon": 1e-6 if epsilon is None else epsilon,
        "rope.dimension_count": config.positive("qk_rope_head_dim"),
    }


def hyper_connections(blueprint: Blueprint, prefix: str) -> Iterator[TensorShape]:
    """Yield what mixes the residual streams of a layer before attention and feed-forward."""
    streams = blueprint.metadata.integer("hyper_connection.count")
    mixed = (2 + streams) * streams
    for part in ("attn", "ffn"):
        yield blocks.matrix(f"{prefix}hc_{part}_fn", streams * blueprint.n_embd, mixed)
        yield blocks.f32(f"{prefix}hc_{part}_base", mixed)
        yield blocks.f32(f"{prefix}hc_{part}_scale", _SCALES)


def _attention(blueprint: Blueprint, prefix: str, layer: int) -> Iterator[TensorShape]:
    metadata, n_embd = blueprint.metadata, blueprint.n_embd
    heads, length = blueprint.geometry.heads[layer], blueprint.geometry.key_lengths[layer]
    rank = metadata.integer("attention.q_lora_rank")
    groups = metadata.integer("attention.output_group_count")
    reduced = groups * metadata.integer("attention.output_lora_rank")
    yield blocks.f32(f"{prefix}attn_sinks", heads)
    yield blocks.matrix(f"{prefix}attn_q_a", n_embd, rank)
    yield blocks.f32(f"{prefix}attn_q_a_norm", rank)
    yield blocks.matrix(f"{prefix}attn_q_b", rank, heads * length)
    yield blocks.matrix(f"{prefix}attn_kv", n_embd, length)
    yield blocks.f32(f"{prefix}attn_kv_a_norm", length)
    yield blocks.matrix(f"{prefix}attn_output_a", heads * length // groups, reduced)
    yield blocks.matrix(f"{prefix}attn_output_b", reduced, n_embd)


def _compressor(name: str, *, n_embd: int, length: int, ratio: int) -> Iterator[TensorShape]:
    """Yield a compressor; at ratio 4 it looks at two blocks at once."""
    width = 2 * length if ratio == _SPARSE_RATIO else length
    yield blocks.matrix(f"{name}_kv", n_embd, width)
    yield blocks.matrix(f"{name}_gate", n_embd, width)
    yield blocks.matrix(f"{name}_ape", width, ratio)
    yield blocks.f32(f"{name}_norm", length)


def _past(blueprint: Blueprint, prefix: str, layer: int) -> Iterator[TensorShape]:
    """Yield what compresses the past of a layer and picks from it."""
    metadata, n_embd = blueprint.metadata, blueprint.n_embd
    ratios = metadata.integers("attention.compress_ratios", low=0, high=2**16) or ()
    ratio = ratios[layer]
    if not ratio:
        return
    length = blueprint.geometry.key_lengths[layer]
    name = f"{prefix}attn_compressor"
    yield from _compressor(name, n_embd=n_embd, length=length, ratio=ratio)
    if ratio == _SPARSE_RATIO:
        heads = metadata.integer("attention.indexer.head_count")
        index = metadata.integer("attention.indexer.key_length")
        rank = metadata.integer("attention.q_lora_rank")
        yield blocks.matrix(f"{prefix}indexer.proj", n_embd, heads)
        yield blocks.matrix(f"{prefix}indexer.attn_q_b", rank, heads * index)
        name = f"{prefix}indexer_compressor"
        yield from _compressor(name, n_embd=n_embd, length=index, ratio=ratio)


def _experts(blueprint: Blueprint, prefix: str, layer: int) -> Iterator[TensorShape]:
    metadata = blueprint.metadata
    n_ff = metadata.integer("expert_feed_forward_length")
    shared = n_ff * metadata.integer("expert_shared_count")
    hashed = layer < metadata.integer("hash_layer_count", low=0)
    yield from mixture_part(blueprint, prefix, layer, selection_bias=not hashed, shared=shared)
    if hashed:  # a table from token to experts
        shape = (blueprint.geometry.n_expert_used, blueprint.n_vocab)
        yield TensorShape(f"{prefix}ffn_gate_tid2eid.weight", shape, "I32")


def _tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    n_embd = blueprint.n_embd
    streams = blueprint.metadata.integer("hyper_connection.count")
    yield from blocks.ends(n_embd, blueprint.n_vocab, tied=False)
    yield blocks.matrix("output_hc_fn", streams * n_embd, streams)
    yield blocks.f32("output_hc_base", streams)
    yield blocks.f32("output_hc_scale", 1)
    for layer in blueprint.layers:
        prefix = f"blk.{layer}."
        yield blocks.f32(f"{prefix}attn_norm", n_embd)
        yield from _attention(blueprint, prefix, layer)
        yield from hyper_connections(blueprint, prefix)
        yield from _past(blueprint, prefix, layer)
        yield blocks.f32(f"{prefix}ffn_norm", n_embd)
        yield from _experts(blueprint, prefix, layer)


ARCHITECTURES: Final = (Architecture("deepseek4", _metadata, _tensors),)
