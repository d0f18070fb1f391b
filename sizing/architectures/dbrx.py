"""DBRX: experts in every layer, layer norms without a shift.

Source: llama.cpp (0c1e57098) src/models/dbrx.cpp; conversion/dbrx.py.
"""

from __future__ import annotations

from whatfits.sizing.architectures import blocks
from whatfits.sizing.architectures.convert import NEUTRAL_EPSILON
from whatfits.sizing.architectures.family import Architecture
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from whatfits.sizing.architectures.config import Config
    from whatfits.sizing.architectures.family import Blueprint
    from whatfits.sizing.model import TensorShape

__all__ = ["ARCHITECTURES"]

_CLAMP: Final = 8.0  # attn_config.clip_qkv of the published model; no byte depends on it


def _metadata(config: Config) -> dict[str, object]:
    return {
        "block_count": config.n_layers,
        "context_length": config.positive("max_position_embeddings", "max_seq_len"),
        "embedding_length": config.positive("hidden_size", "d_model"),
        "feed_forward_length": config.positive("intermediate_size", "ffn_hidden_size"),
        "attention.head_count": config.positive("num_attention_heads", "n_heads"),
        "attention.head_count_kv": config.positive("num_key_value_heads", "kv_n_heads"),
        "attention.clamp_kqv": _CLAMP,
        "attention.layer_norm_epsilon": NEUTRAL_EPSILON,
        "expert_count": config.positive("num_local_experts", "moe_num_experts"),
        "expert_used_count": config.positive("num_experts_per_tok", "moe_top_k"),
    }


def _tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    n_embd = blueprint.n_embd
    yield from blocks.ends(n_embd, blueprint.n_vocab, tied=False)
    for layer in blueprint.layers:
        prefix = f"blk.{layer}."
        yield blocks.f32(f"{prefix}attn_norm", n_embd)
        yield from blocks.attention(prefix, blueprint.widths(layer), fused=True)
        yield blocks.f32(f"{prefix}attn_output_norm", n_embd)
        yield from blocks.experts(
            prefix, n_embd=n_embd, n_ff=blueprint.n_ff(layer), n_expert=blueprint.n_expert
        )


ARCHITECTURES: Final = (Architecture("dbrx", _metadata, _tensors),)
