"""ERNIE 4.5, dense and with experts.

Source: llama.cpp (0c1e57098) src/models/{ernie4-5,ernie4-5-moe}.cpp; conversion/ernie.py.
"""

from __future__ import annotations

from whatfits.sizing.architectures.convert import base_metadata
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

_STYLE: Final = Style(tied_default=True)


def _moe_metadata(config: Config) -> dict[str, object]:
    metadata = base_metadata(config)
    shared = config.optional("moe_num_shared_experts") or 0
    metadata |= {
        "expert_count": config.positive("moe_num_experts"),
        "expert_used_count": config.positive("moe_k"),
        "interleave_moe_layer_step": config.optional("moe_layer_interval") or 1,
        "leading_dense_block_count": config.optional("moe_layer_start_index") or 0,
        "expert_feed_forward_length": config.positive("moe_intermediate_size"),
        "expert_shared_count": shared,
    }
    if shared:  # as the converter has it: right for the published shapes
        width = config.positive("intermediate_size") // config.positive("num_key_value_heads")
        metadata["expert_shared_feed_forward_length"] = width
    return metadata


def _moe_part(blueprint: Blueprint, prefix: str, layer: int) -> Iterator[TensorShape]:
    shared = blueprint.metadata.optional("expert_shared_feed_forward_length") or 0
    return mixture_part(blueprint, prefix, layer, selection_bias=True, shared=shared)


def _moe_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    return decoder_tensors(blueprint, _STYLE, _moe_part)


ARCHITECTURES: Final = (
    Architecture("ernie4_5", base_metadata, decoder(_STYLE)),
    Architecture("ernie4_5-moe", _moe_metadata, _moe_tensors),
)
