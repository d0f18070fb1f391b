"""Models without attention: Mamba, Mamba 2, Falcon Mamba, RWKV 7.

Their state does not grow with the context.
Source: llama.cpp (0c1e57098) src/models/{mamba,mamba2,rwkv7}.cpp; conversion/{mamba,rwkv}.py.
"""

from __future__ import annotations

from whatfits.sizing.architectures import blocks
from whatfits.sizing.architectures.convert import NEUTRAL_EPSILON
from whatfits.sizing.architectures.family import Architecture
from whatfits.sizing.architectures.ssm import mamba1, mamba2, read_state_space
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from whatfits.sizing.architectures.config import Config
    from whatfits.sizing.architectures.family import Blueprint
    from whatfits.sizing.model import TensorShape

__all__ = ["ARCHITECTURES"]

_LONGEST: Final = 2**20  # the converter's stand-in: these models have no longest context
_LERPS: Final = 6


def _mamba_metadata(config: Config) -> dict[str, object]:
    width = config.positive("hidden_size", "d_model")
    return {
        "block_count": config.n_layers,
        "context_length": _LONGEST,
        "embedding_length": width,
        "feed_forward_length": 0,
        "attention.head_count": 0,
        "attention.layer_norm_rms_epsilon": config.number("layer_norm_epsilon") or NEUTRAL_EPSILON,
        "ssm.conv_kernel": config.optional("conv_kernel", "d_conv") or 4,
        "ssm.inner_size": config.optional("intermediate_size", "d_inner") or 2 * width,
        "ssm.state_size": config.optional("state_size", "d_state") or 16,
        "ssm.time_step_rank": config.optional("time_step_rank", "dt_rank") or -(-width // 16),
        "ssm.dt_b_c_rms": config.text("model_type") == "falcon_mamba",
    }


def _mamba2_metadata(config: Config) -> dict[str, object]:
    width = config.positive("hidden_size", "d_model")
    inner = config.optional("mamba_d_ssm", "intermediate_size", "d_inner")
    inner = inner or (config.optional("expand") or 2) * width
    return {
        **_mamba_metadata(config),
        "ssm.inner_size": inner,
        "ssm.state_size": config.optional("state_size", "d_state") or 128,
        "ssm.group_count": config.optional("n_groups") or 1,
        "ssm.time_step_rank": inner // (config.optional("mamba_d_head", "head_dim") or 64),
    }


def _mamba_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    sizes = read_state_space(blueprint.metadata)
    tied = blueprint.config.tied(default=True)
    yield from blocks.ends(blueprint.n_embd, blueprint.n_vocab, tied=tied)
    mixer = mamba2 if blueprint.metadata.architecture == "mamba2" else mamba1
    for layer in blueprint.layers:
        yield blocks.f32(f"blk.{layer}.attn_norm", blueprint.n_embd)
        yield from mixer(f"blk.{layer}.", sizes)


def _rank(config: Config, name: str, *, exponent: float, factor: float) -> int:
    """Return a low rank: as given, else as the model's authors derive it from the width."""
    given = config.optional(name)
    if given:
        return given
    width = float(config.positive("hidden_size"))
    derived: float = width**exponent * factor
    return max(1, round(derived / 32)) * 32


def _rwkv7_metadata(config: Config) -> dict[str, object]:
    width = config.positive("hidden_size")
    return {
        "block_count": config.n_layers,
        "context_length": _LONGEST,
        "embedding_length": width,
        "feed_forward_length": config.optional("intermediate_size") or 4 * width,
        "attention.head_count": 0,
        "attention.layer_norm_epsilon": config.number("norm_eps") or NEUTRAL_EPSILON,
        "wkv.head_size": config.positive("head_dim", "head_size"),
        "attention.decay_lora_rank": _rank(config, "decay_low_rank_dim", exponent=0.5, factor=1.8),
        "attention.iclr_lora_rank": _rank(config, "a_low_rank_dim", exponent=0.5, factor=1.8),
        "attention.value_residual_mix_lora_rank": _rank(
            config, "v_low_rank_dim", exponent=0.5, factor=1.3
        ),
        "attention.gate_lora_rank": _rank(config, "gate_low_rank_dim", exponent=0.8, factor=0.6),
    }


def _rwkv7_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    n_embd = blueprint.n_embd
    yield blocks.embedding(n_embd, blueprint.n_vocab)
    yield from blocks.norm("token_embd_norm", n_embd, bias=True)
    yield from blocks.output(n_embd, blueprint.n_vocab, tied=False, norm_bias=True)
    for layer in blueprint.layers:
        prefix = f"blk.{layer}."
        yield from blocks.norm(f"{prefix}attn_norm", n_embd, bias=True)
        yield from blocks.norm(f"{prefix}attn_norm_2", n_embd, bias=True)
        yield from _time_mix(blueprint, prefix, layer)
        n_ff = blueprint.n_ff(layer)
        yield blocks.f32(f"{prefix}channel_mix_lerp_k", n_embd)
        yield blocks.matrix(f"{prefix}channel_mix_key", n_embd, n_ff)
        yield blocks.matrix(f"{prefix}channel_mix_value", n_ff, n_embd)


def _time_mix(blueprint: Blueprint, prefix: str, layer: int) -> Iterator[TensorShape]:
    metadata, n_embd = blueprint.metadata, blueprint.n_embd
    adaptive = metadata.integer("attention.iclr_lora_rank")
    value = metadata.integer("attention.value_residual_mix_lora_rank")
    ranks = (
        ("w", metadata.integer("attention.decay_lora_rank")),
        ("a", adaptive),
        ("v", value if layer else adaptive),  # the first layer has no earlier value to mix in
    )
    for letter, rank in ranks:
        yield blocks.f32(f"{prefix}time_mix_{letter}0", n_embd)
        # The converter keeps the decay's pair in 32 bit.
        make = blocks.f32 if letter == "w" else blocks.matrix
        yield make(f"{prefix}time_mix_{letter}1", n_embd, rank)
        yield make(f"{prefix}time_mix_{letter}2", rank, n_embd)
    gate = metadata.integer("attention.gate_lora_rank")
    yield blocks.matrix(f"{prefix}time_mix_g1", n_embd, gate)
    yield blocks.matrix(f"{prefix}time_mix_g2", gate, n_embd)
    yield blocks.f32(f"{prefix}time_mix_lerp_fused", n_embd, 1, 1, _LERPS)
    for name in ("k_k", "k_a", "r_k"):
        yield blocks.f32(f"{prefix}time_mix_{name}", n_embd)
    for name in ("key", "value", "receptance", "output"):
        yield blocks.matrix(f"{prefix}time_mix_{name}", n_embd, n_embd)
    yield from blocks.norm(f"{prefix}time_mix_ln", n_embd, bias=True)


ARCHITECTURES: Final = (
    Architecture("mamba", _mamba_metadata, _mamba_tensors),
    Architecture("mamba2", _mamba2_metadata, _mamba_tensors),
    Architecture("rwkv7", _rwkv7_metadata, _rwkv7_tensors),
)
