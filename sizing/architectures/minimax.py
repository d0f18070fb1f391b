"""MiniMax 01 and M1 (lightning attention), M2 and M3 (sparse attention), all with experts.

Source: llama.cpp (0c1e57098) src/models/{minimax-01,minimax-m2,minimax-m3}.cpp;
conversion/minimax.py.
"""

from __future__ import annotations

from whatfits.sizing.architectures import blocks
from whatfits.sizing.architectures.convert import NEUTRAL_SCALE, base_metadata
from whatfits.sizing.architectures.decoder import Style, decoder_tensors, mixture_part
from whatfits.sizing.architectures.family import Architecture
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from whatfits.sizing.architectures.config import Config
    from whatfits.sizing.architectures.family import Blueprint
    from whatfits.sizing.model import TensorShape

__all__ = ["ARCHITECTURES"]


_SIGMOID: Final = 2
_FULL: Final = ("full_attention", "attention")


def _metadata(config: Config) -> dict[str, object]:
    return {
        **base_metadata(config),
        "expert_gating_func": _SIGMOID,
        "expert_feed_forward_length": config.positive("intermediate_size"),
        "rope.dimension_count": config.optional("rotary_dim") or config.head_length // 2,
    }


def _experts(blueprint: Blueprint, prefix: str, layer: int) -> Iterator[TensorShape]:
    return blocks.experts(
        prefix,
        n_embd=blueprint.n_embd,
        n_ff=blueprint.n_ff(layer),
        n_expert=blueprint.n_expert,
        selection_bias=True,
    )


def _tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    return decoder_tensors(blueprint, Style(tied="never", qk_norm="width"), _experts)


def _lightning_metadata(config: Config) -> dict[str, object]:
    alpha = config.number("layernorm_full_attention_alpha", "full_attn_alpha_factor")
    return {
        **base_metadata(config),
        "attention.recurrent_layers": _lightning_layers(config),
        "residual_scale": NEUTRAL_SCALE if alpha is None else alpha,
        "rope.dimension_count": config.optional("rotary_dim") or config.head_length // 2,
    }


def _lightning_layers(config: Config) -> tuple[bool, ...]:
    """Return one flag a layer, true for lightning attention.

    Raises:
        MalformedFileError: nothing says which layers have it.
    """
    kinds = config.layer_kinds(config.n_layers)
    if kinds is not None:
        return tuple(kind not in _FULL for kind in kinds)
    listed = config.items("attn_type_list")
    if listed is None or len(listed) != config.n_layers:
        raise config.error("layer_types", "missing", allowed="a list, one kind a layer")
    return tuple(kind == 0 for kind in listed)


def _lightning_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    n_embd, geometry = blueprint.n_embd, blueprint.geometry
    yield from blocks.ends(n_embd, blueprint.n_vocab, tied=blueprint.config.tied())
    for layer in blueprint.layers:
        prefix, widths = f"blk.{layer}.", blueprint.widths(layer)
        yield blocks.f32(f"{prefix}attn_norm", n_embd)
        if geometry.recurrent[layer]:
            wide = widths._replace(key=widths.query, value=widths.query)
            yield blocks.f32(f"{prefix}attn_norm_2", widths.query)
            yield from blocks.attention(prefix, wide, fused=True)
            yield blocks.matrix(f"{prefix}attn_gate", n_embd, widths.query)
        else:
            yield from blocks.attention(prefix, widths)
        yield blocks.f32(f"{prefix}ffn_norm", n_embd)
        yield from mixture_part(blueprint, prefix, layer, selection_bias=False)


def _sparse_metadata(config: Config) -> dict[str, object]:
    sparse, frequency = config.mapping("sparse_attention_config"), config.items("moe_layer_freq")
    scale = config.number("routed_scaling_factor")
    return {
        **_metadata(config),
        "feed_forward_length": config.positive("dense_intermediate_size", "intermediate_size"),
        "leading_dense_block_count": next((i for i, kind in enumerate(frequency or ()) if kind), 0),
        "expert_shared_count": config.positive("n_shared_experts"),
        "expert_weights_scale": NEUTRAL_SCALE if scale is None else scale,
        "expert_weights_norm": True,
        "attention.indexer.head_count": sparse.positive("sparse_num_index_heads"),
        "attention.indexer.key_length": sparse.positive("sparse_index_dim"),
        "attention.indexer.top_k": sparse.positive("sparse_topk_blocks"),
        "attention.indexer.block_size": sparse.positive("sparse_block_size"),
        "attention.indexer.local_blocks": sparse.integer("sparse_local_block"),
    }


def _sparse_part(blueprint: Blueprint, prefix: str, layer: int) -> Iterator[TensorShape]:
    metadata, n_embd = blueprint.metadata, blueprint.n_embd
    n_ff = metadata.integer("expert_feed_forward_length")
    shared = n_ff * metadata.integer("expert_shared_count")
    yield from mixture_part(blueprint, prefix, layer, selection_bias=True, shared=shared)
    if layer < metadata.integer("leading_dense_block_count", low=0):
        return
    heads, length = (
        metadata.integer(f"attention.indexer.{key}") for key in ("head_count", "key_length")
    )
    yield blocks.matrix(f"{prefix}indexer.q_proj", n_embd, heads * length)
    yield blocks.matrix(f"{prefix}indexer.k_proj", n_embd, length)
    yield blocks.f32(f"{prefix}indexer.q_norm", length)
    yield blocks.f32(f"{prefix}indexer.k_norm", length)


def _sparse_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    return decoder_tensors(blueprint, Style(tied="never", qk_norm="head"), _sparse_part)


ARCHITECTURES: Final = (
    Architecture("minimax-01", _lightning_metadata, _lightning_tensors),
    Architecture("minimax-m2", _metadata, _tensors),
    Architecture("minimax-m3", _sparse_metadata, _sparse_tensors),
)
