"""GLM 4.5 to 4.7 and Solar Open: mixture of experts behind leading dense layers.

The block that predicts a further token is in the file; it is not loaded by default.
Source: llama.cpp (0c1e57098) src/models/glm4-moe.cpp; conversion/glm.py.
"""

from __future__ import annotations

from whatfits.sizing.architectures import blocks
from whatfits.sizing.architectures.convert import base_metadata
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


def _metadata(config: Config) -> dict[str, object]:
    share = config.number("partial_rotary_factor")
    metadata = {
        **base_metadata(config),
        "rope.dimension_count": int(
            (_ROTATED_SHARE if share is None else share) * config.head_length
        ),
        "expert_feed_forward_length": config.positive("moe_intermediate_size"),
        "expert_shared_count": config.optional("n_shared_experts") or 0,
        "leading_dense_block_count": config.optional("first_k_dense_replace") or 0,
    }
    metadata["expert_weights_norm"] = config.flag("norm_topk_prob", default=True)
    scale = config.number("routed_scaling_factor")
    if scale is not None:
        metadata["expert_weights_scale"] = scale
    predicting = config.optional("num_nextn_predict_layers")
    if predicting and config.text("model_type") != "solar_open":
        metadata["block_count"] = config.n_layers + predicting
        metadata["nextn_predict_layers"] = predicting
    return metadata


def _tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    config, n_embd = blueprint.config, blueprint.n_embd
    yield from blocks.ends(n_embd, blueprint.n_vocab, tied=config.tied())
    for layer in blueprint.layers:
        prefix = f"blk.{layer}."
        yield blocks.f32(f"{prefix}attn_norm", n_embd)
        yield from blocks.attention(
            prefix, blueprint.widths(layer), bias=config.flag("attention_bias")
        )
        if config.flag("use_qk_norm"):
            yield blocks.f32(f"{prefix}attn_q_norm", blueprint.geometry.key_lengths[layer])
            yield blocks.f32(f"{prefix}attn_k_norm", blueprint.geometry.key_lengths[layer])
        yield blocks.f32(f"{prefix}post_attention_norm", n_embd)
        yield from _feed_forward(blueprint, prefix, layer)
        if blueprint.predicts(layer):
            yield from blocks.predictor(prefix, n_embd=n_embd, own_vocabulary=blueprint.n_vocab)


def _feed_forward(blueprint: Blueprint, prefix: str, layer: int) -> Iterator[TensorShape]:
    metadata, n_embd = blueprint.metadata, blueprint.n_embd
    if layer < metadata.integer("leading_dense_block_count", low=0):
        yield from blocks.dense(prefix, n_embd=n_embd, n_ff=blueprint.n_ff(layer))
        return
    n_ff = metadata.integer("expert_feed_forward_length")
    shared = metadata.integer("expert_shared_count", low=0)
    yield from blocks.experts(
        prefix,
        n_embd=n_embd,
        n_ff=n_ff,
        n_expert=blueprint.n_expert,
        selection_bias=True,
    )
    if shared:
        yield from blocks.shared_experts(prefix, n_embd=n_embd, n_ff=n_ff * shared)


ARCHITECTURES: Final = (Architecture("glm4moe", _metadata, _tensors),)
