"""MiniMax M2: experts in every layer, norms over the whole width of queries and keys.

Source: llama.cpp (0c1e57098) src/models/minimax-m2.cpp; conversion/minimax.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whatfits.sizing.architectures import blocks
from whatfits.sizing.architectures.convert import base_metadata
from whatfits.sizing.architectures.decoder import Style, decoder_tensors
from whatfits.sizing.architectures.family import Architecture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whatfits.sizing.architectures.config import Config
    from whatfits.sizing.architectures.family import Blueprint
    from whatfits.sizing.model import TensorShape

__all__ = ["ARCHITECTURES"]


def _metadata(config: Config) -> dict[str, object]:
    return {
        **base_metadata(config),
        "expert_gating_func": 2,
        "expert_feed_forward_length": config.positive("intermediate_size"),
        "rope.dimension_count": config.optional("rotary_dim") or config.head_length // 2,
    }


def _experts(blueprint: Blueprint, prefix: str, layer: int) -> Iterator[TensorShape]:
    return blocks.experts(
        prefix,
        n_embd=blueprint.n_embd,
        n_ff=blueprint.n_ff(layer),
        n_expert=blueprint.n_expert,
        selection_bias=True,
    )


def _tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    return decoder_tensors(blueprint, Style(tied="never", qk_norm="width"), _experts)


ARCHITECTURES: Final = (Architecture("minimax-m2", _metadata, _tensors),)
