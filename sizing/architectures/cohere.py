"""Command R and R7B: attention and feed-forward part share one norm; the output is tied.

Source: llama.cpp (0c1e57098) src/models/{command-r,cohere2}.cpp; conversion/command_r.py.
"""

from __future__ import annotations

from whatfits.sizing.architectures.convert import NEUTRAL_EPSILON, NEUTRAL_SCALE, base_metadata
from whatfits.sizing.architectures.decoder import Style, decoder, decoder_tensors
from whatfits.sizing.architectures.family import Architecture
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from whatfits.sizing.architectures.config import Config
    from whatfits.sizing.architectures.family import Blueprint
    from whatfits.sizing.model import TensorShape

__all__ = ["ARCHITECTURES"]

_STYLE: Final = Style(tied="always", ffn_norm=False)
# llama.cpp expects norms on queries and keys from this depth on (Command R+).
_LAYERS_WITH_QK_NORM: Final = 64


def _command_r_metadata(config: Config) -> dict[str, object]:
    context = config.optional("model_max_length") or config.positive("max_position_embeddings")
    return {
        **base_metadata(config),
        "context_length": context,
        "attention.layer_norm_epsilon": config.number("layer_norm_eps") or NEUTRAL_EPSILON,
        "logit_scale": config.number("logit_scale") or NEUTRAL_SCALE,
    }


def _command_r_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    deep = len(blueprint.layers) >= _LAYERS_WITH_QK_NORM
    return decoder_tensors(blueprint, replace(_STYLE, qk_norm="each_head" if deep else None))


def _cohere2_metadata(config: Config) -> dict[str, object]:
    share = config.number("rotary_pct")
    return {
        **base_metadata(config),
        "attention.layer_norm_epsilon": config.number("layer_norm_eps") or NEUTRAL_EPSILON,
        "logit_scale": config.number("logit_scale") or NEUTRAL_SCALE,
        "attention.sliding_window": config.positive("sliding_window"),
        "vocab_size": config.n_vocab,
        "rope.dimension_count": int((1.0 if share is None else share) * config.head_length),
    }


ARCHITECTURES: Final = (
    Architecture("command-r", _command_r_metadata, _command_r_tensors),
    Architecture("cohere2", _cohere2_metadata, decoder(_STYLE)),
)
