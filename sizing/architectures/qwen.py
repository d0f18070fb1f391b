"""Qwen 2, 2.5 and 3: dense, mixture of experts, and the text part of the vision models.

Source: llama.cpp (0c1e57098) src/models/{qwen2,qwen2moe,qwen2vl,qwen3,qwen3moe,qwen3vl,
qwen3vlmoe}.cpp; conversion/{qwen,qwenvl,qwen3vl}.py.
"""

from __future__ import annotations

from whatfits.sizing.architectures import blocks
from whatfits.sizing.architectures.convert import base_metadata
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

_QWEN2: Final = Style(qkv_bias=True)
_QWEN3: Final = Style(qk_norm="head")
# llama.cpp asks for the sections of the three-part rotary embedding; no byte depends on them.
_SECTIONS_2: Final = (16, 24, 24, 0)
_SECTIONS_3: Final = (24, 20, 20, 0)
# Pictures of Qwen 3 VL enter behind three layers; llama.cpp's input is as many widths wider.
# Source: transformers Qwen3VLVisionConfig.deepstack_visual_indexes: three in all published models.
_DEEPSTACK_LAYERS: Final = 3


def _experts_metadata(config: Config) -> dict[str, object]:
    metadata = base_metadata(config)
    width = config.optional("moe_intermediate_size")
    if width is not None:
        metadata["expert_feed_forward_length"] = width
    shared = config.optional("shared_expert_intermediate_size")
    if shared is not None:
        metadata["expert_shared_feed_forward_length"] = shared
    return metadata


def _with_sections(metadata: dict[str, object], config: Config, default: tuple[int, ...]) -> None:
    given = config.rope.get("mrope_section")
    sections = list(given) if isinstance(given, list) else list(default)
    metadata["rope.dimension_sections"] = (*sections, 0, 0, 0, 0)[:4]


def _qwen2vl_metadata(config: Config) -> dict[str, object]:
    metadata = base_metadata(config)
    _with_sections(metadata, config, _SECTIONS_2)
    return metadata


def _qwen3vl_metadata(config: Config) -> dict[str, object]:
    metadata = _experts_metadata(config)
    _with_sections(metadata, config, _SECTIONS_3)
    indexes = config.inner("vision_config").get("deepstack_visual_indexes")
    given = len(indexes) if isinstance(indexes, (list, tuple)) else None
    metadata["n_deepstack_layers"] = _DEEPSTACK_LAYERS if given is None else given
    return metadata


def _routed(blueprint: Blueprint, prefix: str, layer: int) -> Iterator[TensorShape]:
    n_expert = blueprint.n_expert  # an error without experts, before a share of them is taken
    width = blueprint.metadata.optional("expert_feed_forward_length")
    if not width:
        width = blueprint.n_ff(layer) // blueprint.geometry.n_expert_used
    return blocks.experts(prefix, n_embd=blueprint.n_embd, n_ff=width, n_expert=n_expert)


def _routed_and_shared(blueprint: Blueprint, prefix: str, layer: int) -> Iterator[TensorShape]:
    yield from _routed(blueprint, prefix, layer)
    shared = blueprint.metadata.optional("expert_shared_feed_forward_length")
    n_ff = shared or blueprint.n_ff(layer)
    yield from blocks.shared_experts(prefix, n_embd=blueprint.n_embd, n_ff=n_ff, gate=True)


def _qwen2moe_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    style = Style(tied="never", qkv_bias=blueprint.config.flag("qkv_bias", default=True))
    return decoder_tensors(blueprint, style, _routed_and_shared)


def _qwen3moe_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    return decoder_tensors(blueprint, _QWEN3, _routed)


ARCHITECTURES: Final = (
    Architecture("qwen2", base_metadata, decoder(_QWEN2)),
    Architecture("qwen2moe", _experts_metadata, _qwen2moe_tensors),
    Architecture("qwen2vl", _qwen2vl_metadata, decoder(_QWEN2)),
    Architecture("qwen3", base_metadata, decoder(_QWEN3)),
    Architecture("qwen3moe", _experts_metadata, _qwen3moe_tensors),
    Architecture("qwen3vl", _qwen3vl_metadata, decoder(_QWEN3)),
    Architecture("qwen3vlmoe", _qwen3vl_metadata, _qwen3moe_tensors),
)
