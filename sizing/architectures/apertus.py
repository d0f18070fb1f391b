"""Apertus: a plain decoder without a gate; its activation's parameters lie in the metadata.

Source: llama.cpp (0c1e57098) src/models/apertus.cpp; conversion/apertus.py.
"""

from __future__ import annotations

from whatfits.sizing.architectures.convert import base_metadata, rope_factor_count
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

_ACTIVATION: Final = ("xielu.alpha_n", "xielu.alpha_p", "xielu.beta", "xielu.eps")
_NEUTRAL: Final = 0.5  # no byte depends on the activation's parameters


def _metadata(config: Config) -> dict[str, object]:
    values = (_NEUTRAL,) * config.n_layers
    return {**base_metadata(config), **dict.fromkeys(_ACTIVATION, values)}


def _tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    factors = rope_factor_count(blueprint.config)
    style = Style(
        tied="never",
        qk_norm="head",
        gated=False,
        rope_factors=(("rope_freqs", factors),) if factors else (),
    )
    return decoder_tensors(blueprint, style)


ARCHITECTURES: Final = (Architecture("apertus", _metadata, _tensors),)
