"""MiMo V2 Flash: windows with sinks and more key/value heads than the full layers, experts.

Three blocks predict further tokens; the configuration does not count them.
Source: llama.cpp (0c1e57098) src/models/mimo2.cpp; conversion/mimo.py.
"""

from __future__ import annotations

from whatfits.sizing.architectures import blocks
from whatfits.sizing.architectures.convert import NEUTRAL_EPSILON, base_metadata
from whatfits.sizing.architectures.decoder import mixture_part
from whatfits.sizing.architectures.family import Architecture
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from whatfits.sizing.architectures.config import Config
    from whatfits.sizing.architectures.family import Blueprint
    from whatfits.sizing.model import TensorShape

__all__ = ["ARCHITECTURES"]

_PREDICTING: Final = 3


def _metadata(config: Config) -> dict[str, object]:
    pattern = config.items("hybrid_layer_pattern")
    if pattern is None or len(pattern) != config.n_layers:
        reason = "missing" if pattern is None else f"a list of {len(pattern):,}"
        raise config.error("hybrid_layer_pattern", reason, allowed=f"{config.n_layers:,} values")
    windows = (*(value == 1 for value in pattern), *(True,) * _PREDICTING)
    full, window = (
        config.positive(name) for name in ("num_key_value_heads", "swa_num_key_value_heads")
    )
    share, kinds = config.number("partial_rotary_factor"), config.items("moe_layer_freq") or ()
    return {
        **base_metadata(config),
        "block_count": config.n_layers + _PREDICTING,
        "nextn_predict_layers": _PREDICTING,
        "attention.head_count_kv": tuple(window if flag else full for flag in windows),
        "attention.sliding_window": config.positive("sliding_window"),
        "attention.sliding_window_pattern": windows,
        "attention.value_length": config.positive("v_head_dim"),
        "attention.layer_norm_rms_epsilon": config.number("layernorm_epsilon") or NEUTRAL_EPSILON,
        "expert_feed_forward_length": config.positive("moe_intermediate_size"),
        "leading_dense_block_count": next((i for i, kind in enumerate(kinds) if kind), 0),
        "rope.dimension_count": int(config.head_length * (1.0 if share is None else share)),
    }


def _tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    n_embd, geometry, config = blueprint.n_embd, blueprint.geometry, blueprint.config
    sinks = {
        True: config.flag("add_swa_attention_sink_bias"),
        False: config.flag("add_full_attention_sink_bias"),
    }
    yield from blocks.ends(n_embd, blueprint.n_vocab, tied=False)
    for layer in blueprint.layers:
        prefix = f"blk.{layer}."
        yield blocks.f32(f"{prefix}attn_norm", n_embd)
        yield from blocks.attention(prefix, blueprint.widths(layer))
        if sinks[geometry.windows.layers[layer]]:
            yield blocks.f32(f"{prefix}attn_sinks", geometry.heads[layer])
        yield blocks.f32(f"{prefix}ffn_norm", n_embd)
        if blueprint.predicts(layer):
            yield from blocks.dense(prefix, n_embd=n_embd, n_ff=blueprint.n_ff(layer))
            yield from blocks.predictor(prefix, n_embd=n_embd)
        else:
            yield from mixture_part(blueprint, prefix, layer, selection_bias=True)


ARCHITECTURES: Final = (Architecture("mimo2", _metadata, _tensors),)
