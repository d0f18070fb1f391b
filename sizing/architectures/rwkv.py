"""RWKV 6, and the Qwen 2 models whose attention was replaced by it (6) or its successor (7).

Source: llama.cpp (0c1e57098) src/models/{rwkv6,rwkv6qwen2,arwkv7}.cpp; conversion/rwkv.py.
"""

from __future__ import annotations

from whatfits.sizing.architectures import blocks
from whatfits.sizing.architectures.convert import NEUTRAL_EPSILON
from whatfits.sizing.architectures.family import Architecture
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from whatfits.sizing.architectures.config import Config
    from whatfits.sizing.architectures.family import Blueprint
    from whatfits.sizing.model import TensorShape

__all__ = ["ARCHITECTURES"]

_LONGEST: Final = 2**20  # the converter's stand-in: these models have no longest context
_WIDE: Final = 4096  # from this width on the low ranks double
_LERPS: Final = 5
_RESCALE: Final = 6
# Low ranks of ARWKV 7: written out in the converter.
_ARWKV_RANKS: Final = {"decay": 64, "iclr": 64, "value_residual_mix": 32}
_ARWKV_GATE: Final = 128


def _common(config: Config) -> dict[str, object]:
    return {
        "block_count": config.n_layers,
        "context_length": _LONGEST,
        "embedding_length": config.positive("hidden_size"),
        "attention.head_count": 0,
    }


def _rwkv6_metadata(config: Config) -> dict[str, object]:
    width = config.positive("hidden_size")
    rescale = config.optional("rescale_every")
    return {
        **_common(config),
        "attention.layer_norm_epsilon": config.number("layer_norm_epsilon") or NEUTRAL_EPSILON,
        "rescale_every_n_layers": _RESCALE if rescale is None else rescale,
        "wkv.head_size": config.positive("head_size"),
        "time_mix_extra_dim": 64 if width == _WIDE else 32,
        "time_decay_extra_dim": 128 if width == _WIDE else 64,
        "feed_forward_length": config.optional("intermediate_size") or width * 7 // 2 // 32 * 32,
    }


def _mixing(blueprint: Blueprint, prefix: str, *, shared: int) -> Iterator[TensorShape]:
    """Yield a time mix of version 6; `shared` is the width of its keys and values."""
    metadata, n_embd = blueprint.metadata, blueprint.n_embd
    mix, decay = metadata.integer("time_mix_extra_dim"), metadata.integer("time_decay_extra_dim")
    yield blocks.matrix(f"{prefix}time_mix_w1", n_embd, mix * _LERPS)
    yield blocks.matrix(f"{prefix}time_mix_w2", mix, n_embd, _LERPS)
    yield blocks.f32(f"{prefix}time_mix_lerp_x", n_embd)
    yield blocks.f32(f"{prefix}time_mix_lerp_fused", n_embd, 1, 1, _LERPS)
    yield blocks.f32(f"{prefix}time_mix_decay", n_embd)
    yield blocks.matrix(f"{prefix}time_mix_decay_w1", n_embd, decay)
    yield blocks.matrix(f"{prefix}time_mix_decay_w2", decay, n_embd)
    for name, width in (("key", shared), ("value", shared), ("receptance", n_embd)):
        yield blocks.matrix(f"{prefix}time_mix_{name}", n_embd, width)
    yield blocks.matrix(f"{prefix}time_mix_gate", n_embd, n_embd)
    yield blocks.matrix(f"{prefix}time_mix_output", n_embd, n_embd)


