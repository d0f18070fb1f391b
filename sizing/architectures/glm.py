"""GLM 4: the dense models, older (`chatglm`) and newer (`glm4`).

Source: llama.cpp (0c1e57098) src/models/{chatglm,glm4}.cpp; conversion/{chatglm,glm}.py.
"""

from __future__ import annotations

from whatfits.sizing.architectures.convert import base_metadata
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

_ROTATED_SHARE: Final = 0.5


def _rotated(config: Config) -> int:
    share = config.number("partial_rotary_factor")
    given = config.rope.get("partial_rotary_factor")
    if share is None and isinstance(given, (int, float)):
        share = float(given)
    return int((_ROTATED_SHARE if share is None else share) * config.head_length)


def _chatglm_metadata(config: Config) -> dict[str, object]:
    metadata = base_metadata(config)
    for key in ("attention.key_length", "attention.value_length"):
        metadata.pop(key, None)
    return {**metadata, "rope.dimension_count": _rotated(config)}


def _chatglm_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    """Yield the tensors; the checkpoint's own fused matrices are split by the newer format."""
    bias = blueprint.config.flag("attention_bias", default=True)
    return decoder_tensors(blueprint, Style(qkv_bias=bias, fused_gate=True))


def _glm4_metadata(config: Config) -> dict[str, object]:
    return {**base_metadata(config), "rope.dimension_count": _rotated(config)}


def _glm4_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    style = Style(
        qkv_bias=blueprint.config.flag("attention_bias"),
        post_attention_norm=True,
        fused_gate=True,
        post_ffn_norm=True,
    )
    return decoder_tensors(blueprint, style)


ARCHITECTURES: Final = (
    Architecture("chatglm", _chatglm_metadata, _chatglm_tensors),
    Architecture("glm4", _glm4_metadata, _glm4_tensors),
)
