"""OLMo 2 and 3 (norms after each block) and OLMoE.

Source: llama.cpp (0c1e57098) src/models/{olmo2,olmoe}.cpp; conversion/olmo.py.
"""

from __future__ import annotations

from whatfits.sizing.architectures import blocks
from whatfits.sizing.architectures.convert import base_metadata, window_flags
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

_OLMO3_PERIOD: Final = 4
_OLMO2: Final = Style(
    tied="never",
    qk_norm="width",
    attention_norm=False,
    post_attention_norm=True,
    ffn_norm=False,
    post_ffn_norm=True,
)


def _olmo2_metadata(config: Config) -> dict[str, object]:
    metadata = base_metadata(config)
    window = config.optional("sliding_window")
    if window is not None:
        metadata["attention.sliding_window"] = window
        metadata["attention.sliding_window_pattern"] = window_flags(config, period=_OLMO3_PERIOD)
    return metadata


def _experts(blueprint: Blueprint, prefix: str, layer: int) -> Iterator[TensorShape]:
    return blocks.experts(
        prefix,
        n_embd=blueprint.n_embd,
        n_ff=blueprint.n_ff(layer),
        n_expert=blueprint.n_expert,
    )


def _olmoe_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    return decoder_tensors(blueprint, Style(tied="never", qk_norm="width"), _experts)


ARCHITECTURES: Final = (
    Architecture("olmo2", _olmo2_metadata, decoder(_OLMO2)),
    Architecture("olmoe", base_metadata, _olmoe_tensors),
)
