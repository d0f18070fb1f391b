"""Ling and Ring: experts behind leading dense layers (1 and 2), delta and latent attention (3).

Source: llama.cpp (0c1e57098) src/models/{bailingmoe,bailingmoe2,bailingmoe3}.cpp;
conversion/bailing.py.
"""

from __future__ import annotations

from whatfits.sizing.architectures import blocks
from whatfits.sizing.architectures.convert import NEUTRAL_SCALE, base_metadata
from whatfits.sizing.architectures.decoder import Style, decoder_tensors, mixture_part
from whatfits.sizing.architectures.deepseek import deepseek2_metadata, latent_attention
from whatfits.sizing.architectures.family import Architecture
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from whatfits.sizing.architectures.config import Config
    from whatfits.sizing.architectures.family import Blueprint
    from whatfits.sizing.model import TensorShape

__all__ = ["ARCHITECTURES"]

_SIGMOID: Final = 2
_ROTATED_SHARE: Final = 0.5
_KERNEL: Final = 4
_LOWER_BOUND: Final = -5.0  # of the decay, in every published model; no byte depends on it


def _metadata(config: Config) -> dict[str, object]:
    scale = config.number("routed_scaling_factor")
    return {
        **base_metadata(config),
        "vocab_size": config.n_vocab,
        "leading_dense_block_count": config.optional("first_k_dense_replace") or 0,
        "expert_feed_forward_length": config.positive("moe_intermediate_size"),
        "expert_shared_count": config.positive("num_shared_experts", "n_shared_experts"),
        "expert_weights_scale": NEUTRAL_SCALE if scale is None else scale,
        "rope.dimension_count": config.head_length,
    }


def _predicting(config: Config, metadata: dict[str, object]) -> dict[str, object]:
    """Return the metadata with the blocks that predict further tokens, where there are some."""
    count = config.optional("num_nextn_predict_layers")
    if not count:
        return metadata
    return {**metadata, "block_count": config.n_layers + count, "nextn_predict_layers": count}


def _shared_width(blueprint: Blueprint) -> int:
    metadata = blueprint.metadata
    count = metadata.integer("expert_shared_count")
    return count * metadata.integer("expert_feed_forward_length")


def _part(blueprint: Blueprint, prefix: str, layer: int) -> Iterator[TensorShape]:
    shared = _shared_width(blueprint)
    biased = blueprint.metadata.architecture != "bailingmoe"
    return mixture_part(blueprint, prefix, layer, selection_bias=biased, shared=shared)


def _tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    return decoder_tensors(blueprint, Style(tied="never"), _part)


def _v2_metadata(config: Config) -> dict[str, object]:
    share = config.number("partial_rotary_factor")
    rotated = config.head_length * (_ROTATED_SHARE if share is None else share)
    metadata = {
        **_metadata(config),
        "expert_gating_func": _SIGMOID,
        "rope.dimension_count": int(rotated),
    }
    return _predicting(config, metadata)


def _v2_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    style = Style(tied="never", fused_qkv=True, qk_norm="head")
    for tensor in decoder_tensors(blueprint, style, _part):
        yield tensor
        if tensor.name.endswith("nextn.shared_head_norm.weight"):
            yield blocks.f32(
                f"{tensor.name.partition('.nextn')[0]}.layer_output_norm", *tensor.shape
            )


def _v3_metadata(config: Config) -> dict[str, object]:
    kinds = config.layer_kinds(config.n_layers)
    if kinds is None:
        raise config.error("layer_types", "missing", allowed="a list, one kind a layer")
    count = config.optional("num_nextn_predict_layers") or 0
    shared = config.positive("num_shared_experts", "n_shared_experts")
    metadata = {
        **deepseek2_metadata(config),
        "attention.head_count_kv": (
            *(int(kind == "full_attention") for kind in kinds),
            *(1,) * count,
        ),
        "ssm.conv_kernel": config.optional("short_conv_kernel_size", "linear_conv_kernel_dim")
        or _KERNEL,
        "kda.head_dim": config.positive("linear_head_dim", "head_dim"),
        "kda.safe_gate": True,
        "kda.gate_lower_bound": config.number("kda_lower_bound") or _LOWER_BOUND,
        "expert_gating_func": _SIGMOID,
        "expert_shared_count": shared,
        "expert_shared_feed_forward_length": shared * config.positive("moe_intermediate_size"),
    }
    return _predicting(config, metadata)


def _delta_attention(blueprint: Blueprint, prefix: str) -> Iterator[TensorShape]:
    """Yield delta attention whose decay and gate are of full rank."""
    metadata, n_embd = blueprint.metadata, blueprint.n_embd
    heads, head = blueprint.geometry.heads[0], metadata.integer("kda.head_dim")
    kernel, width = metadata.integer("ssm.conv_kernel"), heads * head
    for letter in ("q", "k", "v"):
        yield blocks.f32(f"{prefix}ssm_conv1d_{letter}", kernel, 1, width)
        yield blocks.matrix(f"{prefix}attn_{letter}", n_embd, width)
    for letter in ("f", "g"):
        yield blocks.matrix(f"{prefix}ssm_{letter}_a", n_embd, width)
    yield blocks.matrix(f"{prefix}ssm_beta", n_embd, heads)
    yield blocks.bare(f"{prefix}ssm_a", 1, heads)
    yield blocks.vector(f"{prefix}ssm_dt", width)
    yield blocks.f32(f"{prefix}ssm_norm", head)
    yield blocks.matrix(f"{prefix}attn_output", width, n_embd)


def _v3_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    n_embd, geometry = blueprint.n_embd, blueprint.geometry
    yield from blocks.ends(n_embd, blueprint.n_vocab, tied=blueprint.config.tied())
    for layer in blueprint.layers:
        prefix = f"blk.{layer}."
        yield blocks.f32(f"{prefix}attn_norm", n_embd)
        if geometry.recurrent[layer]:
            yield from _delta_attention(blueprint, prefix)
        else:
            yield from latent_attention(blueprint, prefix, layer)
            yield blocks.matrix(f"{prefix}attn_gate", n_embd, geometry.heads[layer])
        yield blocks.f32(f"{prefix}ffn_norm", n_embd)
        yield from _part(blueprint, prefix, layer)
        if blueprint.predicts(layer):
            for tensor in blocks.predictor(prefix, n_embd=n_embd):
                name = tensor.name.replace("nextn.shared_head_norm", "layer_output_norm")
                yield replace(tensor, name=name)


ARCHITECTURES: Final = (
    Architecture("bailingmoe", _metadata, _tensors),
    Architecture("bailingmoe2", _v2_metadata, _v2_tensors),
    Architecture("bailingmoe3", _v3_metadata, _v3_tensors),
)
