"""What back ends add to the result of an operation: scratch space, kept as long as the result.

CUDA and Metal turn a cache that is not f16 into f16 before they fuse attention over it, and keep
the copy behind the result; Metal reserves it whatever the cache holds. Metal also keeps lists for
the experts' products and doubles what is sorted.
Source: llama.cpp (0c1e57098) ggml/src/ggml-cuda/fattn.cu (ggml_cuda_flash_attn_ext_get_alloc_size),
ggml/src/ggml-metal/ggml-metal.cpp (get_alloc_size) and ggml-metal-ops.cpp (the extra_ functions).
Read there. Loads on ROCm and CUDA print what comes out of it (tests/golden/test_recorded_loads.py);
of Metal none of a build that has it was found.
"""

from __future__ import annotations

from whatfits.sizing.flash_attention import CUDA_LIKE
from whatfits.sizing.graph.device_attention import reads_cache_as_it_is
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import pad

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.graph.tensor import Tensor

__all__ = ["MAY_NEED_SCRATCH", "scratch_bytes"]

MAY_NEED_SCRATCH: Final = frozenset({"FLASH_ATTN_EXT", "MUL_MAT_ID", "ARGSORT", "CUMSUM"})
"""Operations that some back end adds scratch space to."""

_F16: Final = 2
_F32: Final = 4
_CUDA_PADDING: Final = 128
_METAL_PADDING: Final = 16
_METAL_LARGEST_VECTOR_BATCH: Final = 19
_METAL_ROWS_A_GROUP: Final = 8  # OP_FLASH_ATTN_EXT_NQPSG
_METAL_CELLS_A_GROUP: Final = 64  # OP_FLASH_ATTN_EXT_NCPSG
_METAL_CELLS_A_VECTOR: Final = 32  # OP_FLASH_ATTN_EXT_VEC_NCPSG
_METAL_WORK_GROUPS: Final = 32
_METAL_SCALES: Final = 8 + 256 * _F32  # N_MM_NPART_AMAX
_MASK_AT: Final = 3


def scratch_bytes(tensor: Tensor, device_kind: str) -> int:
    """Return the bytes a back end reserves behind a result, beyond the result itself."""
    if device_kind in CUDA_LIKE:
        return _cuda_attention(tensor, device_kind) if tensor.op == "FLASH_ATTN_EXT" else 0
    if device_kind != "metal":
        return 0
    match tensor.op:
        case "FLASH_ATTN_EXT":
            return _metal_attention(tensor)
        case "MUL_MAT_ID":
            n_expert, n_tokens = tensor.srcs[0].ne[2], tensor.srcs[2].ne[1]
            return _F32 * n_expert * (1 + n_tokens) + _METAL_SCALES
        case "ARGSORT" | "CUMSUM":
            return tensor.n_bytes
        case _:
            return 0


def _cuda_attention(tensor: Tensor, device_kind: str) -> int:
    if reads_cache_as_it_is(tensor, device_kind):
        return 0
    k, v = tensor.srcs[1:3]
    size = end = tensor.n_bytes
    if k.type != "F16":
        end = pad(end, _CUDA_PADDING) + _F16 * k.n_elements
    if v.type != "F16" and v.root is not k.root:
        end = pad(end, _CUDA_PADDING) + _F16 * v.n_elements
    return end - size


def _metal_attention(tensor: Tensor) -> int:
    q, k, v = tensor.srcs[:3]
    mask = tensor.srcs[_MASK_AT] if len(tensor.srcs) > _MASK_AT else None
    shared = v.root is k.root  # latent rows: the values are the front of the keys
    copy = pad(_F16 * k.n_elements, _METAL_PADDING)
    if not shared:
        copy += pad(_F16 * v.n_elements, _METAL_PADDING)
    row_k, row_v = k.nb[1], v.nb[1]
    if q.ne[1] >= _METAL_WORK_GROUPS and k.type not in ("F16", "F32", "BF16"):
        row_k = _F16 * k.ne[0]
        row_v = row_k if shared else _F16 * v.ne[0]
    tail = row_k * k.ne[2] * k.ne[3] + row_v * v.ne[2] * v.ne[3]
    partial = min(q.ne[1], _METAL_WORK_GROUPS) * q.ne[2] * q.ne[3] * _METAL_WORK_GROUPS
    size = copy + _F32 * partial * (v.ne[0] + 2)
    if mask is not None:
        rows = mask.ne[1] * mask.ne[2] * mask.ne[3]
        tail += _F16 * rows
        size += _metal_blocks(q, mask)
    return size + _METAL_CELLS_A_GROUP * tail


def _metal_blocks(q: Tensor, mask: Tensor) -> int:
    """Return the bytes of the map of which blocks of the mask are empty."""
    vector = q.ne[1] <= _METAL_LARGEST_VECTOR_BATCH and q.ne[0] % 32 == 0
    rows_a_group = 1 if vector else _METAL_ROWS_A_GROUP
    cells_a_group = _METAL_CELLS_A_VECTOR if vector else _METAL_CELLS_A_GROUP
    rows, cells = -(-q.ne[1] // rows_a_group), -(-mask.ne[0] // cells_a_group)
    return pad(rows * cells * mask.ne[2] * mask.ne[3], 32)
