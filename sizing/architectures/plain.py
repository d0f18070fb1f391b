"""Plain decoders of several makers: Qwen 1, XVERSE, Refact, PLaMo 1, Pangu, OLMo 1.

Dream and LLaDA, which predict by diffusion and keep no cache, are built the same way.

Source: llama.cpp (0c1e57098) src/models/{qwen,xverse,refact,plamo,pangu-embed,olmo,dream,
llada}.cpp; conversion/{qwen,xverse,refact,plamo,pangu,olmo,dream,llada}.py.
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

_MULTIPLE: Final = 256
_DREAM: Final = Style(qkv_bias=True)
_PANGU: Final = Style(qkv_bias=True, output_bias=True, tied_default=True)


def _qwen_metadata(config: Config) -> dict[str, object]:
    heads = config.positive("num_attention_heads")
    return {
        **base_metadata(config),
        "attention.head_count_kv": heads,
        "context_length": config.positive("max_position_embeddings", "seq_length"),
        "rope.dimension_count": config.head_length,
        "attention.layer_norm_rms_epsilon": config.number("layer_norm_epsilon") or NEUTRAL_EPSILON,
    }


def _qwen_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    """Yield the tensors; gate and up projection are half as wide as the configuration says."""
    n_embd = blueprint.n_embd
    yield from blocks.ends(n_embd, blueprint.n_vocab, tied=False)
    for layer in blueprint.layers:
        prefix = f"blk.{layer}."
        width = 3 * n_embd
        yield blocks.f32(f"{prefix}attn_norm", n_embd)
        yield blocks.matrix(f"{prefix}attn_qkv", n_embd, width)
        yield blocks.vector(f"{prefix}attn_qkv", width)
        yield blocks.matrix(f"{prefix}attn_output", n_embd, n_embd)
        yield blocks.f32(f"{prefix}ffn_norm", n_embd)
        yield from blocks.dense(prefix, n_embd=n_embd, n_ff=blueprint.n_ff(layer) // 2)


def _refact_metadata(config: Config) -> dict[str, object]:
    width = config.positive("n_embd", "hidden_size")
    hidden = -(-int(2 * 4 * width / 3) // _MULTIPLE) * _MULTIPLE
    return {
        "block_count": config.n_layers,
        "context_length": config.positive("n_positions"),
        "embedding_length": width,
        "feed_forward_length": hidden,
        "attention.head_count": config.positive("n_head"),
        "attention.head_count_kv": 1,
        "attention.layer_norm_rms_epsilon": config.number("layer_norm_epsilon") or NEUTRAL_EPSILON,
    }


def _plamo_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    return decoder_tensors(blueprint, Style(tied="never", ffn_norm=False))


def _plamo_metadata(config: Config) -> dict[str, object]:
    shared = config.positive("num_attention_heads") // config.positive("n_shared_head")
    return {**base_metadata(config), "attention.head_count_kv": shared}


def _olmo_metadata(config: Config) -> dict[str, object]:
    clip = config.number("clip_qkv")
    metadata = {**base_metadata(config), "attention.layer_norm_epsilon": NEUTRAL_EPSILON}
    return metadata if clip is None else {**metadata, "attention.clamp_kqv": clip}


def _olmo_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    """Yield the tensors: norms have no parameters at all."""
    style = Style(attention_norm=False, ffn_norm=False)
    for tensor in decoder_tensors(blueprint, style):
        if tensor.name != "output_norm.weight":
            yield tensor


def _llada_metadata(config: Config) -> dict[str, object]:
    metadata = base_metadata(config.without("hidden_dim"))
    return {
        **metadata,
        "embedding_length": config.positive("d_model", "hidden_size"),
        "feed_forward_length": config.positive("mlp_hidden_size", "intermediate_size"),
        "context_length": config.positive("max_sequence_length", "max_position_embeddings"),
    }


ARCHITECTURES: Final = (
    Architecture("qwen", _qwen_metadata, _qwen_tensors),
    Architecture("xverse", base_metadata, decoder(Style(tied="never"))),
    Architecture("refact", _refact_metadata, decoder(Style(tied="never"))),
    Architecture("plamo", _plamo_metadata, _plamo_tensors),
    Architecture("pangu-embedded", base_metadata, decoder(_PANGU)),
    Architecture("olmo", _olmo_metadata, _olmo_tensors),
    Architecture("dream", base_metadata, decoder(_DREAM)),
    Architecture("llada", _llada_metadata, decoder(Style())),
)
