"""Made-up models of architectures that no catalog entry has, each with what is special about it."""

from __future__ import annotations

from made_up import Recipe, Size

_ROUTED = {
    "expert_gating_func": 2,
    "expert_weights_norm": True,
    "expert_weights_scale": 2.5,
    "expert_shared_count": 1,
    "expert_shared_feed_forward_length": 512,
}
_MANY_HEADS = Size(heads_kv=16)

RECIPES: dict[str, tuple[Recipe, Size]] = {
    "apertus": (
        Recipe(
            gated=False,
            qk_norm=True,
            bare_keys={f"xielu.{key}": 0.5 for key in ("alpha_n", "alpha_p", "beta", "eps")},
        ),
        Size(),
    ),
    "arcee": (Recipe(gated=False, tied=True), Size()),
    "bailingmoe2": (
        Recipe(
            dense_layers=1,
            fused=True,
            qk_norm=True,
            shared=512,
            selection_bias=True,
            keys={**_ROUTED, "expert_group_count": 4, "expert_group_used_count": 2},
        ),
        Size(),
    ),
    "dbrx": (
        Recipe(
            norms=("attn_norm", "attn_output_norm"),
            fused=True,
            dense_layers=0,
            keys={"attention.clamp_kqv": 8.0, "feed_forward_length": 512},
        ),
        Size(),
    ),
    "deepseek": (
        Recipe(dense_layers=1, shared=1024, keys={"expert_shared_count": 2}),
        Size(),
    ),
    "dots1": (
        Recipe(qk_norm=True, dense_layers=1, shared=512, selection_bias=True, keys=_ROUTED),
        _MANY_HEADS,
    ),
    "ernie4_5": (Recipe(tied=True), Size()),
    "ernie4_5-moe": (
        Recipe(
            dense_layers=1,
            shared=1024,
            selection_bias=True,
            tied=True,
            keys={"interleave_moe_layer_step": 1, "expert_shared_feed_forward_length": 1024},
        ),
        Size(),
    ),
    "exaone-moe": (
        Recipe(
            dense_layers=1,
            qk_norm=True,
            shared=512,
            selection_bias=True,
            keys={
                **_ROUTED,
                "attention.sliding_window": 512,
                "attention.sliding_window_pattern": 4,
            },
        ),
        Size(),
    ),
    "gpt2": (
        Recipe(fused=True, bias=True, gated=False, positions=True, tied=True),
        _MANY_HEADS,
    ),
    "gptneox": (
        Recipe(fused=True, bias=True, gated=False, keys={"use_parallel_residual": True}),
        _MANY_HEADS,
    ),
    "hunyuan-dense": (Recipe(qk_norm=True, tied=True), Size()),
    "hunyuan-moe": (
        Recipe(
            qk_norm=True,
            dense_layers=0,
            shared=1024,
            keys={"feed_forward_length": 512, "expert_shared_feed_forward_length": 1024},
        ),
        Size(),
    ),
    "hunyuan_vl": (
        Recipe(qk_norm=True, keys={"rope.dimension_sections": [16, 16, 16, 16]}),
        Size(),
    ),
    "mimo2": (
        Recipe(
            dense_layers=1,
            key_length=96,
            sinks=True,
            selection_bias=True,
            keys={
                "attention.sliding_window": 512,
                "attention.sliding_window_pattern": [True, True, True, False, True, True, True],
                "attention.value_scale": 0.7,
            },
        ),
        Size(),
    ),
    "qwen": (
        Recipe(fused=True, qkv_bias=True, keys={"feed_forward_length": 2 * Size().ff}),
        _MANY_HEADS,
    ),
    "qwen2moe": (
        Recipe(
            dense_layers=0,
            shared=1024,
            shared_gate=True,
            keys={"expert_shared_feed_forward_length": 1024},
        ),
        Size(),
    ),
    "bloom": (
        Recipe(fused=True, bias=True, gated=False, first_norm=True, tied=True),
        _MANY_HEADS,
    ),
    "codeshell": (Recipe(fused=True, bias=True, gated=False), Size()),
    "deci": (
        Recipe(
            heads_by_layer=((16, 4), (16, 0), (0, 0), (16, 4), (16, 4), (0, 0), (16, 4)),
            keys={
                "attention.head_count": [16, 16, 0, 16, 16, 0, 16],
                "attention.head_count_kv": [4, 0, 0, 4, 4, 0, 4],
            },
        ),
        Size(),
    ),
    "jais2": (Recipe(bias=True, gated=False), _MANY_HEADS),
    "maincoder": (Recipe(qk_norm=True, tied=True), Size()),
    "paddleocr": (Recipe(tied=True, keys={"rope.dimension_sections": [16, 24, 24, 0]}), Size()),
    "pangu-embedded": (Recipe(attention_bias=True), Size()),
    "bailingmoe": (
        Recipe(dense_layers=0, shared=512, keys={"expert_shared_count": 1}),
        Size(),
    ),
    "jais": (
        Recipe(fused=True, bias=True, keys={"attention.max_alibi_bias": 8.0}),
        _MANY_HEADS,
    ),
    "minicpm": (Recipe(tied=True), Size()),
    "mpt": (
        Recipe(
            fused=True,
            gated=False,
            tied=True,
            keys={"attention.clamp_kqv": 8.0, "attention.max_alibi_bias": 8.0},
        ),
        _MANY_HEADS,
    ),
    "olmo": (
        Recipe(norms=(), last_norm=None, tied=True, keys={"attention.clamp_kqv": 8.0}),
        Size(),
    ),
    "orion": (Recipe(norm_bias=True), Size()),
    "plamo": (Recipe(norms=("attn_norm",)), Size()),
    "refact": (Recipe(tied=True), Size(heads_kv=1)),
    "starcoder": (
        Recipe(fused=True, bias=True, gated=False, positions=True, tied=True),
        Size(heads_kv=1),
    ),
    "xverse": (Recipe(), _MANY_HEADS),
}

# Models without a cache; attention among the tokens of a micro-batch.
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
    "llada": (Recipe(), _MANY_HEADS),
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
