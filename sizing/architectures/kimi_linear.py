"""Kimi Linear: three layers of delta attention, then one of latent attention.

Source: llama.cpp (0c1e57098) src/models/kimi-linear.cpp; conversion/kimi_linear.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whatfits.sizing.architectures import blocks
from whatfits.sizing.architectures.deepseek import deepseek2_metadata, latent_attention
from whatfits.sizing.architectures.family import Architecture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whatfits.sizing.architectures.config import Config
    from whatfits.sizing.architectures.family import Blueprint
    from whatfits.sizing.model import TensorShape

__all__ = ["ARCHITECTURES"]

_KERNEL: Final = 4


def _metadata(config: Config) -> dict[str, object]:
    kinds = config.layer_kinds(config.n_layers)
    if kinds is None:
        raise config.error("layer_types", "missing", allowed="a list, one kind a layer")
    return {
        **deepseek2_metadata(config),
        "attention.head_count_kv": tuple(int(kind == "full_attention") for kind in kinds),
        "ssm.conv_kernel": config.optional("linear_conv_kernel_dim") or _KERNEL,
        "kda.head_dim": config.positive("linear_head_dim", "head_dim"),
        "expert_shared_count": config.optional("num_shared_experts", "n_shared_experts") or 0,
        "expert_weights_scale": config.number("routed_scaling_factor") or 1.0,
        "expert_gating_func": 2,
    }


def _delta_attention(blueprint: Blueprint, prefix: str) -> Iterator[TensorShape]:
    metadata, n_embd = blueprint.metadata, blueprint.n_embd
    heads, head = blueprint.geometry.heads[0], metadata.integer("kda.head_dim")
    kernel, width = metadata.integer("ssm.conv_kernel"), heads * head
    for letter in ("q", "k", "v"):
        yield blocks.f32(f"{prefix}ssm_conv1d_{letter}", kernel, 1, width)
        yield blocks.matrix(f"{prefix}attn_{letter}", n_embd, width)
    for letter in ("f", "g"):
        yield blocks.matrix(f"{prefix}ssm_{letter}_a", n_embd, head)
        yield blocks.matrix(f"{prefix}ssm_{letter}_b", head, width)
    yield blocks.matrix(f"{prefix}ssm_beta", n_embd, heads)
    yield blocks.bare(f"{prefix}ssm_a", 1, heads)
    yield blocks.vector(f"{prefix}ssm_dt", width)
    yield blocks.f32(f"{prefix}ssm_norm", head)
    yield blocks.matrix(f"{prefix}attn_output", width, n_embd)


def _tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    metadata, n_embd = blueprint.metadata, blueprint.n_embd
    dense = metadata.integer("leading_dense_block_count", low=0)
    n_ff = metadata.integer("expert_feed_forward_length")
    shared = max(1, metadata.integer("expert_shared_count", low=0))
    yield from blocks.ends(n_embd, blueprint.n_vocab, tied=False)
    for layer in blueprint.layers:
        prefix = f"blk.{layer}."
        yield blocks.f32(f"{prefix}attn_norm", n_embd)
        if blueprint.geometry.recurrent[layer]:
            yield from _delta_attention(blueprint, prefix)
        else:
            yield from latent_attention(blueprint, prefix, layer)
        yield blocks.f32(f"{prefix}ffn_norm", n_embd)
        if layer < dense:
            yield from blocks.dense(prefix, n_embd=n_embd, n_ff=blueprint.n_ff(layer))
            continue
        n_expert = blueprint.n_expert
        yield from blocks.experts(
            prefix, n_embd=n_embd, n_ff=n_ff, n_expert=n_expert, selection_bias=True
        )
        yield from blocks.shared_experts(prefix, n_embd=n_embd, n_ff=n_ff * shared)


ARCHITECTURES: Final = (Architecture("kimi-linear", _metadata, _tensors),)
