"""Made-up models of architectures that no catalog entry has, each with what is special about it."""

from __future__ import annotations

from made_up import EMBD, Recipe, Size

_ROUTED = {
    "expert_gating_func": 2,
    "expert_weights_norm": True,
    "expert_weights_scale": 2.5,
    "expert_shared_count": 1,
    "expert_shared_feed_forward_length": 512,
}
_WINDOWS = {
    "attention.sliding_window": 512,
    "attention.sliding_window_pattern": [True, True, True, False, True, True, True],
}
_MANY_HEADS = Size(heads_kv=16)
_UNFOLDED = {
    "attn_kv_a_mqa.weight": (EMBD, 256 + 32),
    "attn_kv_a_norm.weight": (256,),
    "attn_kv_b.weight": (256, 16 * (64 + 64)),
}
_UNFOLDED_KEYS = {"attention.kv_lora_rank": 256, "rope.dimension_count": 32}

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
    "afmoe": (
        Recipe(
            norms=("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"),
            qk_norm=True,
            dense_layers=1,
            shared=512,
            selection_bias=True,
            more={"attn_gate.weight": (EMBD, EMBD)},
            keys={**_ROUTED, **_WINDOWS},
        ),
        Size(),
    ),
    "arctic": (
        Recipe(
            norms=("attn_norm", "ffn_norm", "ffn_norm_exps"),
            dense_layers=0,
            more={f"ffn_{name}.weight": (EMBD, EMBD) for name in ("gate", "up", "down")},
            keys={"feed_forward_length": 512},
        ),
        Size(),
    ),
    "cohere2moe": (
        Recipe(
            norms=("attn_norm",),
            dense_layers=1,
            shared=512,
            keys={**_ROUTED, "attention.sliding_window": 512, "logit_scale": 0.5},
        ),
        Size(),
    ),
    "granite_swa": (
        Recipe(
            sinks=True,
            dense_layers=0,
            more={"ffn_up_shexp.weight": (EMBD, 1024), "ffn_down_shexp.weight": (512, EMBD)},
            keys={
                **_WINDOWS,
                "feed_forward_length": 512,
                "expert_shared_feed_forward_length": 512,
                "attention.rope_pattern": [True, True, False, True, True, False, True],
                "logit_scale": 8.0,
                "residual_scale": 0.2,
                "embedding_scale": 12.0,
            },
        ),
        Size(),
    ),
    "grovemoe": (
        Recipe(
            qk_norm=True,
            dense_layers=0,
            more={
                "ffn_gate_chexps.weight": (EMBD, 128, 4),
                "ffn_up_chexps.weight": (EMBD, 128, 4),
                "ffn_down_chexps.weight": (128, EMBD, 4),
            },
            keys={
                "experts_per_group": 2,
                "expert_group_scale": 0.05,
                "expert_chunk_feed_forward_length": 128,
            },
        ),
        Size(),
    ),
    "minicpm3": (
        Recipe(
            norms=("attn_norm", "ffn_norm"),
            key_length=96,
            tied=True,
            dropped=("attn_q.", "attn_k.", "attn_v."),
            more={
                "attn_q_a.weight": (EMBD, 384),
                "attn_q_a_norm.weight": (384,),
                "attn_q_b.weight": (384, 16 * 96),
                **_UNFOLDED,
            },
            keys={"attention.q_lora_rank": 384, **_UNFOLDED_KEYS},
        ),
        _MANY_HEADS,
    ),
    "openelm": (
        Recipe(
            fused=True,
            qk_norm=True,
            tied=True,
            keys={
                "attention.head_count": [16] * 7,
                "attention.head_count_kv": [4] * 7,
                "feed_forward_length": [2816] * 7,
            },
        ),
        Size(),
    ),
    "plamo3": (
        Recipe(
            fused=True,
            qk_norm=True,
            gated=False,
            wide_up=True,
            more={"post_attention_norm": (EMBD,), "post_ffw_norm": (EMBD,)},
            keys=_WINDOWS,
        ),
        Size(),
    ),
    "step35": (
        Recipe(
            qk_norm=True,
            dense_layers=1,
            shared=512,
            selection_bias=True,
            more={"attn_gate.weight": (EMBD, Size().heads)},
            keys={
                **_ROUTED,
                **_WINDOWS,
                "swiglu_clamp_exp": [0.0, 0.0, 0.0, 0.0, 0.0, 7.0, 7.0],
                "swiglu_clamp_shexp": [7.0, 0.0, 0.0, 0.0, 0.0, 0.0, 16.0],
            },
        ),
        Size(),
    ),
    "smallthinker": (
        Recipe(
            dense_layers=0,
            keys={"expert_gating_func": 2, "attention.sliding_window": 4096},
        ),
        Size(),
    ),
}

# Models that llama.cpp cannot run with fused attention: it turns it off (Grok) or ends (PLM).
UNFUSED: dict[str, tuple[Recipe, Size]] = {
    "grok": (
        Recipe(
            norms=("attn_norm", "attn_output_norm", "ffn_norm", "post_ffw_norm"),
            dense_layers=0,
            more={
                "ffn_gate.weight": (EMBD, Size().ff),
                "ffn_up.weight": (EMBD, Size().ff),
                "ffn_down.weight": (Size().ff, EMBD),
            },
        ),
        Size(),
    ),
    "plm": (
        Recipe(
            key_length=96,
            gated=False,
            tied=True,
            dropped=("attn_k.", "attn_v."),
            more=_UNFOLDED,
            keys=_UNFOLDED_KEYS,
        ),
        _MANY_HEADS,
    ),
}
