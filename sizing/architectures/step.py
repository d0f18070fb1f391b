"""Step 3.5 and 3.7 Flash: windows with their own head counts, a gate a head, experts.

Source: llama.cpp (0c1e57098) src/models/step35.cpp; conversion/step3.py.
"""

from __future__ import annotations

from whatfits.sizing.architectures.convert import base_metadata, rope_factor_count
from whatfits.sizing.architectures.decoder import Style, decoder_tensors, dense_part, mixture_part
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
    predicting = config.optional("num_nextn_predict_layers") or 0
    total = config.n_layers + predicting
    kinds = config.items("layer_types") or ()
    windows = tuple(kind == "sliding_attention" for kind in kinds[:total])
    windows += (False,) * (total - len(windows))
    full = (
        config.positive("num_attention_heads"),
        config.positive("num_attention_groups", "num_key_value_heads"),
    )
    other = config.mapping("attention_other_setting")
    window = (
        other.optional("num_attention_heads") or full[0],
        other.optional("num_attention_groups") or full[1],
    )
    metadata = {
        **base_metadata(config),
        "block_count": total,
        "attention.head_count": tuple((window if flag else full)[0] for flag in windows),
        "attention.head_count_kv": tuple((window if flag else full)[1] for flag in windows),
        "attention.sliding_window": config.positive("sliding_window"),
        "attention.sliding_window_pattern": windows,
        "attention.key_length": config.head_length,
        "attention.value_length": config.head_length,
        "expert_count": config.positive("moe_num_experts", "num_experts"),
        "expert_used_count": config.positive("moe_top_k", "num_experts_per_tok"),
        "expert_feed_forward_length": config.positive("moe_intermediate_size"),
        "expert_shared_feed_forward_length": config.positive("share_expert_dim"),
        "leading_dense_block_count": _dense_layers(config),
        "rope.dimension_count": config.head_length,
        **_limits(config, total),
    }
    return {**metadata, "nextn_predict_layers": predicting} if predicting else metadata


def _limits(config: Config, total: int) -> dict[str, object]:
    """Return the limits of gates by layer, where the configuration has any; 0 means none."""
    found: dict[str, object] = {}
    for name, key in (("swiglu_limits", "exp"), ("swiglu_limits_shared", "shexp")):
        listed = config.items(name)
        if listed is not None:
            limits = [float(x) if isinstance(x, (int, float)) else 0.0 for x in listed[:total]]
            found[f"swiglu_clamp_{key}"] = (*limits, *(0.0,) * (total - len(limits)))
    return found


def _dense_layers(config: Config) -> int:
    """Return the layers before the first one with experts, listed as text in some versions."""
    listed = config.text("moe_layers_enum")
    if listed:
        return min(int(item) for item in listed.split(",") if item.strip().isdecimal())
    return config.optional("first_k_dense_replace") or 0


def _part(blueprint: Blueprint, prefix: str, layer: int) -> Iterator[TensorShape]:
    if blueprint.predicts(layer):
        return dense_part(blueprint, prefix, layer, style=Style())
    shared = blueprint.metadata.integer("expert_shared_feed_forward_length")
    return mixture_part(blueprint, prefix, layer, selection_bias=True, shared=shared)


def _tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    factors = rope_factor_count(blueprint.config)
    style = Style(
        tied="never",
        qk_norm="head",
        attention_gate="head",
        rope_factors=(("rope_freqs", factors),) if factors else (),
    )
    return decoder_tensors(blueprint, style, _part)


ARCHITECTURES: Final = (Architecture("step35", _metadata, _tensors),)
