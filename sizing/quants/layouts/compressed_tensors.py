"""compressed-tensors (llm-compressor): packed integers, eight-bit integers, MXFP4.

Source: neuralmagic/compressed-tensors src/compressed_tensors/compressors/quantized_compressors
(pack_quantized.py, naive_quantized.py, fp4_quantized.py). FP8 and NVFP4 checkpoints of this library
have the bytes of `fp8` and `nvfp4`. Error: format arithmetic.
"""

from __future__ import annotations

from whatfits.sizing.quants.layouts.parts import (
    HALF,
    INT32,
    Parts,
    ceil_div,
    groups_of,
)
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

__all__ = ["int8_parts", "mxfp4_parts", "pack_quantized_parts"]

_WORD_BITS: Final = 32
_SHAPE_BYTES: Final = 2 * 8  # `weight_shape`: two int64
_MXFP4_GROUP: Final = 32


def pack_quantized_parts(
    rows: int,
    columns: int,
    *,
    bits: int = 4,
    group: int = 128,
    symmetric: bool = True,
    reordered: bool = False,
) -> Parts:
    """Return `weight_packed`, `weight_scale`, `weight_shape` (W4A16, W8A16) of one matrix.

    Asymmetric schemes add packed zero points, reordered channels (`actorder: group`) an index.
    Words at the end of a row or column may be partly filled.

    Raises:
        InvalidRequestError: the row is no multiple of the group.
    """
    groups, per_word = groups_of(columns, group), _WORD_BITS // bits
    parts = {
        "weight_packed": rows * ceil_div(columns, per_word) * INT32,
        "weight_scale": rows * groups * HALF,
        "weight_shape": _SHAPE_BYTES,
    }
    if not symmetric:
        parts["weight_zero_point"] = ceil_div(rows, per_word) * groups * INT32
    if reordered:
        parts["weight_g_idx"] = columns * INT32
    return parts


def int8_parts(rows: int, columns: int) -> Parts:
    """Return `weight` and a scale per output (W8A8, SmoothQuant) of one matrix."""
    return {"weight": rows * columns, "weight_scale": rows * HALF}


def mxfp4_parts(rows: int, columns: int) -> Parts:
    """Return two E2M1 weights a byte and an E8M0 scale per 32 of one matrix.

    Raises:
        InvalidRequestError: the row is no multiple of 32.
    """
    return {
        "weight_packed": rows * columns // 2,
        "weight_scale": rows * groups_of(columns, _MXFP4_GROUP),
    }
