"""bitsandbytes: NF4 and FP4 in blocks of 64 over the flattened matrix, and LLM.int8().

Source: bitsandbytes-foundation/bitsandbytes bitsandbytes/functional.py (quantize_4bit, QuantState),
nn/modules.py (Linear4bit, Int8Params). The small JSON of a quantisation state (`quant_state`, about
100 bytes a matrix) is left out. Error: format arithmetic; LLM.int8() none against a published index
(tests/recorded/configs).
"""

from __future__ import annotations

from whatfits.sizing.quants.layouts.parts import F32, Parts, ceil_div
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

__all__ = ["four_bit_parts", "llm_int8_parts"]

_BLOCK: Final = 64
_NESTED_BLOCK: Final = 256
_CODES: Final = 16  # entries of `quant_map`
_NESTED_CODES: Final = 256  # entries of `nested_quant_map`


def four_bit_parts(rows: int, columns: int, *, double_quantised: bool = True) -> Parts:
    """Return the stored tensors of one NF4 or FP4 matrix.

    Double quantisation stores the scales in eight bits, with a scale of their own per 256.
    """
    count = rows * columns
    blocks = ceil_div(count, _BLOCK)
    parts = {"weight": ceil_div(count, 2), "quant_map": _CODES * F32}
    if not double_quantised:
        return {**parts, "absmax": blocks * F32}
    return {
        **parts,
        "absmax": blocks,
        "nested_absmax": ceil_div(blocks, _NESTED_BLOCK) * F32,
        "nested_quant_map": _NESTED_CODES * F32,
    }


def llm_int8_parts(rows: int, columns: int) -> Parts:
    """Return `weight`, the F32 scale of each output (`SCB`) and a byte that names the order."""
    return {"weight": rows * columns, "SCB": rows * F32, "weight_format": 1}
