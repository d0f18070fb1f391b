"""GGUF tensor names as the modules of a Hugging Face checkpoint, for lists that name modules.

Only what quantisation blocks name: the linear layers of attention, state spaces and feed-forward
parts, embeddings and the output matrix. One tensor has a name in each family's code.
Source: llama.cpp gguf-py/gguf/tensor_mapping.py.
"""

from __future__ import annotations

import re

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Final

    from whatfits.sizing.quants.layouts.name_patterns import NamePatterns

__all__ = ["gguf_part", "keeper"]

_MODULES: Final = {
    "attn_q": ("self_attn.q_proj", "attention.q_proj"),
    "attn_k": ("self_attn.k_proj", "attention.k_proj"),
    "attn_v": ("self_attn.v_proj", "attention.v_proj"),
    "attn_qkv": ("self_attn.qkv_proj", "linear_attn.in_proj_qkv", "attn.c_attn"),
    "attn_gate": ("linear_attn.in_proj_z", "self_attn.g_proj"),
    "attn_output": ("self_attn.o_proj", "attn.c_proj", "attention.o_proj", "self_attn.dense"),
    "attn_q_a": ("self_attn.q_a_proj",),
    "attn_q_b": ("self_attn.q_b_proj",),
    "attn_kv_a_mqa": ("self_attn.kv_a_proj_with_mqa",),
    "attn_kv_b": ("self_attn.kv_b_proj",),
    "attn_k_b": ("self_attn.kv_b_proj", "self_attn.embed_q"),
    "attn_v_b": ("self_attn.kv_b_proj", "self_attn.unembed_out"),
    "ffn_gate": ("mlp.gate_proj", "mlp.w2", "feed_forward.gate_proj", "mlp.gate_up_proj"),
    "ffn_up": ("mlp.up_proj", "mlp.w1", "feed_forward.up_proj", "mlp.gate_up_proj"),
    "ffn_down": ("mlp.down_proj", "mlp.c_proj", "feed_forward.down_proj"),
    "ffn_gate_exps": (
        *("mlp.experts.0.gate_proj", "block_sparse_moe.experts.0.w1", "mlp.experts.gate_up_proj"),
        "feed_forward.experts.gate_up_proj",
    ),
    "ffn_up_exps": (
        *("mlp.experts.0.up_proj", "block_sparse_moe.experts.0.w3", "mlp.experts.gate_up_proj"),
        "feed_forward.experts.gate_up_proj",
    ),
    "ffn_down_exps": (
        *("mlp.experts.0.down_proj", "block_sparse_moe.experts.0.w2", "mlp.experts.down_proj"),
        "feed_forward.experts.down_proj",
    ),
    "ffn_gate_shexp": (
        *("mlp.shared_experts.gate_proj", "mlp.shared_expert.gate_proj"),
        "feed_forward.shared_expert.gate_proj",
    ),
    "ffn_up_shexp": (
        *("mlp.shared_experts.up_proj", "mlp.shared_expert.up_proj"),
        "feed_forward.shared_expert.up_proj",
    ),
    "ffn_down_shexp": (
        *("mlp.shared_experts.down_proj", "mlp.shared_expert.down_proj"),
        "feed_forward.shared_expert.down_proj",
    ),
    "ffn_gate_inp": (
        *("mlp.gate", "block_sparse_moe.gate", "mlp.router", "feed_forward.router", "router"),
    ),
    "ffn_gate_inp_shexp": ("mlp.shared_expert_gate",),
    "ssm_out": ("linear_attn.out_proj", "mixer.out_proj", "mamba.out_proj"),
    "ssm_in": ("linear_attn.in_proj_qkvz", "mixer.in_proj", "mamba.in_proj"),
    "ssm_alpha": ("linear_attn.in_proj_a",),
    "ssm_beta": ("linear_attn.in_proj_b",),
    "ssm_ba": ("linear_attn.in_proj_ba",),
}
_ENDS: Final = {
    "output.weight": ("lm_head", "language_model.lm_head", "model.lm_head"),
    "token_embd.weight": (
        *("model.embed_tokens", "language_model.model.embed_tokens", "embed_tokens"),
        "model.language_model.embed_tokens",
    ),
}
_PREFIXES: Final = ("model.", "model.language_model.", "language_model.model.")
# The first of a tensor's names is taken, where two tensors share one
_BY_MODULE: Final = {
    module: part for part, modules in reversed(_MODULES.items()) for module in modules
}
_BY_END: Final = {module: name for name, modules in _ENDS.items() for module in modules}
_LAYER: Final = re.compile(r"blk\.(\d+)\.(\w+)\.weight")
_MODULE_LAYER: Final = re.compile(r"(?:.*\.)?layers\.(\d+)\.(.+)")


def modules_of(tensor: str) -> tuple[str, ...]:
    """Return the modules a GGUF tensor may belong to; none for what no quantisation block names."""
    if tensor in _ENDS:
        return _ENDS[tensor]
    found = _LAYER.fullmatch(tensor)
    inner = () if found is None else _MODULES.get(found[2], ())
    number = "" if found is None else found[1]
    return tuple(f"{prefix}layers.{number}.{name}" for prefix in _PREFIXES for name in inner)


def gguf_part(module: str) -> str | None:
    """Return the GGUF name of a module's matrix, None when it has none here."""
    if module in _BY_END:
        return _BY_END[module]
    found = _MODULE_LAYER.fullmatch(module)
    if found is None:
        return None
    part = _BY_MODULE.get(found[2].replace("switch_mlp.", "experts.0."))
    return None if part is None else f"blk.{found[1]}.{part}.weight"


def keeper(
    excluded: NamePatterns, *, only: NamePatterns | None = None, only_experts: bool = False
) -> Callable[[str], bool]:
    """Return whether a GGUF tensor belongs to a module that a block leaves in 16 bits.

    With `only`, whatever it does not name stays so too.
    """

    def keeps(tensor: str) -> bool:
        if only_experts and "_exps." not in tensor:
            return True
        modules = modules_of(tensor)
        if only and not _any(only, modules):
            return True
        return bool(excluded) and _any(excluded, modules)

    return keeps


def _any(patterns: NamePatterns, modules: Iterable[str]) -> bool:
    return any(patterns.matches(module) for module in modules)
