"""Hunyuan: dense (V1), with experts (A13B) and version 3.

Source: llama.cpp (0c1e57098) src/models/{hunyuan-dense,hunyuan-moe,hy-v3}.cpp;
conversion/hunyuan.py.
"""

from __future__ import annotations

from whatfits.sizing.architectures.convert import base_metadata
from whatfits.sizing.architectures.decoder import Style, decoder, decoder_tensors, mixture_part
from whatfits.sizing.architectures.family import Architecture
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from whatfits.sizing.architectures.config import Config
    from whatfits.sizing.architectures.family import Blueprint
    from whatfits.sizing.model import TensorShape

__all__ = ["ARCHITECTURES"]

_STYLE: Final = Style(tied_default=True, qk_norm="head")


def _first(config: Config, *names: str) -> int:
    """Return a count that some configurations repeat for every layer."""
    for name in names:
        listed = config.items(name)
        if listed:
            (value,) = {item for item in listed if isinstance(item, int)} or {0}
            return value
    return config.optional(*names) or 0


def _moe_metadata(config: Config) -> dict[str, object]:
    plain = config.without("num_experts_per_tok", "moe_topk", "num_shared_expert")
    width = _first(config, "moe_intermediate_size", "intermediate_size")
    return {
        **base_metadata(plain),
        "expert_used_count": _first(config, "moe_topk", "num_experts_per_tok"),
        "expert_feed_forward_length": width,
        "expert_shared_feed_forward_length": config.positive("intermediate_size")
        * max(1, _first(config, "num_shared_expert")),
    }


def _moe_part(blueprint: Blueprint, prefix: str, layer: int) -> Iterator[TensorShape]:
    shared = blueprint.metadata.integer("expert_shared_feed_forward_length")
    return mixture_part(blueprint, prefix, layer, selection_bias=False, shared=shared)


def _moe_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    return decoder_tensors(blueprint, _STYLE, _moe_part)


def _v3_metadata(config: Config) -> dict[str, object]:
    kinds = config.items("mlp_layer_types") or ()
    dense = config.optional("first_k_dense_replace")
    width = config.positive("moe_intermediate_size")
    metadata = {
        **base_metadata(config),
        "expert_gating_func": 2,
        "leading_dense_block_count": kinds.count("dense") if dense is None else dense,
        "expert_feed_forward_length": width,
        "expert_shared_feed_forward_length": width * (config.optional("num_shared_experts") or 1),
    }
    predicting = config.optional("num_nextn_predict_layers")
    if predicting:
        metadata["block_count"] = config.n_layers + predicting
        metadata["nextn_predict_layers"] = predicting
    return metadata


def _v3_part(blueprint: Blueprint, prefix: str, layer: int) -> Iterator[TensorShape]:
    shared = blueprint.metadata.integer("expert_shared_feed_forward_length")
    for tensor in mixture_part(blueprint, prefix, layer, selection_bias=True, shared=shared):
        # The selection bias of this architecture has a name without an ending.
        yield replace(tensor, name=tensor.name.replace("exp_probs_b.bias", "exp_probs_b"))


def _v3_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    return decoder_tensors(blueprint, Style(qk_norm="head"), _v3_part)


ARCHITECTURES: Final = (
    Architecture("hunyuan-dense", base_metadata, decoder(_STYLE)),
    Architecture("hunyuan-moe", _moe_metadata, _moe_tensors),
    Architecture("hy_v3", _v3_metadata, _v3_tensors),
)
