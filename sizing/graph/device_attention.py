"""Fused attention as devices run it: whether at all, and by which kind of kernel.

CUDA's vector kernel reads a cache in its own types and is taken for a token or two; every other one
reads f16. Whether a card is new (8.9 and up) decides nothing but the attention of a token or two,
of which an older one copies more: all are taken to be new.
Source: llama.cpp (0c1e57098) ggml/src/ggml-cuda/fattn.cu (ggml_cuda_get_best_fattn_kernel,
ggml_cuda_get_fattn_vec_case). Error: none against dry runs on an H200
(tests/recorded/llama_cpp/cuda.json).
"""

from __future__ import annotations

from whatfits.sizing.flash_attention import COMPILED_TYPES, CUDA_LIKE, UNFUSED_TYPE, can_fuse
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.graph.tensor import Tensor

__all__ = ["fuses_attention", "reads_cache_as_it_is"]

_CUDA: Final = "cuda"
_MASK_AT: Final = 3
_PLAIN: Final = frozenset({"F32", "F16", "BF16"})
_VECTOR_MULTIPLE: Final = 64
_VECTOR_WIDEST: Final = 256
_NO_VECTOR: Final = 192
_CELLS_MULTIPLE: Final = 256
_MOST_QUANTISED_TOKENS: Final = 2
# query heads a key head beyond which long caches and wide heads are left to the matrix units
_MOST_GROUPED: Final = 4
_LONG_CELLS: Final = 8192


def fuses_attention(tensor: Tensor, device_kind: str) -> bool:
    """Return whether a kind of device can run a FLASH_ATTN_EXT."""
    q, k, v = tensor.srcs[:3]
    if device_kind in CUDA_LIKE:
        mask = tensor.srcs[_MASK_AT] if len(tensor.srcs) > _MASK_AT else None
        if UNFUSED_TYPE.upper() in (k.type, v.type) or (mask is not None and mask.ne[2] != 1):
            return False
    return can_fuse(device_kind, k.ne[0], v.ne[0], q.ne[2] // k.ne[2])


def reads_cache_as_it_is(tensor: Tensor, device_kind: str) -> bool:
    """Return whether CUDA's kernel for a FLASH_ATTN_EXT makes no f16 copy of the cache."""
    q, k, v = tensor.srcs[:3]
    compiled = k.type == v.type and k.type.lower() in COMPILED_TYPES
    return compiled and _takes_vectors(q, k, v, device_kind)


def _takes_vectors(q: Tensor, k: Tensor, v: Tensor, device_kind: str) -> bool:
    width, tokens, cells = q.ne[0], q.ne[1], k.ne[1]
    if width > _VECTOR_WIDEST or width % _VECTOR_MULTIPLE or width == _NO_VECTOR:
        return False
    if cells % _CELLS_MULTIPLE:
        return False
    if not {k.type, v.type} <= _PLAIN:
        return tokens <= _MOST_QUANTISED_TOKENS
    if tokens > 1:
        return False
    group = q.ne[2] // k.ne[2]
    if group == 1:
        return True
    if device_kind != _CUDA or q.ne[3] > 1:
        return False
    return group <= _MOST_GROUPED or (width < _VECTOR_WIDEST and cells < _LONG_CELLS)
