"""Phi 2, 3, 3.5 and 4.

Phi 3's window is ignored by llama.cpp: every layer keeps the full context.
Source: llama.cpp (0c1e57098) src/models/{phi2,phi3,phimoe}.cpp; conversion/phi.py.
"""

from __future__ import annotations

from whatfits.sizing.architectures import blocks
from whatfits.sizing.architectures.convert import NEUTRAL_EPSILON, base_metadata
from whatfits.sizing.architectures.decoder import Style, decoder, decoder_tensors
from whatfits.sizing.architectures.family import Architecture
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from whatfits.sizing.architectures.config import Config
    from whatfits.sizing.architectures.family import Blueprint
    from whatfits.sizing.model import TensorShape

__all__ = ["ARCHITECTURES"]

# Phi 3 and 4 models that reach further than this all do so with two sets of rotary factors.
_PLAIN_ROPE_CONTEXT: Final = 2**15
_PHI2: Final = Style(
    tied="never",
    norm_bias=True,
    qkv_bias=True,
    output_bias=True,
    ffn_norm=False,
    gated=False,
    ffn_bias=True,
    head_bias=True,
)


def _rotary(config: Config, *, default: float) -> int:
    """Return how many elements of a head are rotated."""
    share = config.number("partial_rotary_factor")
    given = config.rope.get("partial_rotary_factor")
    if share is None and isinstance(given, (int, float)):
        share = float(given)
    width = config.positive("hidden_size", "n_embd")
    heads = config.positive("num_attention_heads", "n_head")
    return int((default if share is None else share) * width) // heads


def _phi2_metadata(config: Config) -> dict[str, object]:
    heads, width = config.positive("num_attention_heads"), config.positive("hidden_size")
    return {
        "block_count": config.n_layers,
        "context_length": config.positive("n_positions", "max_position_embeddings"),
        "embedding_length": width,
        "feed_forward_length": 4 * width,
        "attention.head_count": heads,
        "attention.head_count_kv": heads,
        "attention.layer_norm_epsilon": config.number("layer_norm_eps") or NEUTRAL_EPSILON,
        "rope.dimension_count": _rotary(config, default=0.4),
    }


def _original_context(config: Config) -> int:
    given = config.optional("original_max_position_embeddings")
    return given or config.positive("max_position_embeddings")


def _phi3_metadata(config: Config) -> dict[str, object]:
    metadata = base_metadata(config)
    for key in ("attention.key_length", "attention.value_length"):
        metadata.pop(key, None)
    return {
        **metadata,
        "rope.scaling.original_context_length": _original_context(config),
        "rope.dimension_count": _rotary(config, default=1.0),
        "attention.sliding_window": config.optional("sliding_window") or 0,
    }


def _long_rope(config: Config) -> tuple[tuple[str, int], ...]:
    context = config.positive("max_position_embeddings")
    if context <= _PLAIN_ROPE_CONTEXT and not config.rope.get("long_factor"):
        return ()
    half = _rotary(config, default=1.0) // 2
    return (("rope_factors_long", half), ("rope_factors_short", half))


def _phi3_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    style = Style(fused_qkv=True, fused_gate=True, rope_factors=_long_rope(blueprint.config))
    return decoder_tensors(blueprint, style)


def _phimoe_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    config = blueprint.config
    style = Style(
        tied="never",
        norm_bias=True,
        qkv_bias=True,
        output_bias=True,
        head_bias=True,
        rope_factors=_long_rope(config),
    )
    return decoder_tensors(blueprint, style, _experts)


def _experts(blueprint: Blueprint, prefix: str, layer: int) -> Iterator[TensorShape]:
    return blocks.experts(
        prefix,
        n_embd=blueprint.n_embd,
        n_ff=blueprint.n_ff(layer),
        n_expert=blueprint.n_expert,
    )


ARCHITECTURES: Final = (
    Architecture("phi2", _phi2_metadata, decoder(_PHI2)),
    Architecture("phi3", _phi3_metadata, _phi3_tensors),
    Architecture("phimoe", _phi3_metadata, _phimoe_tensors),
)
