"""NVFP4: two E2M1 weights a byte, an E4M3 scale per 16, two F32 scales a tensor.

Source: NVIDIA/TensorRT-Model-Optimizer modelopt/torch/quantization/qtensor/nvfp4_tensor.py and
export (`weight`, `weight_scale`, `weight_scale_2`, `input_scale`); compressed-tensors stores the
same bytes as `weight_packed`, `weight_scale`, `weight_global_scale`, `input_global_scale`.
Error: format arithmetic; no published size of such a checkpoint is on file.
"""

from __future__ import annotations

from whatfits.sizing.quants.layouts.parts import F32, Parts, groups_of
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

__all__ = ["nvfp4_parts"]

_GROUP: Final = 16
_WEIGHTS_A_BYTE: Final = 2


def nvfp4_parts(rows: int, columns: int, *, quantised_inputs: bool = True) -> Parts:
    """Return the stored tensors of one matrix; `quantised_inputs` adds the activations' scale.

    Raises:
        InvalidRequestError: the row is no multiple of 16.
    """
    parts = {
        "weight": rows * columns // _WEIGHTS_A_BYTE,
        "weight_scale": rows * groups_of(columns, _GROUP),
        "weight_scale_2": F32,
    }
    return {**parts, "input_scale": F32} if quantised_inputs else parts
