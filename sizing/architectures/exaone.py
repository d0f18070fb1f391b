"""EXAONE 3.5, 4 and K-EXAONE (experts). Of EXAONE 4 only the 32B has window layers.

Source: llama.cpp (0c1e57098) src/models/{exaone,exaone4,exaone-moe}.cpp; conversion/exaone.py.
"""

from __future__ import annotations

from whatfits.sizing.architectures.convert import base_metadata, rope_factor_count
from whatfits.sizing.architectures.decoder import (
    Style,
    decoder_tensors,
    dense_part,
    mixture_part,
)
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


def _rope_factors(config: Config) -> tuple[tuple[str, int], ...]:
    count = rope_factor_count(config)
    return (("rope_freqs", count),) if count else ()


def _exaone_metadata(config: Config) -> dict[str, object]:
    return {**base_metadata(config), "rope.dimension_count": config.head_length}


def _exaone_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    return decoder_tensors(blueprint, Style(rope_factors=_rope_factors(blueprint.config)))


def _exaone4_metadata(config: Config) -> dict[str, object]:
    metadata = {**base_metadata(config), "vocab_size": config.n_vocab}
    predicting = config.optional("num_nextn_predict_layers")
    if predicting:
        metadata["block_count"] = config.n_layers + predicting
        metadata["nextn_predict_layers"] = predicting
    window = config.optional("sliding_window")
    if window is not None:
        metadata["attention.sliding_window"] = window
        flags = _window_layers(config)
        if flags is not None:
            metadata["attention.sliding_window_pattern"] = flags
    return metadata


def _window_layers(config: Config) -> tuple[bool, ...] | None:
    n = config.n_layers
    kinds = config.layer_kinds(n)
    if kinds is not None:
        return tuple(kind == "sliding_attention" for kind in kinds)
    letters = config.text("sliding_window_pattern")
    if letters:
        return tuple(letters[layer % len(letters)] == "L" for layer in range(n))
    return None


def _exaone4_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    style = Style(
        qk_norm="head",
        attention_norm=False,
        post_attention_norm=True,
        ffn_norm=False,
        post_ffn_norm=True,
        rope_factors=_rope_factors(blueprint.config),
    )
    return decoder_tensors(blueprint, style)


def _moe_metadata(config: Config) -> dict[str, object]:
    kinds, width = config.items("is_moe_layer") or (), config.positive("moe_intermediate_size")
    dense = config.optional("first_k_dense_replace", "first_last_k_dense_replace")
    if dense is None:
        dense = next((i for i, kind in enumerate(kinds) if kind), 0)
    return {
        **_exaone4_metadata(config),
        "attention.sliding_window": config.positive("sliding_window"),
        "expert_feed_forward_length": width,
        "expert_shared_feed_forward_length": width * config.positive("num_shared_experts"),
        "expert_gating_func": _SIGMOID,
        "leading_dense_block_count": dense,
    }


def _moe_part(blueprint: Blueprint, prefix: str, layer: int) -> Iterator[TensorShape]:
    """Yield the feed-forward part; blocks that predict further tokens have a dense one."""
    if blueprint.predicts(layer):
        return dense_part(blueprint, prefix, layer, style=Style())
    shared = blueprint.metadata.integer("expert_shared_feed_forward_length")
    return mixture_part(blueprint, prefix, layer, selection_bias=True, shared=shared)


def _moe_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    factors = _rope_factors(blueprint.config)
    style = Style(tied="never", qk_norm="head", rope_factors=factors)
    return decoder_tensors(blueprint, style, _moe_part)


ARCHITECTURES: Final = (
    Architecture("exaone", _exaone_metadata, _exaone_tensors),
    Architecture("exaone4", _exaone4_metadata, _exaone4_tensors),
    Architecture("exaone-moe", _moe_metadata, _moe_tensors),
)
