"""What a tensor's name says about how it is stored: its category, and whether it is quantised.

Source: ggml-org/llama.cpp (commit 0c1e5709, 2026-10-01), src/llama-quant.cpp
(tensor_get_category, tensor_allows_quantization) and conversion/base.py (prepare_tensors).
"""

from __future__ import annotations

from functools import lru_cache

from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from typing import Final

__all__ = ["Category", "TensorClass", "classify", "split_layer"]

Category = Literal[
    "output",
    "token_embedding",
    "attention_v",
    "attention_k",
    "attention_q",
    "attention_output",
    "ffn_up",
    "ffn_gate",
    "ffn_down",
    "other",
]


class TensorClass(NamedTuple):
    """What holds for every tensor of this name, whatever its layer.

    Attributes:
        category: which mixing rules concern it.
        quantised: `llama-quantize` changes its type when it has two dimensions or more.
        kept_f32: the converter writes it as F32 in a 16-bit file too.
    """

    category: Category
    quantised: bool
    kept_f32: bool


# First match decides. Fused and compressed values (qkv, kv_b) count as attention values.
_CATEGORY_BY_PART: Final[tuple[tuple[str, Category], ...]] = (
    ("attn_qkv.weight", "attention_v"),
    ("attn_kv_b.weight", "attention_v"),
    ("attn_v.weight", "attention_v"),
    ("attn_k.weight", "attention_k"),
    ("attn_q.weight", "attention_q"),
    ("attn_output.weight", "attention_output"),
    ("ffn_up", "ffn_up"),
    ("ffn_gate", "ffn_gate"),
    ("ffn_down", "ffn_down"),
)

# Small or sensitive weights, known by a part of their name, that are left as they are.
_NEVER_QUANTISED: Final = (
    "_norm.weight",
    "ffn_gate_inp.weight",
    "ffn_gate_tid2eid.weight",
    "altup",
    "laurel",
    "per_layer_model_proj",
    "ssm_conv1d",
    "shortconv.conv.weight",
    "indexer.k_proj.weight",
    "indexer.q_proj.weight",
    *(
        f"time_mix_{part}.weight"
        for part in (
            *("first", "w0", "w1", "w2", "v0", "v1", "v2", "a0", "a1", "a2", "g1", "g2"),
            *("decay_w1", "decay_w2", "lerp_fused"),
        )
    ),
    "attn_rel_b.weight",
    ".position_embd",
    "sam.pos_embd",
    "sam.neck.",
    "sam.net_",
    ".rel_pos",
    ".patch_embd",
    ".patch_merger",
    "a.rvq.codebook",
    "mm.a.code_embd",
)
_NEVER_QUANTISED_NAMES: Final = frozenset({"position_embd.weight", "token_types.weight"})
_NEVER_QUANTISED_BY_ARCHITECTURE: Final = {
    "glm5-next": (
        "hc_",
        "indexer.attn_q_b",
        "indexer.attn_k",
        "indexer.proj",
        "indexer_compressor_gate",
        "indexer_compressor_ape",
        "ssm_f_a.weight",
        "ssm_f_b.weight",
        "ssm_g_a.weight",
        "ssm_g_b.weight",
        "ssm_beta.weight",
        "attn_kv_a_mqa.weight",
        "attn_k_b.weight",
        "attn_v_b.weight",
    )
}

# What the converter keeps at F32 besides norms, one-dimensional tensors and non-weights.
_CONVERTED_TO_F32: Final = frozenset(
    {
        "position_embd.weight",
        "token_types.weight",
        "v.position_embd.weight",
        "a.position_embd.weight",
        *(
            f"blk.{part}.weight"
            for part in (
                *("ffn_gate_inp", "ffn_gate_inp_shexp", "indexer.proj"),
                *("ssm_conv1d", "ssm_conv1d_q", "ssm_conv1d_k", "ssm_conv1d_v", "shortconv.conv"),
                *("time_mix_first", "time_mix_w1", "time_mix_w2", "time_mix_lerp_fused"),
                *("time_mix_decay_w1", "time_mix_decay_w2"),
                *("altup_correct_coef", "altup_predict_coef"),
            )
        ),
    }
)
_CONVERTED_TO_F32_BY_ARCHITECTURE: Final = {
    "glm5-next": ("hc_attn_", "hc_ffn_", "indexer_compressor_"),
    "hy_v4": ("hc_attn_fn.weight", "hc_ffn_fn.weight", "output_hc_fn.weight"),
    "minimax-m3": (".indexer.",),
}


def split_layer(name: str) -> tuple[int, str]:
    """Return (layer, name without its number): `blk.7.attn_q.weight` → (7, `blk.attn_q.weight`).

    The layer is -1 for a tensor outside the numbered blocks, as llama.cpp sorts it.
    """
    if name.startswith("blk."):
        number, dot, rest = name[4:].partition(".")
        if number.isdecimal():
            return int(number), f"blk{dot}{rest}"
    return -1, name


def _category(name: str) -> Category:
    if name == "output.weight":
        return "output"
    if name in {"token_embd.weight", "per_layer_token_embd.weight"}:
        return "token_embedding"
    for part, category in _CATEGORY_BY_PART:
        if part in name:
            return category
    return "other"


@lru_cache(maxsize=1024)
def classify(name: str, architecture: str) -> TensorClass:
    """Return the class of a tensor; `name` as `split_layer` returns it, without the number."""
    untouched = (*_NEVER_QUANTISED, *_NEVER_QUANTISED_BY_ARCHITECTURE.get(architecture, ()))
    return TensorClass(
        category=_category(name),
        quantised=name.endswith("weight")
        and name not in _NEVER_QUANTISED_NAMES
        and not any(part in name for part in untouched),
        kept_f32=name in _CONVERTED_TO_F32
        or name.endswith("_norm.weight")
        or not name.endswith((".weight", ".lora_a", ".lora_b"))
        or any(part in name for part in _CONVERTED_TO_F32_BY_ARCHITECTURE.get(architecture, ())),
    )
