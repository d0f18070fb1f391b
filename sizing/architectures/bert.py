"""Encoders that keep no cache: BERT, XLM-RoBERTa (as `bert`), Nomic BERT 1 and 2, EuroBERT.

Source: llama.cpp (0c1e57098) src/models/{bert,nomic-bert,nomic-bert-moe,eurobert}.cpp;
conversion/bert.py.
"""

from __future__ import annotations

from whatfits.sizing.architectures import blocks
from whatfits.sizing.architectures.convert import NEUTRAL_EPSILON, base_metadata
from whatfits.sizing.architectures.decoder import Style, decoder_tensors
from whatfits.sizing.architectures.family import Architecture
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from whatfits.sizing.architectures.config import Config
    from whatfits.sizing.architectures.family import Blueprint
    from whatfits.sizing.model import TensorShape

__all__ = ["ARCHITECTURES"]

# RoBERTa counts positions from the padding token's id + 1; those rows are cut off.
_ROBERTA: Final = frozenset({"xlm-roberta", "roberta"})
_ROBERTA_OFFSET: Final = 2
_MEAN_POOLING: Final = 1  # llama.h, enum llama_pooling_type; as their 1_Pooling/config.json says
_RANK_POOLING: Final = 4  # what `llama-server --reranking` asks a classifier for
_RERANKER: Final = "XLMRobertaForSequenceClassification"


def _metadata(config: Config) -> dict[str, object]:
    metadata = base_metadata(config)
    for key in ("attention.key_length", "attention.value_length"):
        metadata.pop(key, None)
    if config.text("model_type") in _ROBERTA:
        padding = config.optional("pad_token_id")
        offset = _ROBERTA_OFFSET if padding is None else padding + 1
        metadata["context_length"] = config.positive("max_position_embeddings") - offset
    epsilon = config.number("layer_norm_eps", "layer_norm_epsilon")
    return {
        **metadata,
        "attention.layer_norm_epsilon": NEUTRAL_EPSILON if epsilon is None else epsilon,
        "attention.causal": False,
    }


def _bert_metadata(config: Config) -> dict[str, object]:
    metadata = _metadata(config)
    return {**metadata, "pooling_type": _RANK_POOLING} if _reranks(config) else metadata


def _reranks(config: Config) -> bool:
    """Return whether a classifier's head of one score stands on the layers."""
    return _RERANKER in (config.items("architectures") or ())


def _ends(blueprint: Blueprint) -> Iterator[TensorShape]:
    n_embd = blueprint.n_embd
    yield blocks.embedding(n_embd, blueprint.n_vocab)
    yield from blocks.norm("token_embd_norm", n_embd, bias=True)
    types = blueprint.config.optional("type_vocab_size")
    if types:
        yield blocks.f32("token_types", n_embd, types)


def _bert_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    n_embd = blueprint.n_embd
    yield from _ends(blueprint)
    yield blocks.f32("position_embd", n_embd, blueprint.metadata.integer("context_length"))
    if _reranks(blueprint.config):
        yield blocks.matrix("cls", n_embd, n_embd)
        yield blocks.vector("cls", n_embd)
        yield blocks.f32("cls.output", n_embd, 1)  # one row: no file type packs it
        yield blocks.vector("cls.output", 1)
    for layer in blueprint.layers:
        prefix = f"blk.{layer}."
        yield from blocks.attention(prefix, blueprint.widths(layer), bias=True, output_bias=True)
        yield from blocks.norm(f"{prefix}attn_output_norm", n_embd, bias=True)
        yield from blocks.dense(
            prefix, n_embd=n_embd, n_ff=blueprint.n_ff(layer), gated=False, bias=True
        )
        yield from blocks.norm(f"{prefix}layer_output_norm", n_embd, bias=True)


def _nomic_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    n_embd = blueprint.n_embd
    yield from _ends(blueprint)
    for layer in blueprint.layers:
        prefix = f"blk.{layer}."
        yield from blocks.attention(prefix, blueprint.widths(layer), fused=True)
        yield from blocks.norm(f"{prefix}attn_output_norm", n_embd, bias=True)
        yield from blocks.dense(prefix, n_embd=n_embd, n_ff=blueprint.n_ff(layer))
        yield from blocks.norm(f"{prefix}layer_output_norm", n_embd, bias=True)


def _nomic_metadata(config: Config) -> dict[str, object]:
    """Return the metadata of Nomic's models, all of which hand out the mean of the rows."""
    return {**_metadata(config), "pooling_type": _MEAN_POOLING}


def _nomic_moe_metadata(config: Config) -> dict[str, object]:
    return {
        **_nomic_metadata(config),
        "moe_every_n_layers": config.positive("moe_every_n_layers"),
        "expert_count": config.positive("num_experts"),
        "expert_used_count": config.positive("moe_top_k"),
    }


def _nomic_moe_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    """Yield the tensors: every second layer has experts, without gates or biases."""
    n_embd = blueprint.n_embd
    period = blueprint.metadata.integer("moe_every_n_layers")
    yield from _ends(blueprint)
    for layer in blueprint.layers:
        prefix, n_ff = f"blk.{layer}.", blueprint.n_ff(layer)
        yield from blocks.attention(
            prefix, blueprint.widths(layer), fused=True, bias=True, output_bias=True
        )
        yield from blocks.norm(f"{prefix}attn_output_norm", n_embd, bias=True)
        if layer % period == 1:
            yield blocks.f32(f"{prefix}ffn_gate_inp", n_embd, blueprint.n_expert)
            yield blocks.matrix(f"{prefix}ffn_up_exps", n_embd, n_ff, blueprint.n_expert)
            yield blocks.matrix(f"{prefix}ffn_down_exps", n_ff, n_embd, blueprint.n_expert)
        else:
            yield from blocks.dense(prefix, n_embd=n_embd, n_ff=n_ff, gated=False, bias=True)
        yield from blocks.norm(f"{prefix}layer_output_norm", n_embd, bias=True)


def _euro_metadata(config: Config) -> dict[str, object]:
    return {**base_metadata(config), "attention.causal": False}


def _euro_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    """Yield EuroBERT's tensors: a Llama that looks both ways, without an output matrix."""
    return decoder_tensors(blueprint, Style(tied="always"))


ARCHITECTURES: Final = (
    Architecture("bert", _bert_metadata, _bert_tensors),
    Architecture("nomic-bert", _nomic_metadata, _nomic_tensors),
    Architecture("nomic-bert-moe", _nomic_moe_metadata, _nomic_moe_tensors),
    Architecture("eurobert", _euro_metadata, _euro_tensors),
)
