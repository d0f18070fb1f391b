"""DeepSeek V3.2 and GLM 5: latent attention whose rows an indexer picks.

GLM 5.2 shares one layer's picks with the next ones; those have no indexer of their own.
Source: llama.cpp (0c1e57098) src/models/{deepseek32,glm-dsa}.cpp; conversion/{deepseek,glm}.py.
"""

from __future__ import annotations

from whatfits.sizing.architectures import blocks
from whatfits.sizing.architectures.decoder import mixture_part
from whatfits.sizing.architectures.deepseek import deepseek2_metadata, latent_attention
from whatfits.sizing.architectures.family import Architecture
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from whatfits.sizing.architectures.config import Config
    from whatfits.sizing.architectures.family import Blueprint
    from whatfits.sizing.model import TensorShape

__all__ = ["ARCHITECTURES", "indexer", "sparse_metadata"]

_SIGMOID: Final = 2


def sparse_metadata(config: Config) -> dict[str, object]:
    """Return the metadata of latent attention with an indexer."""
    return {
        **deepseek2_metadata(config),
        "expert_gating_func": _SIGMOID,
        "attention.indexer.head_count": config.positive("index_n_heads"),
        "attention.indexer.key_length": config.positive("index_head_dim"),
        "attention.indexer.top_k": config.positive("index_topk"),
    }


def _glm_metadata(config: Config) -> dict[str, object]:
    metadata = sparse_metadata(config)
    kinds = config.items("indexer_types")
    if kinds is not None:
        metadata["attention.indexer.types"] = tuple(kind == "full" for kind in kinds)
    predicting = config.optional("num_nextn_predict_layers")
    if predicting:
        metadata["block_count"] = config.n_layers + predicting
        metadata["nextn_predict_layers"] = predicting
    return metadata


def indexer(blueprint: Blueprint, prefix: str) -> Iterator[TensorShape]:
    """Yield the indexer of a layer."""
    metadata, n_embd = blueprint.metadata, blueprint.n_embd
    heads = metadata.integer("attention.indexer.head_count")
    length = metadata.integer("attention.indexer.key_length")
    rank = metadata.integer("attention.q_lora_rank")
    yield from blocks.norm(f"{prefix}indexer.k_norm", length, bias=True)
    yield blocks.matrix(f"{prefix}indexer.proj", n_embd, heads)
    yield blocks.matrix(f"{prefix}indexer.attn_k", n_embd, length)
    yield blocks.matrix(f"{prefix}indexer.attn_q_b", rank, heads * length)


def _has_indexer(blueprint: Blueprint, layer: int) -> bool:
    """Return whether a layer picks rows itself; blocks that predict further tokens do."""
    kinds = blueprint.config.items("indexer_types")
    if kinds is None or blueprint.metadata.architecture != "glm-dsa" or layer >= len(kinds):
        return True
    return kinds[layer] == "full"


def _tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    metadata, n_embd = blueprint.metadata, blueprint.n_embd
    n_ff = metadata.integer("expert_feed_forward_length")
    shared = n_ff * metadata.integer("expert_shared_count")
    yield from blocks.ends(n_embd, blueprint.n_vocab, tied=blueprint.config.tied())
    for layer in blueprint.layers:
        prefix = f"blk.{layer}."
        yield blocks.f32(f"{prefix}attn_norm", n_embd)
        yield from latent_attention(blueprint, prefix, layer)
        if _has_indexer(blueprint, layer):
            yield from indexer(blueprint, prefix)
        yield blocks.f32(f"{prefix}ffn_norm", n_embd)
        yield from mixture_part(blueprint, prefix, layer, selection_bias=True, shared=shared)
        if blueprint.predicts(layer):
            yield from blocks.predictor(prefix, n_embd=n_embd)


ARCHITECTURES: Final = (
    Architecture("deepseek32", sparse_metadata, _tensors),
    Architecture("glm-dsa", _glm_metadata, _tensors),
)
