"""Decoders with layer norms: Falcon, StarCoder 2, StableLM 2, Nemotron (Minitron).

Source: llama.cpp (0c1e57098) src/models/{falcon,starcoder2,stablelm,nemotron}.cpp;
conversion/{falcon,starcoder,stablelm,nemotron}.py.
"""

from __future__ import annotations

from whatfits.sizing.architectures import blocks
from whatfits.sizing.architectures.convert import NEUTRAL_EPSILON, base_metadata
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

_FALCON_CONTEXT: Final = 2048
_EPSILON: Final = ("layer_norm_epsilon", "layer_norm_eps", "norm_epsilon", "norm_eps")
_STARCODER2: Final = Style(
    norm_bias=True, qkv_bias=True, output_bias=True, gated=False, ffn_bias=True, tied_default=True
)


def _layer_norm_metadata(config: Config) -> dict[str, object]:
    epsilon = config.number(*_EPSILON)
    return {
        **base_metadata(config),
        "attention.layer_norm_epsilon": NEUTRAL_EPSILON if epsilon is None else epsilon,
    }


def _falcon_metadata(config: Config) -> dict[str, object]:
    width = config.positive("hidden_size")
    heads = config.positive("num_attention_heads", "n_head")
    shared = config.optional("num_kv_heads", "n_head_kv")
    if not config.flag("new_decoder_architecture") and config.flag("multi_query", default=True):
        shared = 1  # the count in the file is that of query heads then
    return {
        "block_count": config.n_layers,
        "context_length": _FALCON_CONTEXT,
        "embedding_length": width,
        "feed_forward_length": 4 * width,
        "attention.head_count": heads,
        "attention.head_count_kv": heads if shared is None else shared,
        "attention.layer_norm_epsilon": config.number(*_EPSILON) or NEUTRAL_EPSILON,
    }


def _falcon_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    """Yield the tensors: fused attention, no biases, one norm a layer, two in the 40B."""
    n_embd = blueprint.n_embd
    two_norms = blueprint.config.flag("new_decoder_architecture")
    yield blocks.embedding(n_embd, blueprint.n_vocab)
    # The class ties the output, but the published checkpoints hold both (the index of 180B counts
    # both), and so do their GGUFs: tests/sizing/quants/test_falcon_size.py.
    tied = blueprint.config.tied()
    yield from blocks.output(n_embd, blueprint.n_vocab, tied=tied, norm_bias=True)
    for layer in blueprint.layers:
        prefix = f"blk.{layer}."
        yield from blocks.norm(f"{prefix}attn_norm", n_embd, bias=True)
        if two_norms:
            yield from blocks.norm(f"{prefix}attn_norm_2", n_embd, bias=True)
        yield from blocks.attention(prefix, blueprint.widths(layer), fused=True)
        yield from blocks.dense(prefix, n_embd=n_embd, n_ff=blueprint.n_ff(layer), gated=False)


def _stablelm_metadata(config: Config) -> dict[str, object]:
    share = config.number("partial_rotary_factor")
    metadata = _layer_norm_metadata(config)
    for key in ("attention.key_length", "attention.value_length"):
        metadata.pop(key, None)
    rotated = int((0.25 if share is None else share) * config.head_length)
    parallel = config.flag("use_parallel_residual", default=True)
    return {**metadata, "rope.dimension_count": rotated, "use_parallel_residual": parallel}


def _stablelm_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    config = blueprint.config
    style = Style(
        tied="never",
        norm_bias=True,
        qkv_bias=config.flag("use_qkv_bias"),
        qk_norm="each_head" if config.flag("qk_layernorm") else None,
        ffn_norm=not config.flag("use_parallel_residual"),
    )
    return decoder_tensors(blueprint, style)


def _nemotron_metadata(config: Config) -> dict[str, object]:
    share = config.number("partial_rotary_factor", "rope_percent", "rope_pct")
    rotated = int((0.5 if share is None else share) * config.head_length)
    return {
        **_layer_norm_metadata(config),
        "vocab_size": config.n_vocab,
        "rope.dimension_count": rotated,
    }


def _nemotron_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    bias = blueprint.config.flag("attention_bias")
    style = Style(
        tied="never",
        norm_bias=True,
        qkv_bias=bias,
        output_bias=bias,
        gated=False,
        ffn_bias=blueprint.config.flag("mlp_bias"),
    )
    return decoder_tensors(blueprint, style)


ARCHITECTURES: Final = (
    Architecture("falcon", _falcon_metadata, _falcon_tensors),
    Architecture("starcoder2", _layer_norm_metadata, decoder(_STARCODER2)),
    Architecture("stablelm", _stablelm_metadata, _stablelm_tensors),
    Architecture("nemotron", _nemotron_metadata, _nemotron_tensors),
)
