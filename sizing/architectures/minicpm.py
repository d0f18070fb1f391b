"""MiniCPM (1 and 2: plain; 3: decompressed latent attention).

MiniCPM 3 keeps whole keys and values, not the latent row.
Source: llama.cpp (0c1e57098) src/models/{minicpm,minicpm3}.cpp; conversion/minicpm.py.
"""

from __future__ import annotations

from whatfits.sizing.architectures import blocks
from whatfits.sizing.architectures.convert import NEUTRAL_SCALE, base_metadata
from whatfits.sizing.architectures.decoder import Style, decoder
from whatfits.sizing.architectures.family import Architecture
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from whatfits.sizing.architectures.config import Config
    from whatfits.sizing.architectures.family import Blueprint
    from whatfits.sizing.model import TensorShape

__all__ = ["ARCHITECTURES"]


def _metadata(config: Config) -> dict[str, object]:
    return {
        **base_metadata(config),
        "embedding_scale": config.number("scale_emb") or NEUTRAL_SCALE,
        "residual_scale": NEUTRAL_SCALE,
        "logit_scale": NEUTRAL_SCALE,
    }


def _v3_metadata(config: Config) -> dict[str, object]:
    rotary = config.positive("qk_rope_head_dim")
    return {
        **base_metadata(config),
        "vocab_size": config.n_vocab,
        "attention.q_lora_rank": config.positive("q_lora_rank"),
        "attention.kv_lora_rank": config.positive("kv_lora_rank"),
        "attention.key_length": config.positive("qk_nope_head_dim") + rotary,
        "attention.value_length": config.optional("v_head_dim") or config.head_length,
        "rope.dimension_count": rotary,
    }


def _v3_attention(blueprint: Blueprint, prefix: str, layer: int) -> Iterator[TensorShape]:
    metadata, widths = blueprint.metadata, blueprint.widths(layer)
    query, rank = (metadata.integer(f"attention.{name}_lora_rank") for name in ("q", "kv"))
    rotary = metadata.integer("rope.dimension_count")
    heads = blueprint.geometry.heads[layer]
    decompressed = widths.query - heads * rotary + widths.context
    yield blocks.f32(f"{prefix}attn_q_a_norm", query)
    yield blocks.f32(f"{prefix}attn_kv_a_norm", rank)
    yield blocks.matrix(f"{prefix}attn_q_a", widths.n_embd, query)
    yield blocks.matrix(f"{prefix}attn_q_b", query, widths.query)
    yield blocks.matrix(f"{prefix}attn_kv_a_mqa", widths.n_embd, rank + rotary)
    yield blocks.matrix(f"{prefix}attn_kv_b", rank, decompressed)
    yield blocks.matrix(f"{prefix}attn_output", widths.context, widths.n_embd)


def _v3_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    n_embd, metadata = blueprint.n_embd, blueprint.metadata
    yield from blocks.ends(n_embd, blueprint.n_vocab, tied=blueprint.config.tied(default=True))
    if blueprint.config.rope.get("long_factor"):
        half = metadata.integer("rope.dimension_count") // 2
        yield blocks.f32("rope_factors_long", half)
        yield blocks.f32("rope_factors_short", half)
    for layer in blueprint.layers:
        prefix = f"blk.{layer}."
        yield blocks.f32(f"{prefix}attn_norm", n_embd)
        yield from _v3_attention(blueprint, prefix, layer)
        yield blocks.f32(f"{prefix}ffn_norm", n_embd)
        yield from blocks.dense(prefix, n_embd=n_embd, n_ff=blueprint.n_ff(layer))


ARCHITECTURES: Final = (
    Architecture("minicpm", _metadata, decoder(Style(tied_default=True))),
    Architecture("minicpm3", _v3_metadata, _v3_tensors),
)
