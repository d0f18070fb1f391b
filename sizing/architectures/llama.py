"""Llama and everything built like it: Mistral, Mixtral, Ministral, SmolLM, Yi, InternLM, Arcee….

Source: llama.cpp (0c1e57098) src/models/{llama,mistral3,smollm3,arcee,internlm2,baichuan,
seed-oss}.cpp; conversion/{llama,mistral3,internlm,baichuan,olmo}.py.
"""

from __future__ import annotations

from whatfits.sizing.architectures import blocks
from whatfits.sizing.architectures.convert import base_metadata, rope_factor_count
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

_QUERY_GROWTH: Final = 0.1  # of every published Ministral 3; whatever it is, the graph is the same


def llama_metadata(config: Config) -> dict[str, object]:
    """Return the metadata of the Llama converter."""
    return {
        **base_metadata(config),
        "vocab_size": config.n_vocab,
        "rope.dimension_count": config.head_length,
    }


def _mistral3_metadata(config: Config) -> dict[str, object]:
    """Return Mistral 3's metadata: with YaRN (Ministral 3, Devstral 2) queries grow with position.

    Source: conversion/mistral3.py; transformers Ministral3Config has a `llama_4_scaling_beta`.
    """
    metadata = llama_metadata(config)
    if config.rope_kind == "yarn":
        beta = config.rope.get("llama_4_scaling_beta")
        is_given = isinstance(beta, (int, float)) and beta > 0
        metadata["attention.temperature_scale"] = beta if is_given else _QUERY_GROWTH
    return metadata


def llama_style(config: Config) -> Style:
    """Return the switches a Llama configuration sets."""
    # InternLM 3 names its switches differently: `bias` for all, `qkv_bias` for three.
    bias = config.flag("attention_bias") or config.flag("bias")
    factors = rope_factor_count(config)
    return Style(
        qkv_bias=bias or config.flag("qkv_bias"),
        output_bias=bias,
        ffn_bias=config.flag("mlp_bias") or config.flag("bias"),
        rope_factors=(("rope_freqs", factors),) if factors else (),
    )


def llama_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    """Yield the tensors of a Llama: dense, or Mixtral's experts when there are any."""
    style = llama_style(blueprint.config)
    return decoder_tensors(blueprint, style, _experts if blueprint.geometry.n_expert else None)


def _experts(blueprint: Blueprint, prefix: str, layer: int) -> Iterator[TensorShape]:
    return blocks.experts(
        prefix,
        n_embd=blueprint.n_embd,
        n_ff=blueprint.n_ff(layer),
        n_expert=blueprint.n_expert,
    )


def _arcee_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    """Yield the tensors of Arcee: a Llama whose feed-forward part has no gate."""
    return decoder_tensors(blueprint, replace(llama_style(blueprint.config), gated=False))


def _internlm2_metadata(config: Config) -> dict[str, object]:
    metadata = base_metadata(config)
    # Its converter writes heads and widths but no head length: it is always width over heads.
    metadata.pop("attention.key_length", None)
    metadata.pop("attention.value_length", None)
    return {**metadata, "rope.dimension_count": config.head_length}


def _seed_oss_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    config = blueprint.config
    style = Style(
        qkv_bias=config.flag("attention_bias", default=True),
        ffn_norm=False,
        post_attention_norm=True,
    )
    return decoder_tensors(blueprint, style)


ARCHITECTURES: Final = (
    Architecture("llama", llama_metadata, llama_tensors),
    Architecture("mistral3", _mistral3_metadata, llama_tensors),
    Architecture("smollm3", llama_metadata, llama_tensors),
    Architecture("arcee", llama_metadata, _arcee_tensors),
    Architecture("internlm2", _internlm2_metadata, decoder(Style(tied="never"))),
    Architecture("baichuan", llama_metadata, decoder(Style(tied="never"))),
    Architecture("seed_oss", base_metadata, _seed_oss_tensors),
)
