"""GGUF tensor names as the modules of a Hugging Face checkpoint, for lists that name modules.

Only what quantisation blocks name: the linear layers of attention and feed-forward parts.
Source: llama.cpp gguf-py/gguf/tensor_mapping.py.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["gguf_part", "keeper"]

_MODULES: Final = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_qkv": "self_attn.qkv_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_a": "self_attn.q_a_proj",
    "attn_q_b": "self_attn.q_b_proj",
    "attn_kv_a_mqa": "self_attn.kv_a_proj_with_mqa",
    "attn_kv_b": "self_attn.kv_b_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "ffn_gate_exps": "mlp.experts.0.gate_proj",
    "ffn_up_exps": "mlp.experts.0.up_proj",
    "ffn_down_exps": "mlp.experts.0.down_proj",
    "ffn_gate_shexp": "mlp.shared_experts.gate_proj",
    "ffn_up_shexp": "mlp.shared_experts.up_proj",
    "ffn_down_shexp": "mlp.shared_experts.down_proj",
    "ffn_gate_inp": "mlp.gate",
    "ffn_gate_inp_shexp": "mlp.shared_expert_gate",
}
_BY_MODULE: Final = {module: part for part, module in _MODULES.items()}
_LAYER: Final = re.compile(r"blk\.(\d+)\.(\w+)\.weight")
_MODULE_LAYER: Final = re.compile(r"(?:.*\.)?layers\.(\d+)\.(.+)")
_PATTERN: Final = "re:"
_MAX_NAMES: Final = 20_000


def module_of(tensor: str) -> str | None:
    """Return the module of a GGUF tensor, None for what no quantisation block names."""
    found = _LAYER.fullmatch(tensor)
    module = None if found is None else _MODULES.get(found[2])
    return None if found is None or module is None else f"model.layers.{found[1]}.{module}"


def gguf_part(module: str) -> str | None:
    """Return the part of a GGUF name that a module has, None when it has no GGUF name here."""
    found = _MODULE_LAYER.fullmatch(module)
    if found is None:
        return None
    inner = (
        found[2].replace("switch_mlp.", "experts.0.").replace("shared_expert.", "shared_experts.")
    )
    part = _BY_MODULE.get(inner)
    return None if part is None else f"blk.{found[1]}.{part}.weight"


def keeper(excluded: Iterable[str], *, only_experts: bool = False) -> Callable[[str], bool]:
    """Return whether a GGUF tensor belongs to a module that a block leaves in 16 bits.

    A name in the list means the module itself, everything below it, or its last part
    (`lm_head`, `gate`), as the libraries take it. A regular expression (`re:…`) is never run on
    behalf of a stranger: it would have to be trusted not to run for ever.
    """
    names = {name.rstrip(".*") for name in excluded if not name.startswith(_PATTERN)}

    def keeps(tensor: str) -> bool:
        if only_experts and "_exps." not in tensor:
            return True
        module = module_of(tensor)
        if module is None or not names or len(names) > _MAX_NAMES:
            return False
        parts = module.split(".")
        return any(
            ".".join(parts[start:end]) in names
            for start in range(len(parts))
            for end in range(start + 1, len(parts) + 1)
        )

    return keeps
