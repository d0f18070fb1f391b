"""LFM 2: short convolutions with attention in between; dense and mixture of experts.

Source: llama.cpp (0c1e57098) src/models/{lfm2,lfm2moe}.cpp; conversion/lfm2.py.
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

__all__ = ["ARCHITECTURES"]


def _common(config: Config) -> dict[str, object]:
    heads_kv = config.positive("num_key_value_heads")
    kinds = config.layer_kinds(config.n_layers)
    if kinds is None:
        raise config.error("layer_types", "missing", allowed="a list, one kind a layer")
    return {
        **base_metadata(config),
        "vocab_size": config.n_vocab,
        "shortconv.l_cache": config.positive("conv_L_cache"),
        "attention.head_count_kv": tuple(
            heads_kv if kind == "full_attention" else 0 for kind in kinds
        ),
    }


def _feed_forward_width(config: Config) -> int:
    """Return the width after the adjustment the configuration asks for."""
    width = config.positive("block_ff_dim", "intermediate_size")
    if not config.flag("block_auto_adjust_ff_dim"):
        return width
    width = 2 * width // 3
    factor = config.number("block_ffn_dim_multiplier")
    if factor is not None:
        width = int(factor * width)
    multiple = config.positive("block_multiple_of")
    return -(-width // multiple) * multiple


def _lfm2_metadata(config: Config) -> dict[str, object]:
    return {**_common(config), "feed_forward_length": _feed_forward_width(config)}


def _lfm2moe_metadata(config: Config) -> dict[str, object]:
    return {
        **_common(config),
        "expert_feed_forward_length": config.positive("moe_intermediate_size"),
        "leading_dense_block_count": config.optional("num_dense_layers") or 0,
        "expert_gating_func": 2,
    }


def _tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    n_embd, metadata = blueprint.n_embd, blueprint.metadata
    yield blocks.embedding(n_embd, blueprint.n_vocab)
    yield blocks.f32("token_embd_norm", n_embd)  # its name in these files; it is the final norm
    if not blueprint.config.tied(default=True):
        yield blocks.matrix("output", n_embd, blueprint.n_vocab)
    for layer in blueprint.layers:
        prefix = f"blk.{layer}."
        yield blocks.f32(f"{prefix}attn_norm", n_embd)
        if blueprint.geometry.recurrent[layer]:
            cached = metadata.integer("shortconv.l_cache")
            yield blocks.f32(f"{prefix}shortconv.conv", cached, n_embd)
            yield blocks.matrix(f"{prefix}shortconv.in_proj", n_embd, 3 * n_embd)
            yield blocks.matrix(f"{prefix}shortconv.out_proj", n_embd, n_embd)
        else:
            yield from blocks.attention(prefix, blueprint.widths(layer))
            yield blocks.f32(f"{prefix}attn_q_norm", blueprint.geometry.key_lengths[layer])
            yield blocks.f32(f"{prefix}attn_k_norm", blueprint.geometry.key_lengths[layer])
        yield blocks.f32(f"{prefix}ffn_norm", n_embd)
        yield from _feed_forward(blueprint, prefix, layer)


def _feed_forward(blueprint: Blueprint, prefix: str, layer: int) -> Iterator[TensorShape]:
    n_embd, metadata = blueprint.n_embd, blueprint.metadata
    n_expert = blueprint.geometry.n_expert
    dense = metadata.optional("leading_dense_block_count") or 0
    if not n_expert or layer < dense:
        return blocks.dense(prefix, n_embd=n_embd, n_ff=blueprint.n_ff(layer))
    return blocks.experts(
        prefix,
        n_embd=n_embd,
        n_ff=metadata.integer("expert_feed_forward_length"),
        n_expert=n_expert,
        selection_bias=True,
    )


ARCHITECTURES: Final = (
    Architecture("lfm2", _lfm2_metadata, _tensors),
    Architecture("lfm2moe", _lfm2moe_metadata, _tensors),
)
