"""Made-up models without a cache, each with what is special about it."""

from __future__ import annotations

from typing import Any

from made_up import EMBD, Recipe, Size

_MANY_HEADS = Size(heads_kv=16)
_ENCODER: dict[str, Any] = {
    "norms": ("attn_output_norm", "layer_output_norm"),
    "bias": True,
    "first_norm": True,
    "last_norm": None,
    "headless": True,
    "keys": {"attention.causal": False, "pooling_type": 1},
}

CACHELESS: dict[str, tuple[Recipe, Size]] = {
    "dream": (Recipe(qkv_bias=True), Size()),
    "eurobert": (Recipe(headless=True, keys={"attention.causal": False}), Size()),
    "gemma-embedding": (
        Recipe(
            norms=("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"),
            qk_norm=True,
            tied=True,
            keys={"attention.sliding_window": 512, "pooling_type": 1},
        ),
        Size(),
    ),
    "jina-bert-v2": (
        Recipe(**_ENCODER, gated=False, wide_up=True, ends={"token_types.weight": (EMBD, 2)}),
        _MANY_HEADS,
    ),
    "jina-bert-v3": (
        Recipe(**_ENCODER, gated=False, ends={"token_types.weight": (EMBD, 1)}),
        _MANY_HEADS,
    ),
    "llada": (Recipe(), _MANY_HEADS),
    "llama-embed": (Recipe(), Size()),
    "llada-moe": (Recipe(qk_norm=True, dense_layers=0), Size()),
    "modern-bert": (
        Recipe(
            fused=True,
            gated=False,
            wide_up=True,
            first_norm=True,
            headless=True,
            keys={"attention.sliding_window": 128, "attention.causal": False, "pooling_type": 2},
        ),
        _MANY_HEADS,
    ),
    "rnd1": (Recipe(qk_norm=True, dense_layers=0, tied=True), Size()),
    "neo-bert": (
        Recipe(
            fused=True,
            gated=False,
            wide_up=True,
            last_norm="enc.output_norm",
            headless=True,
            keys={"attention.causal": False, "pooling_type": 2},
        ),
        Size(),
    ),
}
