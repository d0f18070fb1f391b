"""Kimi Linear and Kimi K3: three layers of delta attention, then one of latent attention.

K3 has gates of full rank, experts in a narrower space and residuals across layers.
Source: llama.cpp (0c1e57098) src/models/{kimi-linear,kimi-k3}.cpp;
conversion/{kimi_linear,kimi_k3}.py.
"""

from __future__ import annotations

from whatfits.sizing.architectures import blocks
from whatfits.sizing.architectures.convert import NEUTRAL_SCALE
from whatfits.sizing.architectures.deepseek import deepseek2_metadata, latent_attention
from whatfits.sizing.architectures.family import Architecture
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from whatfits.sizing.architectures.config import Config
    from whatfits.sizing.architectures.family import Blueprint
    from whatfits.sizing.architectures.metadata import Metadata
    from whatfits.sizing.model import TensorShape

__all__ = ["ARCHITECTURES", "delta_attention"]

_KERNEL: Final = 4
_LOWER_BOUND: Final = -5.0  # of the decay, in the published model; no byte depends on it
# Layers between two residuals across layers: no tensor's size depends on it.
_RESIDUAL_BLOCK: Final = 1


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


def delta_attention(blueprint: Blueprint, prefix: str) -> Iterator[TensorShape]:
    """Yield delta attention: short convolutions, a decay of low rank, a gate of low or full one."""
    metadata, n_embd = blueprint.metadata, blueprint.n_embd
    heads, head = blueprint.geometry.heads[0], metadata.integer("kda.head_dim")
    kernel, width = metadata.integer("ssm.conv_kernel"), heads * head
    for letter in ("q", "k", "v"):
        yield blocks.f32(f"{prefix}ssm_conv1d_{letter}", kernel, 1, width)
        yield blocks.matrix(f"{prefix}attn_{letter}", n_embd, width)
    full_rank = metadata.architecture == "kimi-k3"
    for letter in ("f",) if full_rank else ("f", "g"):
        yield blocks.matrix(f"{prefix}ssm_{letter}_a", n_embd, head)
        yield blocks.matrix(f"{prefix}ssm_{letter}_b", head, width)
    if full_rank:
        yield blocks.matrix(f"{prefix}ssm_g", n_embd, width)
    yield blocks.matrix(f"{prefix}ssm_beta", n_embd, heads)
    yield blocks.bare(f"{prefix}ssm_a", *((1, heads) if _is_padded(metadata) else (heads,)))
    yield blocks.vector(f"{prefix}ssm_dt", width)
    yield blocks.f32(f"{prefix}ssm_norm", head)
    yield blocks.matrix(f"{prefix}attn_output", width, n_embd)


def _is_padded(metadata: Metadata) -> bool:
    """Return whether the decay is stored with a leading dimension of one."""
    return metadata.architecture == "kimi-linear"


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
            yield from delta_attention(blueprint, prefix)
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


def _k3_metadata(config: Config) -> dict[str, object]:
    linear = config.mapping("linear_attn_config")
    full = frozenset(linear.items("full_attn_layers") or ())  # counted from one
    metadata = {
        **deepseek2_metadata(config),
        "attention.head_count_kv": tuple(int(il + 1 in full) for il in range(config.n_layers)),
        "ssm.conv_kernel": linear.optional("short_conv_kernel_size") or _KERNEL,
        "kda.head_dim": linear.positive("head_dim"),
        "kda.gate_lower_bound": linear.number("gate_lower_bound") or _LOWER_BOUND,
        "expert_shared_count": config.positive("num_shared_experts"),
        "expert_weights_scale": config.number("routed_scaling_factor") or 1.0,
        "expert_gating_func": 2,
        "activation.situ_beta": config.number("activation_situ_beta") or NEUTRAL_SCALE,
        "activation.situ_linear_beta": config.number("activation_situ_linear_beta")
        or NEUTRAL_SCALE,
        "attn_res.block_size": config.optional("attn_res_block_size") or _RESIDUAL_BLOCK,
    }
    latent = config.optional("routed_expert_hidden_size")
    return {**metadata, "expert_latent_length": latent} if latent else metadata


def _k3_experts(blueprint: Blueprint, prefix: str) -> Iterator[TensorShape]:
    """Yield experts that work in a narrower space, and what leads into it and back."""
    metadata, n_embd = blueprint.metadata, blueprint.n_embd
    n_ff = metadata.integer("expert_feed_forward_length")
    shared = n_ff * metadata.integer("expert_shared_count")
    latent = metadata.optional("expert_latent_length") or n_embd
    for tensor in blocks.experts(
        prefix, n_embd=latent, n_ff=n_ff, n_expert=blueprint.n_expert, selection_bias=True
    ):
        router = tensor.name.endswith("ffn_gate_inp.weight")
        yield replace(tensor, shape=(n_embd, *tensor.shape[1:])) if router else tensor
    if latent != n_embd:
        yield blocks.matrix(f"{prefix}ffn_routed_down", n_embd, latent)
        yield blocks.matrix(f"{prefix}ffn_routed_up", latent, n_embd)
        yield blocks.f32(f"{prefix}ffn_routed_norm", latent)
    yield from blocks.shared_experts(prefix, n_embd=n_embd, n_ff=shared)


def _k3_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    metadata, n_embd, geometry = blueprint.metadata, blueprint.n_embd, blueprint.geometry
    dense = metadata.integer("leading_dense_block_count", low=0)
    yield from blocks.ends(n_embd, blueprint.n_vocab, tied=False)
    yield blocks.f32("output_res_score", n_embd)
    for layer in blueprint.layers:
        prefix = f"blk.{layer}."
        yield blocks.f32(f"{prefix}attn_norm", n_embd)
        yield blocks.f32(f"{prefix}attn_res_score", n_embd)
        yield blocks.f32(f"{prefix}ffn_res_score", n_embd)
        if geometry.recurrent[layer]:
            yield from delta_attention(blueprint, prefix)
        else:
            yield from latent_attention(blueprint, prefix, layer)
            if blueprint.config.flag("mla_use_output_gate"):
                width = geometry.heads[layer] * metadata.integer("attention.value_length_mla")
                yield blocks.matrix(f"{prefix}attn_gate", n_embd, width)
        yield blocks.f32(f"{prefix}ffn_norm", n_embd)
        if layer < dense:
            yield from blocks.dense(prefix, n_embd=n_embd, n_ff=blueprint.n_ff(layer))
        else:
            yield from _k3_experts(blueprint, prefix)


ARCHITECTURES: Final = (
    Architecture("kimi-linear", _metadata, _tensors),
    Architecture("kimi-k3", _k3_metadata, _k3_tensors),
)
