"""GLM 5.3 Flash: delta attention, and latent attention whose indexer pools its keys.

Source: llama.cpp (0c1e57098) src/models/glm5-next.cpp (the metadata it reads).
"""

from __future__ import annotations

from whatfits.sizing.architectures import blocks
from whatfits.sizing.architectures.decoder import mixture_part
from whatfits.sizing.architectures.deepseek import latent_attention
from whatfits.sizing.architectures.deepseek4 import hyper_connections
from whatfits.sizing.architectures.deepseek_sparse import indexer, sparse_metadata
from whatfits.sizing.architectures.family import Architecture
from whatfits.sizing.architectures.kimi_linear import delta_attention
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from whatfits.sizing.architectures.config import Config
    from whatfits.sizing.architectures.family import Blueprint
    from whatfits.sizing.model import TensorShape

__all__ = ["ARCHITECTURES"]

_KERNEL: Final = 4
_ITERATIONS: Final = 20  # hc_sinkhorn_iters of the published model; no byte depends on it


def _metadata(config: Config) -> dict[str, object]:
    kinds = config.layer_kinds(config.n_layers)
    if kinds is None:
        raise config.error("layer_types", "missing", allowed="a list, one kind a layer")
    metadata = {
        **sparse_metadata(config),
        "attention.head_count_kv": tuple(int(kind != "linear_attention") for kind in kinds),
        "attention.indexer.kpool": config.positive("index_kpool"),
        "hyper_connection.count": config.positive("hc_mult"),
        "hyper_connection.sinkhorn_iterations": config.optional("hc_sinkhorn_iters") or _ITERATIONS,
        "hyper_connection.epsilon": config.number("hc_eps") or 1e-6,
        "kda.head_dim": config.positive("linear_head_dim"),
        "ssm.conv_kernel": config.optional("linear_conv_kernel_dim") or _KERNEL,
    }
    listed = config.items("indexer_types")
    if listed is not None:
        metadata["attention.indexer.types"] = tuple(kind == "full" for kind in listed)
    predicting = config.optional("num_nextn_predict_layers")
    if predicting:
        metadata["block_count"] = config.n_layers + predicting
        metadata["nextn_predict_layers"] = predicting
    return metadata


def _pooled_indexer(blueprint: Blueprint, prefix: str) -> Iterator[TensorShape]:
    metadata = blueprint.metadata
    length = metadata.integer("attention.indexer.key_length")
    pool = metadata.integer("attention.indexer.kpool")
    yield from indexer(blueprint, prefix)
    yield blocks.matrix(f"{prefix}indexer_compressor_gate", blueprint.n_embd, length)
    yield blocks.matrix(f"{prefix}indexer_compressor_ape", length, pool)


def _tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    metadata, n_embd = blueprint.metadata, blueprint.n_embd
    shared = metadata.integer("expert_feed_forward_length")
    shared *= metadata.integer("expert_shared_count")
    yield from blocks.ends(n_embd, blueprint.n_vocab, tied=False)
    for layer in blueprint.layers:
        prefix = f"blk.{layer}."
        yield blocks.f32(f"{prefix}attn_norm", n_embd)
        if not blueprint.predicts(layer):
            yield from hyper_connections(blueprint, prefix)
        if blueprint.geometry.recurrent[layer]:
            yield from delta_attention(blueprint, prefix)
        else:
            yield from latent_attention(blueprint, prefix, layer)
            yield from _pooled_indexer(blueprint, prefix)
        yield blocks.f32(f"{prefix}ffn_norm", n_embd)
        yield from mixture_part(blueprint, prefix, layer, selection_bias=True, shared=shared)
        if blueprint.predicts(layer):
            yield from blocks.predictor(prefix, n_embd=n_embd)


ARCHITECTURES: Final = (Architecture("glm5-next", _metadata, _tensors),)
