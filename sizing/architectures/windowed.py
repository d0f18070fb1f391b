"""Decoders with sliding windows of several makers: Mellum, Muse Glimmer, Laguna.

Source: llama.cpp (0c1e57098) src/models/{mellum,muse-glimmer,laguna}.cpp;
conversion/{mellum,muse_glimmer,laguna}.py.
"""

from __future__ import annotations

from whatfits.sizing.architectures.convert import NEUTRAL_SCALE, base_metadata, window_flags
from whatfits.sizing.architectures.decoder import Style, decoder, decoder_tensors, mixture_part
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
_MUSE: Final = Style(
    tied="never",
    qk_norm="head",
    attention_gate="element",
    post_attention_norm=True,
    post_ffn_norm=True,
)


def _window(config: Config) -> dict[str, object]:
    """Return window and pattern, where a layer has a window: llama.cpp aborts on none."""
    window, flags = config.optional("sliding_window"), window_flags(config)
    if not window or not any(flags or ()):
        return {}
    return {"attention.sliding_window": window, "attention.sliding_window_pattern": flags}


def _mellum_metadata(config: Config) -> dict[str, object]:
    width = config.positive("moe_intermediate_size")
    return {**base_metadata(config), **_window(config), "expert_feed_forward_length": width}


def _mellum_part(blueprint: Blueprint, prefix: str, layer: int) -> Iterator[TensorShape]:
    return mixture_part(blueprint, prefix, layer, selection_bias=False)


def _mellum_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    return decoder_tensors(blueprint, Style(tied="never", qk_norm="head"), _mellum_part)


def _muse_metadata(config: Config) -> dict[str, object]:
    softcap, scale = config.number("final_logit_softcapping"), config.number("output_multiplier")
    return {
        **base_metadata(config),
        **_window(config),
        "final_logit_softcapping": 0.0 if softcap is None else softcap,
        "logit_scale": NEUTRAL_SCALE if scale is None else scale,
    }


def _laguna_metadata(config: Config) -> dict[str, object]:
    heads = config.items("num_attention_heads_per_layer")
    kinds = config.items("mlp_layer_types") or ()
    metadata = {
        **base_metadata(config),
        "vocab_size": config.n_vocab,
        "attention.head_count": heads
        or (config.positive("num_attention_heads"),) * config.n_layers,
        "expert_feed_forward_length": config.positive("moe_intermediate_size"),
        "expert_shared_feed_forward_length": config.positive("shared_expert_intermediate_size"),
        "expert_gating_func": _SIGMOID,
        "leading_dense_block_count": kinds.count("dense"),
        "rope.dimension_count": _rotated(config, "full_attention"),
        "rope.dimension_count_swa": _rotated(config, "sliding_attention"),
    }
    # The converter writes no pattern: llama.cpp then takes the first of four layers as full.
    window = config.optional("sliding_window")
    return {**metadata, "attention.sliding_window": window} if window else metadata


def _rotated(config: Config, kind: str) -> int:
    """Return how many elements of a head are rotated in layers of a kind."""
    share = config.rope_of(kind).get("partial_rotary_factor")
    return int(config.head_length * (share if isinstance(share, (int, float)) else 1.0))


def _laguna_part(blueprint: Blueprint, prefix: str, layer: int) -> Iterator[TensorShape]:
    shared = blueprint.metadata.integer("expert_shared_feed_forward_length")
    return mixture_part(blueprint, prefix, layer, selection_bias=True, shared=shared)


def _laguna_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    gating = (blueprint.config.text("gating") or "per-head").replace("_", "-")
    style = Style(qk_norm="head", attention_gate="element" if gating == "per-element" else "head")
    return decoder_tensors(blueprint, style, _laguna_part)


ARCHITECTURES: Final = (
    Architecture("mellum", _mellum_metadata, _mellum_tensors),
    Architecture("muse-glimmer", _muse_metadata, decoder(_MUSE)),
    Architecture("laguna", _laguna_metadata, _laguna_tensors),
)
