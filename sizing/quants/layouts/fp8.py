"""FP8 (E4M3): a byte a weight; one scale a tensor, a row, or a block.

Source: deepseek-ai/DeepSeek-V3 README_WEIGHTS.md (blocks of 128 x 128, `weight_scale_inv` in F32);
neuralmagic/compressed-tensors (per tensor, per channel). Error: format arithmetic; no size of such
a checkpoint is on file but that of one whole repository (239.1 GB where its tensors take 236.4).
"""

from __future__ import annotations

from whatfits.sizing.quants.layouts.parts import F32, Parts, ceil_div
from whatfits.sizing.typed import Literal, assert_never

__all__ = ["Fp8Scaling", "fp8_parts"]

Fp8Scaling = Literal["tensor", "row", "block"]


def fp8_parts(
    rows: int,
    columns: int,
    *,
    scaling: Fp8Scaling = "block",
    block: tuple[int, int] = (128, 128),
    scale_bytes: int = F32,
    static_input: bool = False,
) -> Parts:
    """Return `weight`, its scales, and with `static_input` the fixed scale of the activations.

    `block` is (rows, columns) that share a scale; blocks at the edges may be partly filled.
    `scale_bytes` is 4 for F32, 2 for BF16 scales.
    """
    parts = {"weight": rows * columns}
    match scaling:
        case "tensor":
            parts["weight_scale"] = scale_bytes
        case "row":
            parts["weight_scale"] = rows * scale_bytes
        case "block":
            blocks = ceil_div(rows, block[0]) * ceil_div(columns, block[1])
            parts["weight_scale_inv"] = blocks * scale_bytes
        case _:
            assert_never(scaling)
    if static_input:
        parts["input_scale"] = scale_bytes
    return parts
