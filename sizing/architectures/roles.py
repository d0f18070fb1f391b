"""Where llama.cpp puts a tensor: with the input, a layer, the output, or wherever it is used.

Source: llama.cpp (0c1e57098) src/llama-arch.cpp (tensor infos), src/llama-model.cpp load_tensors
and, for tensors without a number that are made for the first layer, src/models/*.cpp.
"""

from __future__ import annotations

import re

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.model import TensorRole

__all__ = ["block_of", "is_loaded", "role_of"]

_NUMBERED: Final = re.compile(r"(?:(?:enc|dec)\.)?(?:blk|convnext|posnet)\.(\d{1,6})\.")
_INPUT: Final = frozenset({"token_embd", "per_layer_token_embd", "position_embd", "token_types"})
_FIRST_LAYER: Final = frozenset(
    {
        "conv1d",
        "hrm",
        "nextn",
        "per_layer_model_proj",
        "per_layer_proj_norm",
        "token_embd_norm",
    }
)
_SHARED: Final = frozenset({"rope_factors_long", "rope_factors_short", "rope_freqs"})
# Their files carry the final norm under the embedding norm's name.
_NORM_OF_THE_OUTPUT: Final = frozenset({"lfm2", "lfm2moe"})
# Planning data of a speculative head that no graph reads.
_NEVER_LOADED: Final = frozenset({"masked_embd_centroids", "masked_embd_ordering"})
# Blocks that predict further tokens are skipped unless asked for, but these parts of them are
# made without that flag, so that they are loaded and never used.
_SHARED_HEAD: Final = ("nextn.embed_tokens", "nextn.shared_head_head", "nextn.shared_head_norm")
_LOADED_ALL_THE_SAME: Final = {
    "cohere2moe": _SHARED_HEAD,
    "deepseek32": ("exp_probs_b",),
    "glm-dsa": ("exp_probs_b",),
    "hy_v3": ("ffn_", "exp_probs_b", *_SHARED_HEAD),
    "step35": (
        "ffn_",
        "exp_probs_b",
        "attn_q_norm",
        "attn_k_norm",
        "attn_gate",
        *_SHARED_HEAD,
    ),
}


def _number(name: str) -> int | None:
    match = _NUMBERED.match(name)
    return None if match is None else int(match[1])


def block_of(name: str) -> int | None:
    """Return the number of the block a tensor belongs to; None outside the blocks."""
    return _number(name) if name.startswith("blk.") else None


def is_loaded(name: str, *, architecture: str, n_layers: int) -> bool:
    """Return whether a tensor is loaded by default; few of the blocks from `n_layers` on are."""
    number = _number(name)
    if number is None:
        return name.partition(".")[0] not in _NEVER_LOADED
    if number < n_layers or not name.startswith("blk."):
        return True
    prefixes = _LOADED_ALL_THE_SAME.get(architecture, ())
    part = name.split(".", 2)[2]
    return part.startswith(prefixes) and not part.startswith("ffn_norm")


def role_of(name: str, *, architecture: str, n_layers: int) -> tuple[TensorRole, int | None]:
    """Return (role, layer it follows) of a tensor; the layer is None unless the role is `layer`.

    `n_layers` counts the blocks of the file; a number beyond them is clamped to the last one.
    """
    number = _number(name)
    if number is not None:
        return "layer", min(number, max(n_layers - 1, 0))
    stem = name.partition(".")[0]
    if stem in _INPUT:
        return "input", None
    if stem == "token_embd_norm" and architecture in _NORM_OF_THE_OUTPUT:
        return "output", None
    if stem in _FIRST_LAYER and name != "nextn.post_projection.weight":
        return "layer", 0
    if stem in _SHARED:
        return "shared", None
    return "output", None
