"""DeepSeek V2, V3, R1, Kimi K2 and others with latent attention; DeepSeek 1 is not among them.

The layers that predict further tokens (MTP) are left out by the converter.
Source: llama.cpp (0c1e57098) src/models/deepseek2.cpp; conversion/{deepseek,glm,mistral3}.py.
"""

from __future__ import annotations

from whatfits.sizing.architectures import blocks
from whatfits.sizing.architectures.convert import base_metadata
from whatfits.sizing.architectures.family import Architecture
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from whatfits.sizing.architectures.config import Config
    from whatfits.sizing.architectures.family import Blueprint
    from whatfits.sizing.model import TensorShape

__all__ = ["ARCHITECTURES", "deepseek2_metadata", "latent_attention"]

_DEFAULT_RANK: Final = 512


def deepseek2_metadata(config: Config) -> dict[str, object]:
    """Return the metadata of the DeepSeek V2 converter: latent attention as one wide head."""
    metadata = base_metadata(config)
    rank = config.optional("kv_lora_rank") or _DEFAULT_RANK
    rotary = config.integer("qk_rope_head_dim")  # 0 without rotary positions
    routed = config.optional("n_routed_experts")
    dense = config.optional("first_k_dense_replace")
    kinds = config.items("mlp_layer_types")
    if dense is None and kinds is not None:
        dense = sum(kind == "dense" for kind in kinds)
    elif dense is None:
        dense = config.n_layers if routed is None else 0
    metadata |= {
        "attention.head_count_kv": 1,
        "vocab_size": config.n_vocab,
        "leading_dense_block_count": dense,
        "attention.kv_lora_rank": rank,
        "attention.key_length": rank + rotary,
        "attention.value_length": rank,
        "attention.key_length_mla": config.positive("qk_nope_head_dim") + rotary,
        "attention.value_length_mla": config.positive("v_head_dim"),
        "rope.dimension_count": rotary,
        "expert_feed_forward_length": config.positive("moe_intermediate_size", "intermediate_size"),
        "expert_shared_count": config.optional("n_shared_experts") or 0,
    }
    query_rank = config.optional("q_lora_rank")
    if query_rank:
        metadata["attention.q_lora_rank"] = query_rank
    return metadata


def latent_attention(blueprint: Blueprint, prefix: str, layer: int) -> Iterator[TensorShape]:
    """Yield the projections of latent attention, keys and values decompressed per head."""
    metadata, n_embd = blueprint.metadata, blueprint.n_embd
    heads = blueprint.geometry.heads[layer]
    rank = metadata.integer("attention.kv_lora_rank")
    rotary = metadata.integer("rope.dimension_count", low=0)
    key = metadata.integer("attention.key_length_mla")
    value = metadata.integer("attention.value_length_mla")
    query_rank = metadata.optional("attention.q_lora_rank")
    if query_rank:
        yield blocks.f32(f"{prefix}attn_q_a_norm", query_rank)
        yield blocks.matrix(f"{prefix}attn_q_a", n_embd, query_rank)
        yield blocks.matrix(f"{prefix}attn_q_b", query_rank, heads * key)
    else:
        yield blocks.matrix(f"{prefix}attn_q", n_embd, heads * key)
    yield blocks.f32(f"{prefix}attn_kv_a_norm", rank)
    yield blocks.matrix(f"{prefix}attn_kv_a_mqa", n_embd, rank + rotary)
    yield blocks.matrix(f"{prefix}attn_k_b", key - rotary, rank, heads)
    yield blocks.matrix(f"{prefix}attn_v_b", rank, value, heads)
    yield blocks.matrix(f"{prefix}attn_output", heads * value, n_embd)


def deepseek2_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    """Yield the tensors: dense layers first, then routed and shared experts."""
    config, metadata, n_embd = blueprint.config, blueprint.metadata, blueprint.n_embd
    dense = metadata.integer("leading_dense_block_count", low=0)
    n_ff = metadata.integer("expert_feed_forward_length")
    shared = metadata.integer("expert_shared_count", low=0)
    selection = _has_selection_bias(config)
    fused = metadata.architecture == "mistral4"  # its checkpoint stacks gate and up projection
    yield from blocks.ends(n_embd, blueprint.n_vocab, tied=config.tied())
    for layer in blueprint.layers:
        prefix = f"blk.{layer}."
        yield blocks.f32(f"{prefix}attn_norm", n_embd)
        yield from latent_attention(blueprint, prefix, layer)
        yield blocks.f32(f"{prefix}ffn_norm", n_embd)
        if layer < dense:
            yield from blocks.dense(prefix, n_embd=n_embd, n_ff=blueprint.n_ff(layer))
            continue
        yield from blocks.experts(
            prefix,
            n_embd=n_embd,
            n_ff=n_ff,
            n_expert=blueprint.n_expert,
            selection_bias=selection,
            fused=fused,
        )
        if shared:
            yield from blocks.shared_experts(prefix, n_embd=n_embd, n_ff=n_ff * shared)


def _has_selection_bias(config: Config) -> bool:
    """Return whether routing has a correction bias: V3's method, and all who came after it."""
    method = config.text("topk_method")
    if method is not None:
        return method == "noaux_tc"
    return config.text("model_type") not in ("deepseek_v2", "mistral4")


ARCHITECTURES: Final = (
    Architecture("deepseek2", deepseek2_metadata, deepseek2_tensors),
    Architecture("mistral4", deepseek2_metadata, deepseek2_tensors),
)
