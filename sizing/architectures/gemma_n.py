"""Gemma 3n and Gemma 4: layers that reuse an earlier layer's cache, embeddings per layer.

Gemma 4 needs facts that some configurations leave open (key/value heads of the full layers of the
12B): those heads are then taken to be as many as in the window layers.
Source: llama.cpp (0c1e57098) src/models/{gemma3n,gemma4}.cpp; conversion/gemma.py.
"""

from __future__ import annotations

from whatfits.sizing.architectures import blocks
from whatfits.sizing.architectures.convert import base_metadata, window_flags
from whatfits.sizing.architectures.family import Architecture
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from whatfits.sizing.architectures.config import Config
    from whatfits.sizing.architectures.family import Blueprint
    from whatfits.sizing.model import TensorShape

__all__ = ["ARCHITECTURES"]

_ALTUP: Final = 4
_LAUREL_RANK: Final = 64
_GEMMA3N_PER_LAYER: Final = 256
_PER_LAYER: Final = "embedding_length_per_layer_input"


def _per_layer_widths(config: Config) -> int | tuple[int, ...]:
    widths = config.items("intermediate_size")
    if widths is None:
        return config.positive("intermediate_size")
    if not widths or any(type(width) is not int or width <= 0 for width in widths):
        raise config.error("intermediate_size", "not a list of positive whole numbers")
    listed = tuple(width for width in widths if isinstance(width, int))
    return listed[0] if len(set(listed)) == 1 else listed


def _gemma3n_metadata(config: Config) -> dict[str, object]:
    metadata = base_metadata(config.without("intermediate_size"))
    flags = window_flags(config, period=5)
    return {
        **metadata,
        "feed_forward_length": _per_layer_widths(config),
        "attention.sliding_window": config.positive("sliding_window"),
        "attention.sliding_window_pattern": flags,
        "attention.shared_kv_layers": config.optional("num_kv_shared_layers") or 0,
        "altup.num_inputs": _ALTUP,
        _PER_LAYER: _GEMMA3N_PER_LAYER,
    }


def _per_layer_ends(blueprint: Blueprint, width: int) -> Iterator[TensorShape]:
    n_embd, n_layers = blueprint.n_embd, len(blueprint.layers)
    yield blocks.matrix("per_layer_token_embd", width * n_layers, blueprint.n_vocab)
    yield blocks.matrix("per_layer_model_proj", n_embd, width * n_layers)
    yield blocks.f32("per_layer_proj_norm", width)


def _per_layer_part(prefix: str, *, n_embd: int, width: int) -> Iterator[TensorShape]:
    yield blocks.matrix(f"{prefix}inp_gate", n_embd, width)
    yield blocks.matrix(f"{prefix}proj", width, n_embd)
    yield blocks.f32(f"{prefix}post_norm", n_embd)


def _gemma3n_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    n_embd, width = blueprint.n_embd, _GEMMA3N_PER_LAYER
    yield from blocks.ends(n_embd, blueprint.n_vocab, tied=True)
    yield blocks.matrix("altup_proj", n_embd, n_embd, _ALTUP - 1)
    yield blocks.matrix("altup_unembd_proj", n_embd, n_embd, _ALTUP - 1)
    yield from _per_layer_ends(blueprint, width)
    for layer in blueprint.layers:
        prefix = f"blk.{layer}."
        length = blueprint.geometry.key_lengths[layer]
        for name in ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"):
            yield blocks.f32(f"{prefix}{name}", n_embd)
        yield from blocks.attention(prefix, blueprint.widths(layer))
        yield blocks.f32(f"{prefix}attn_q_norm", length)
        yield blocks.f32(f"{prefix}attn_k_norm", length)
        yield from blocks.dense(prefix, n_embd=n_embd, n_ff=blueprint.n_ff(layer))
        yield from _per_layer_part(prefix, n_embd=n_embd, width=width)
        yield from _altup(prefix, n_embd=n_embd)


def _altup(prefix: str, *, n_embd: int) -> Iterator[TensorShape]:
    yield blocks.f32(f"{prefix}altup_correct_coef", _ALTUP, _ALTUP)
    yield blocks.f32(f"{prefix}altup_correct_scale", n_embd)
    yield blocks.f32(f"{prefix}altup_predict_coef", _ALTUP, _ALTUP * _ALTUP)
    yield blocks.matrix(f"{prefix}altup_router", n_embd, _ALTUP)
    yield blocks.f32(f"{prefix}altup_router_norm", n_embd)
    yield blocks.matrix(f"{prefix}laurel_l", n_embd, _LAUREL_RANK)
    yield blocks.matrix(f"{prefix}laurel_r", _LAUREL_RANK, n_embd)
    yield blocks.f32(f"{prefix}laurel_post_norm", n_embd)