def _rwkv6_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    n_embd, head = blueprint.n_embd, blueprint.metadata.integer("wkv.head_size")
    yield blocks.embedding(n_embd, blueprint.n_vocab)
    yield from blocks.norm("token_embd_norm", n_embd, bias=True)
    yield from blocks.output(n_embd, blueprint.n_vocab, tied=False, norm_bias=True)
    for layer in blueprint.layers:
        prefix, n_ff = f"blk.{layer}.", blueprint.n_ff(layer)
        yield from blocks.norm(f"{prefix}attn_norm", n_embd, bias=True)
        yield from blocks.norm(f"{prefix}attn_norm_2", n_embd, bias=True)
        yield from _mixing(blueprint, prefix, shared=n_embd)
        yield blocks.f32(f"{prefix}time_mix_first", head, n_embd // head)
        yield from blocks.norm(f"{prefix}time_mix_ln", n_embd, bias=True)
        yield blocks.f32(f"{prefix}channel_mix_lerp_k", n_embd)
        yield blocks.f32(f"{prefix}channel_mix_lerp_r", n_embd)
        yield blocks.matrix(f"{prefix}channel_mix_key", n_embd, n_ff)
        yield blocks.matrix(f"{prefix}channel_mix_value", n_ff, n_embd)
        yield blocks.matrix(f"{prefix}channel_mix_receptance", n_embd, n_embd)


def _qwen_metadata(config: Config) -> dict[str, object]:
    width, heads = config.positive("hidden_size"), config.positive("num_attention_heads")
    wide = width >= _WIDE
    return {
        **_common(config),
        "attention.head_count_kv": config.positive("num_key_value_heads"),
        "attention.layer_norm_rms_epsilon": config.number("rms_norm_eps") or NEUTRAL_EPSILON,
        "wkv.head_size": width // heads,
        "time_mix_extra_dim": config.optional("lora_rank_tokenshift") or (64 if wide else 32),
        "time_decay_extra_dim": config.optional("lora_rank_decay") or (128 if wide else 64),
        "feed_forward_length": config.positive("intermediate_size"),
        "token_shift_count": 1,
    }


def _qwen_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    n_embd, head = blueprint.n_embd, blueprint.metadata.integer("wkv.head_size")
    shared = blueprint.geometry.heads_kv[0] * head or n_embd
    yield from blocks.ends(n_embd, blueprint.n_vocab, tied=False)
    for layer in blueprint.layers:
        prefix = f"blk.{layer}."
        yield blocks.f32(f"{prefix}attn_norm", n_embd)
        yield from _mixing(blueprint, prefix, shared=shared)
        for name, width in (("key", shared), ("value", shared), ("receptance", n_embd)):
            yield blocks.vector(f"{prefix}time_mix_{name}", width)
        yield blocks.f32(f"{prefix}ffn_norm", n_embd)
        yield from blocks.dense(prefix, n_embd=n_embd, n_ff=blueprint.n_ff(layer))


def _arwkv7_metadata(config: Config) -> dict[str, object]:
    ranks = {f"attention.{name}_lora_rank": rank for name, rank in _ARWKV_RANKS.items()}
    return {
        **_common(config),
        **ranks,
        "attention.gate_lora_rank": _ARWKV_GATE if config.flag("wkv_has_gate") else 0,
        "attention.layer_norm_rms_epsilon": config.number("rms_norm_eps") or NEUTRAL_EPSILON,
        "wkv.head_size": config.positive("head_size"),
        "feed_forward_length": config.positive("intermediate_size"),
        "token_shift_count": 1,
    }


def _arwkv7_mixing(blueprint: Blueprint, prefix: str, layer: int) -> Iterator[TensorShape]:
    metadata, n_embd = blueprint.metadata, blueprint.n_embd
    adaptive = metadata.integer("attention.iclr_lora_rank")
    value = metadata.integer("attention.value_residual_mix_lora_rank")
    for letter, rank in (
        ("w", metadata.integer("attention.decay_lora_rank")),
        ("a", adaptive),
        ("v", value if layer else adaptive),  # the first layer has no earlier value to mix in
    ):
        yield blocks.f32(f"{prefix}time_mix_{letter}0", n_embd)
        yield blocks.matrix(f"{prefix}time_mix_{letter}1", n_embd, rank)
        yield blocks.matrix(f"{prefix}time_mix_{letter}2", rank, n_embd)
    gate = metadata.integer("attention.gate_lora_rank", low=0)
    if gate:
        yield blocks.matrix(f"{prefix}time_mix_g1", n_embd, gate)
        yield blocks.matrix(f"{prefix}time_mix_g2", gate, n_embd)
    yield blocks.f32(f"{prefix}time_mix_lerp_fused", n_embd, 1, 1, _LERPS + bool(gate))
    for name in ("k_k", "k_a", "r_k"):
        yield blocks.f32(f"{prefix}time_mix_{name}", n_embd)
    for name in ("key", "value", "receptance", "output"):
        yield blocks.matrix(f"{prefix}time_mix_{name}", n_embd, n_embd)


def _arwkv7_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    n_embd = blueprint.n_embd
    yield from blocks.ends(n_embd, blueprint.n_vocab, tied=False)
    for layer in blueprint.layers:
        prefix = f"blk.{layer}."
        yield blocks.f32(f"{prefix}attn_norm", n_embd)
        yield from _arwkv7_mixing(blueprint, prefix, layer)
        yield blocks.f32(f"{prefix}ffn_norm", n_embd)
        yield from blocks.dense(prefix, n_embd=n_embd, n_ff=blueprint.n_ff(layer))


ARCHITECTURES: Final = (
    Architecture("rwkv6", _rwkv6_metadata, _rwkv6_tensors),
    Architecture("rwkv6qwen2", _qwen_metadata, _qwen_tensors),
    Architecture("arwkv7", _arwkv7_metadata, _arwkv7_tensors),
)
