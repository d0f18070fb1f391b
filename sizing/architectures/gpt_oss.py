"""gpt-oss: experts published in MXFP4 and kept so in every file, attention sinks, biases.

Source: llama.cpp (0c1e57098) src/models/openai-moe.cpp; conversion/gpt_oss.py.
"""

from __future__ import annotations

from whatfits.sizing.architectures import blocks
from whatfits.sizing.architectures.convert import base_metadata
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

_NATIVE_TYPE: Final = "MXFP4"


def _metadata(config: Config) -> dict[str, object]:
    return {
        **base_metadata(config),
        "attention.sliding_window": config.positive("sliding_window"),
        "expert_feed_forward_length": config.positive("intermediate_size"),
    }


def _tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    geometry, n_embd = blueprint.geometry, blueprint.n_embd
    n_ff = blueprint.metadata.integer("expert_feed_forward_length")
    native = blueprint.config.quantised_by == "mxfp4"
    yield from blocks.ends(n_embd, blueprint.n_vocab, tied=False)
    for layer in blueprint.layers:
        prefix = f"blk.{layer}."
        yield blocks.f32(f"{prefix}attn_norm", n_embd)
        yield from blocks.attention(prefix, blueprint.widths(layer), bias=True, output_bias=True)
        yield blocks.f32(f"{prefix}attn_sinks", geometry.heads[layer])
        yield blocks.f32(f"{prefix}post_attention_norm", n_embd)
        for shape in blocks.experts(
            prefix, n_embd=n_embd, n_ff=n_ff, n_expert=blueprint.n_expert, bias=True
        ):
            keep = native and shape.name.endswith("exps.weight")
            yield replace(shape, fixed_type=_NATIVE_TYPE) if keep else shape


ARCHITECTURES: Final = (Architecture("gpt-oss", _metadata, _tensors),)
