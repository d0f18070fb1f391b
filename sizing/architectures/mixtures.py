"""Decoders with experts of several makers.

DeepSeek 1, dots.llm1, Trinity (AFMoE), SmallThinker, GroveMoE, LLaDA-MoE, RND1.

Source: llama.cpp (0c1e57098) src/models/{deepseek,dots1,afmoe,smallthinker,grovemoe,llada-moe,
rnd1}.cpp; conversion/{deepseek,dots1,afmoe,smallthinker,grovemoe,llada,qwen}.py.
"""

from __future__ import annotations

from whatfits.sizing.architectures import blocks
from whatfits.sizing.architectures.convert import NEUTRAL_SCALE, base_metadata, window_flags
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

_SOFTMAX: Final = 1
_SIGMOID: Final = 2
_PLAIN: Final = Style()
_NORMED: Final = Style(tied="never", qk_norm="head")
_AFMOE: Final = Style(
    qk_norm="head", attention_gate="element", post_attention_norm=True, post_ffn_norm=True
)


def _metadata(config: Config) -> dict[str, object]:
    """Return the metadata; the width of an expert is written where the configuration has one."""
    metadata = base_metadata(config)
    width = config.optional("moe_intermediate_size", "expert_intermediate_size")
    if width:
        metadata["expert_feed_forward_length"] = width
    dense = config.optional("first_k_dense_replace", "num_dense_layers")
    if dense is not None:
        metadata["leading_dense_block_count"] = dense
    shared = config.optional("n_shared_experts", "num_shared_experts")
    if shared is not None:
        metadata["expert_shared_count"] = shared
    return {**metadata, "expert_weights_scale": NEUTRAL_SCALE}


def _shared_width(blueprint: Blueprint) -> int:
    metadata = blueprint.metadata
    count = metadata.optional("expert_shared_count") or 0
    return count * (metadata.optional("expert_feed_forward_length") or 0)


def _biased(blueprint: Blueprint, prefix: str, layer: int) -> Iterator[TensorShape]:
    shared = _shared_width(blueprint)
    return mixture_part(blueprint, prefix, layer, selection_bias=True, shared=shared)


def _unbiased(blueprint: Blueprint, prefix: str, layer: int) -> Iterator[TensorShape]:
    shared = _shared_width(blueprint)
    return mixture_part(blueprint, prefix, layer, selection_bias=False, shared=shared)


def _deepseek_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    return decoder_tensors(blueprint, _PLAIN, _unbiased)


def _dots_metadata(config: Config) -> dict[str, object]:
    return {**_metadata(config), "expert_gating_func": _SIGMOID}


def _dots_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    return decoder_tensors(blueprint, _NORMED, _biased)


def _afmoe_metadata(config: Config) -> dict[str, object]:
    metadata = {**_metadata(config), "expert_gating_func": _SIGMOID}
    window, period = (
        config.optional("sliding_window"),
        config.optional("global_attn_every_n_layers"),
    )
    flags = window_flags(config, period=period)
    if window and flags is not None:
        metadata["attention.sliding_window"] = window
        metadata["attention.sliding_window_pattern"] = flags
    return metadata


def _afmoe_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    return decoder_tensors(blueprint, _AFMOE, _biased)


def _smallthinker_metadata(config: Config) -> dict[str, object]:
    width = config.positive("moe_ffn_hidden_size", "moe_intermediate_size")
    metadata = {
        **base_metadata(config),
        "expert_count": config.positive("moe_num_primary_experts", "num_experts"),
        "expert_used_count": config.positive(
            "moe_num_active_primary_experts", "num_experts_per_tok"
        ),
        "feed_forward_length": width,
        "expert_feed_forward_length": width,
    }
    softmax = config.flag("moe_primary_router_apply_softmax")
    metadata["expert_gating_func"] = _SOFTMAX if softmax else _SIGMOID
    layout = config.items("sliding_window_layout")
    if layout and any(layout):
        metadata["attention.sliding_window"] = config.positive("sliding_window_size")
    return metadata


def _smallthinker_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    return decoder_tensors(blueprint, _PLAIN, _unbiased)


def _grove_metadata(config: Config) -> dict[str, object]:
    return {
        **_metadata(config),
        "expert_chunk_feed_forward_length": config.head_length,
        "experts_per_group": 2,
        "expert_group_scale": config.number("router_scaling_factor") or NEUTRAL_SCALE,
    }


def _grove_part(blueprint: Blueprint, prefix: str, layer: int) -> Iterator[TensorShape]:
    """Yield the experts and the smaller ones that two of them share."""
    metadata, n_embd = blueprint.metadata, blueprint.n_embd
    yield from _unbiased(blueprint, prefix, layer)
    n_ff = metadata.integer("expert_chunk_feed_forward_length")
    count = blueprint.n_expert // metadata.integer("experts_per_group")
    yield blocks.matrix(f"{prefix}ffn_gate_chexps", n_embd, n_ff, count)
    yield blocks.matrix(f"{prefix}ffn_up_chexps", n_embd, n_ff, count)
    yield blocks.matrix(f"{prefix}ffn_down_chexps", n_ff, n_embd, count)


def _grove_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    return decoder_tensors(blueprint, Style(qk_norm="head"), _grove_part)


def _normed_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    return decoder_tensors(blueprint, _NORMED, _unbiased)


ARCHITECTURES: Final = (
    Architecture("deepseek", _metadata, _deepseek_tensors),
    Architecture("dots1", _dots_metadata, _dots_tensors),
    Architecture("afmoe", _afmoe_metadata, _afmoe_tensors),
    Architecture("smallthinker", _smallthinker_metadata, _smallthinker_tensors),
    Architecture("grovemoe", _grove_metadata, _grove_tensors),
    Architecture("llada-moe", _metadata, _normed_tensors),
    Architecture("rnd1", _metadata, _normed_tensors),
)
