"""Qwen3-Next and Qwen 3.5: three layers of linear attention, then one of full attention.

A block that predicts a further token is part of the file when the configuration names one.
Source: llama.cpp (0c1e57098) src/models/{qwen3next,qwen35,qwen35moe}.cpp; conversion/qwen.py.
"""

from __future__ import annotations

from functools import partial

from whatfits.sizing.architectures import blocks
from whatfits.sizing.architectures.convert import base_metadata
from whatfits.sizing.architectures.family import Architecture
from whatfits.sizing.architectures.ssm import read_state_space
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from whatfits.sizing.architectures.config import Config
    from whatfits.sizing.architectures.family import Blueprint
    from whatfits.sizing.model import TensorShape

__all__ = ["ARCHITECTURES"]

_ROTATED_SHARE: Final = 0.25
_SECTIONS: Final = (11, 11, 10, 0)
_INTERVAL: Final = 4


def _metadata(config: Config) -> dict[str, object]:
    metadata = base_metadata(config)
    value_heads = config.positive("linear_num_value_heads")
    share = config.number("partial_rotary_factor")
    n_layers, predicting = config.n_layers, config.optional("mtp_num_hidden_layers") or 0
    metadata |= {
        "ssm.conv_kernel": config.positive("linear_conv_kernel_dim"),
        "ssm.state_size": config.positive("linear_key_head_dim"),
        "ssm.group_count": config.positive("linear_num_key_heads"),
        "ssm.time_step_rank": value_heads,
        "ssm.inner_size": config.positive("linear_value_head_dim") * value_heads,
        "full_attention_interval": config.optional("full_attention_interval") or _INTERVAL,
        "rope.dimension_count": int(
            (_ROTATED_SHARE if share is None else share) * config.head_length
        ),
    }
    kinds = config.layer_kinds(n_layers)
    if kinds is not None:
        flags = tuple(kind == "linear_attention" for kind in kinds) + (False,) * predicting
        metadata["attention.recurrent_layers"] = flags
    if predicting:
        metadata["block_count"] = n_layers + predicting
        metadata["nextn_predict_layers"] = predicting
    width = config.optional("moe_intermediate_size")
    if width is not None and config.optional("num_experts"):
        metadata["expert_feed_forward_length"] = width
        metadata["expert_shared_feed_forward_length"] = config.positive(
            "shared_expert_intermediate_size", "moe_intermediate_size"
        )
    return metadata


def _qwen35_metadata(config: Config) -> dict[str, object]:
    sections = config.rope.get("mrope_section")
    given = tuple(sections) if isinstance(sections, list) else _SECTIONS
    return {**_metadata(config), "rope.dimension_sections": (*given, 0, 0, 0, 0)[:4]}


def _full_attention(blueprint: Blueprint, prefix: str, layer: int) -> Iterator[TensorShape]:
    """Yield attention whose queries come with a gate of the same width."""
    widths = blueprint.widths(layer)
    yield from blocks.attention(prefix, widths._replace(query=2 * widths.query))
    length = blueprint.geometry.key_lengths[layer]
    yield blocks.f32(f"{prefix}attn_q_norm", length)
    yield blocks.f32(f"{prefix}attn_k_norm", length)


def _linear_attention(blueprint: Blueprint, prefix: str, *, joined: bool) -> Iterator[TensorShape]:
    """Yield a gated delta net; `joined` has the two small projections in one matrix."""
    sizes = read_state_space(blueprint.metadata)
    n_embd, keys, values = sizes.n_embd, sizes.state * sizes.groups, sizes.state * sizes.rank
    width = 2 * keys + values
    yield blocks.matrix(f"{prefix}attn_qkv", n_embd, width)
    yield blocks.matrix(f"{prefix}attn_gate", n_embd, values)
    yield blocks.f32(f"{prefix}ssm_conv1d", sizes.kernel, width)
    yield blocks.vector(f"{prefix}ssm_dt", sizes.rank)
    yield blocks.bare(f"{prefix}ssm_a", sizes.rank)
    if joined:
        yield blocks.matrix(f"{prefix}ssm_ba", n_embd, 2 * sizes.rank)
    else:
        yield blocks.matrix(f"{prefix}ssm_beta", n_embd, sizes.rank)
        yield blocks.matrix(f"{prefix}ssm_alpha", n_embd, sizes.rank)
    yield blocks.f32(f"{prefix}ssm_norm", sizes.state)
    yield blocks.matrix(f"{prefix}ssm_out", values, n_embd)


def _feed_forward(blueprint: Blueprint, prefix: str, layer: int) -> Iterator[TensorShape]:
    n_embd, metadata = blueprint.n_embd, blueprint.metadata
    n_expert = blueprint.geometry.n_expert
    if not n_expert:
        yield from blocks.dense(prefix, n_embd=n_embd, n_ff=blueprint.n_ff(layer))
        return
    n_ff = metadata.integer("expert_feed_forward_length")
    shared = metadata.integer("expert_shared_feed_forward_length")
    yield from blocks.experts(prefix, n_embd=n_embd, n_ff=n_ff, n_expert=n_expert)
    yield from blocks.shared_experts(prefix, n_embd=n_embd, n_ff=shared, gate=True)


def _tensors(blueprint: Blueprint, *, joined: bool) -> Iterator[TensorShape]:
    n_embd = blueprint.n_embd
    yield from blocks.ends(n_embd, blueprint.n_vocab, tied=blueprint.config.tied())
    for layer in blueprint.layers:
        prefix = f"blk.{layer}."
        yield blocks.f32(f"{prefix}attn_norm", n_embd)
        if blueprint.geometry.recurrent[layer]:
            yield from _linear_attention(blueprint, prefix, joined=joined)
        else:
            yield from _full_attention(blueprint, prefix, layer)
        yield blocks.f32(f"{prefix}post_attention_norm", n_embd)
        yield from _feed_forward(blueprint, prefix, layer)
        if blueprint.predicts(layer):
            yield from blocks.predictor(prefix, n_embd=n_embd)


ARCHITECTURES: Final = (
    Architecture("qwen3next", _metadata, partial(_tensors, joined=True)),
    Architecture("qwen35", _qwen35_metadata, partial(_tensors, joined=False)),
    Architecture("qwen35moe", _qwen35_metadata, partial(_tensors, joined=False)),
)
