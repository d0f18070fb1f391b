"""Granite 3: dense and mixture of experts.

Source: llama.cpp (0c1e57098) src/models/{granite,granite-moe}.cpp; conversion/granite.py.
"""

from __future__ import annotations

from whatfits.sizing.architectures import blocks
from whatfits.sizing.architectures.convert import NEUTRAL_SCALE, base_metadata
from whatfits.sizing.architectures.decoder import Style, decoder_tensors
from whatfits.sizing.architectures.family import Architecture
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from whatfits.sizing.architectures.config import Config
    from whatfits.sizing.architectures.family import Blueprint
    from whatfits.sizing.model import TensorShape

__all__ = ["ARCHITECTURES"]


def granite_metadata(config: Config) -> dict[str, object]:
    """Return the metadata of the Granite converter, which always takes width over heads."""
    metadata = base_metadata(config)
    for key in ("attention.key_length", "attention.value_length"):
        metadata.pop(key, None)
    width, heads = config.positive("hidden_size"), config.positive("num_attention_heads")
    metadata |= {
        "vocab_size": config.n_vocab,
        "rope.dimension_count": width // heads,
        "logit_scale": config.number("logits_scaling") or NEUTRAL_SCALE,
    }
    shared = config.optional("shared_intermediate_size")
    if shared and config.optional("num_local_experts"):
        metadata["expert_shared_feed_forward_length"] = shared
    return metadata


def _style(config: Config) -> Style:
    bias = config.flag("attention_bias")
    return Style(qkv_bias=bias, output_bias=bias, ffn_bias=config.flag("mlp_bias"))


def _granite_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    return decoder_tensors(blueprint, _style(blueprint.config))


def _experts(blueprint: Blueprint, prefix: str, layer: int) -> Iterator[TensorShape]:
    n_embd, shared = blueprint.n_embd, "expert_shared_feed_forward_length"
    yield from blocks.experts(
        prefix,
        n_embd=n_embd,
        n_ff=blueprint.n_ff(layer),
        n_expert=blueprint.n_expert,
    )
    n_ff = blueprint.metadata.optional(shared)
    if n_ff:
        yield from blocks.shared_experts(prefix, n_embd=n_embd, n_ff=n_ff)


def _granite_moe_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    return decoder_tensors(blueprint, _style(blueprint.config), _experts)


ARCHITECTURES: Final = (
    Architecture("granite", granite_metadata, _granite_tensors),
    Architecture("granitemoe", granite_metadata, _granite_moe_tensors),
)
