"""Early decoders with layer norms.

GPT-2, GPT-NeoX (Pythia), BLOOM, MPT, Jais, StarCoder, CodeShell, Orion.

Source: llama.cpp (0c1e57098) src/models/{gpt2,gptneox,bloom,mpt,jais,starcoder,codeshell,
orion}.cpp; conversion/{gpt2,gpt_neox,bloom,mpt,jais,starcoder,codeshell,orion}.py.
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

_EPSILON: Final = ("layer_norm_epsilon", "layer_norm_eps", "rms_norm_eps")
_FUSED: Final = Style(
    norm_bias=True,
    fused_qkv=True,
    qkv_bias=True,
    output_bias=True,
    gated=False,
    ffn_bias=True,
    tied="never",
)
_SPLIT: Final = Style(
    norm_bias=True, qkv_bias=True, output_bias=True, gated=False, ffn_bias=True, tied="never"
)
_JAIS: Final = Style(
    norm_bias=True, fused_qkv=True, qkv_bias=True, output_bias=True, ffn_bias=True, tied="never"
)
_ORION: Final = Style(norm_bias=True, tied="never")
_ALIBI: Final = 8.0


def _metadata(config: Config) -> dict[str, object]:
    epsilon = config.number(*_EPSILON)
    metadata = {
        **base_metadata(config),
        "attention.layer_norm_epsilon": NEUTRAL_EPSILON if epsilon is None else epsilon,
    }
    width = config.positive("hidden_size", "n_embd", "d_model")
    metadata.setdefault("feed_forward_length", 4 * width)
    return metadata


def _neox_metadata(config: Config) -> dict[str, object]:
    share = config.number("rotary_pct", "partial_rotary_factor")
    rotated = int(config.head_length * (0.25 if share is None else share))
    parallel = config.flag("use_parallel_residual", default=True)
    return {**_metadata(config), "rope.dimension_count": rotated, "use_parallel_residual": parallel}


def _bloom_metadata(config: Config) -> dict[str, object]:
    """Return BLOOM's metadata: its context is that of the tokeniser where none is given."""
    width = config.positive("hidden_size", "n_embed")
    heads = config.positive("num_attention_heads", "n_head")
    return {
        "block_count": config.n_layers,
        "context_length": config.optional("seq_length") or width,
        "embedding_length": width,
        "feed_forward_length": 4 * width,
        "attention.head_count": heads,
        "attention.head_count_kv": heads,
        "attention.layer_norm_epsilon": config.number(*_EPSILON) or NEUTRAL_EPSILON,
    }


def _mpt_metadata(config: Config) -> dict[str, object]:
    attention, width = config.mapping("attn_config"), config.positive("d_model")
    metadata: dict[str, object] = {
        "block_count": config.n_layers,
        "context_length": config.positive("max_seq_len"),
        "embedding_length": width,
        "feed_forward_length": 4 * width,
        "attention.head_count": config.positive("n_heads"),
        "attention.layer_norm_epsilon": NEUTRAL_EPSILON,
    }
    shared, clip = attention.optional("kv_n_heads"), attention.number("clip_qkv")
    if shared:
        metadata["attention.head_count_kv"] = shared
    if clip is not None:
        metadata["attention.clamp_kqv"] = clip
    if attention.flag("alibi"):
        metadata["attention.max_alibi_bias"] = attention.number("alibi_bias_max") or _ALIBI
    return metadata


def _mpt_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    """Yield the tensors: no biases anywhere unless the configuration wants them."""
    bias = not blueprint.config.flag("no_bias", default=True)
    style = Style(
        norm_bias=bias,
        fused_qkv=True,
        qkv_bias=bias,
        output_bias=bias,
        gated=False,
        ffn_bias=bias,
        tied="always",
    )
    if not blueprint.config.mapping("attn_config").flag("alibi"):
        yield _positions(blueprint)
    yield from decoder_tensors(blueprint, style)


def _starcoder_metadata(config: Config) -> dict[str, object]:
    shared = 1 if config.flag("multi_query", default=True) else config.positive("n_head")
    return {**_metadata(config), "attention.head_count_kv": shared}


def _positions(blueprint: Blueprint) -> TensorShape:
    context = blueprint.metadata.integer("context_length")
    return blocks.f32("position_embd", blueprint.n_embd, context)


def _learned_positions(blueprint: Blueprint) -> Iterator[TensorShape]:
    """Yield the tensors of a decoder with learned positions; the converter repeats the output."""
    yield _positions(blueprint)
    yield from decoder_tensors(blueprint, _FUSED)


def _bloom_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    yield from blocks.norm("token_embd_norm", blueprint.n_embd, bias=True)
    yield from decoder_tensors(blueprint, _FUSED)


def _codeshell_metadata(config: Config) -> dict[str, object]:
    shared = config.optional("num_query_groups")
    metadata = _metadata(config)
    return {**metadata, "attention.head_count_kv": shared} if shared else metadata


def _jais_metadata(config: Config) -> dict[str, object]:
    return {**_metadata(config), "attention.max_alibi_bias": _ALIBI}


ARCHITECTURES: Final = (
    Architecture("gpt2", _metadata, _learned_positions),
    Architecture("gptneox", _neox_metadata, decoder(_FUSED)),
    Architecture("bloom", _bloom_metadata, _bloom_tensors),
    Architecture("mpt", _mpt_metadata, _mpt_tensors),
    Architecture("jais", _jais_metadata, decoder(_JAIS)),
    Architecture("starcoder", _starcoder_metadata, _learned_positions),
    Architecture("codeshell", _codeshell_metadata, decoder(_SPLIT)),
    Architecture("orion", _metadata, decoder(_ORION)),
)
