"""Llama 4: three of four layers attend within chunks, every or every other layer has experts.

Source: llama.cpp (0c1e57098) src/models/llama4.cpp; conversion/llama.py.
"""

from __future__ import annotations

from whatfits.sizing.architectures import blocks
from whatfits.sizing.architectures.convert import base_metadata, rope_factor_count
from whatfits.sizing.architectures.decoder import Style, decoder_tensors, dense_part
from whatfits.sizing.architectures.family import Architecture
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from whatfits.sizing.architectures.config import Config
    from whatfits.sizing.architectures.family import Blueprint
    from whatfits.sizing.model import TensorShape

__all__ = ["ARCHITECTURES"]

_DENSE: Final = Style()


def _metadata(config: Config) -> dict[str, object]:
    metadata = {
        **base_metadata(config),
        "vocab_size": config.n_vocab,
        "rope.dimension_count": config.head_length,
        "feed_forward_length": config.positive("intermediate_size_mlp"),
        "interleave_moe_layer_step": config.positive("interleave_moe_layer_step"),
        "expert_feed_forward_length": config.positive("intermediate_size"),
    }
    kinds = config.layer_kinds(config.n_layers)
    if kinds is not None and all(kind == "full_attention" for kind in kinds):
        metadata["attention.sliding_window"] = 0
    return metadata


def _feed_forward(blueprint: Blueprint, prefix: str, layer: int) -> Iterator[TensorShape]:
    metadata, n_embd = blueprint.metadata, blueprint.n_embd
    if (layer + 1) % metadata.integer("interleave_moe_layer_step"):
        yield from dense_part(blueprint, prefix, layer, style=_DENSE)
        return
    n_ff = metadata.integer("expert_feed_forward_length")
    n_expert = blueprint.n_expert
    yield from blocks.experts(prefix, n_embd=n_embd, n_ff=n_ff, n_expert=n_expert)
    yield from blocks.shared_experts(prefix, n_embd=n_embd, n_ff=n_ff)


def _tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    factors = rope_factor_count(blueprint.config)
    style = Style(rope_factors=(("rope_freqs", factors),) if factors else ())
    return decoder_tensors(blueprint, style, _feed_forward)


ARCHITECTURES: Final = (Architecture("llama4", _metadata, _tensors),)