def _gemma4_metadata(config: Config) -> dict[str, object]:
    n_layers, shared = config.n_layers, config.optional("num_kv_shared_layers") or 0
    flags = window_flags(config, period=6)
    assert flags is not None
    full, window = config.positive("global_head_dim", "head_dim"), config.positive("head_dim")
    heads_kv = config.positive("num_key_value_heads")
    heads_full = config.optional("num_global_key_value_heads") or heads_kv
    metadata = {
        **base_metadata(config),
        "attention.head_count_kv": tuple(heads_kv if flag else heads_full for flag in flags),
        "attention.sliding_window": config.positive("sliding_window"),
        "attention.sliding_window_pattern": flags,
        "attention.shared_kv_layers": shared,
        "attention.key_length": full,
        "attention.value_length": full,
        "attention.key_length_swa": window,
        "attention.value_length_swa": window,
        "rope.dimension_count": full,
        "rope.dimension_count_swa": window,
        "final_logit_softcapping": config.number("final_logit_softcapping") or 0.0,
        _PER_LAYER: config.optional("hidden_size_per_layer_input") or 0,
    }
    if config.flag("use_double_wide_mlp"):
        n_ff, first = config.positive("intermediate_size"), n_layers - shared
        metadata["feed_forward_length"] = tuple(
            n_ff if layer < first else 2 * n_ff for layer in range(n_layers)
        )
    if config.optional("num_experts"):
        metadata["expert_feed_forward_length"] = config.positive("moe_intermediate_size")
    return metadata


def _gemma4_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    config, metadata, n_embd = blueprint.config, blueprint.metadata, blueprint.n_embd
    width = metadata.integer(_PER_LAYER, low=0)
    yield from blocks.ends(n_embd, blueprint.n_vocab, tied=config.tied(default=True))
    yield blocks.f32("rope_freqs", metadata.integer("attention.key_length") // 2)
    if width:
        yield from _per_layer_ends(blueprint, width)
    for layer in blueprint.layers:
        prefix = f"blk.{layer}."
        for name in ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"):
            yield blocks.f32(f"{prefix}{name}", n_embd)
        yield blocks.f32(f"{prefix}layer_output_scale", 1)
        yield from _gemma4_attention(blueprint, prefix, layer)
        yield from blocks.dense(prefix, n_embd=n_embd, n_ff=blueprint.n_ff(layer))
        if blueprint.geometry.n_expert:
            yield from _gemma4_experts(blueprint, prefix)
        if width:
            yield from _per_layer_part(prefix, n_embd=n_embd, width=width)


def _gemma4_attention(blueprint: Blueprint, prefix: str, layer: int) -> Iterator[TensorShape]:
    """Yield attention; layers that reuse a cache project no keys and values of their own."""
    geometry = blueprint.geometry
    shared = blueprint.metadata.integer("attention.shared_kv_layers", low=0)
    owns = layer < geometry.n_layers - shared
    no_values = blueprint.config.flag("attention_k_eq_v") and not geometry.windows.layers[layer]
    for shape in blocks.attention(prefix, blueprint.widths(layer)):
        if ".attn_k." in shape.name and not owns:
            continue
        if ".attn_v." in shape.name and (not owns or no_values):
            continue
        yield shape
    length = geometry.key_lengths[layer]
    yield blocks.f32(f"{prefix}attn_q_norm", length)
    if owns:
        yield blocks.f32(f"{prefix}attn_k_norm", length)


def _gemma4_experts(blueprint: Blueprint, prefix: str) -> Iterator[TensorShape]:
    n_embd, n_expert = blueprint.n_embd, blueprint.geometry.n_expert
    n_ff = blueprint.metadata.integer("expert_feed_forward_length")
    for name in ("pre_ffw_norm_2", "post_ffw_norm_1", "post_ffw_norm_2"):
        yield blocks.f32(f"{prefix}{name}", n_embd)
    yield from blocks.experts(prefix, n_embd=n_embd, n_ff=n_ff, n_expert=n_expert, fused=True)
    yield blocks.bare(f"{prefix}ffn_gate_inp.scale", n_embd)
    yield blocks.bare(f"{prefix}ffn_down_exps.scale", n_expert)


ARCHITECTURES: Final = (
    Architecture("gemma3n", _gemma3n_metadata, _gemma3n_tensors),
    Architecture("gemma4", _gemma4_metadata, _gemma4_tensors),
)
