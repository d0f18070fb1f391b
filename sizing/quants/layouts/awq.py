"""AWQ (GEMM): four-bit weights, scales and zero points per group of input channels.

Source: casper-hansen/AutoAWQ awq/modules/linear/gemm.py (WQLinear_GEMM buffers). Error: none
against published checkpoints (tests/sizing/quants/layouts).
"""

from __future__ import annotations

from whatfits.sizing.quants.layouts.parts import HALF, INT32, Parts, groups_of, packed_words
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

__all__ = ["awq_parts"]

_BITS: Final = 4


def awq_parts(rows: int, columns: int, *, group: int = 128) -> Parts:
    """Return `qweight`, `qzeros` and `scales` of one matrix; eight outputs share a word.

    Raises:
        InvalidRequestError: the row is no multiple of the group, or outputs do not fill words.
    """
    groups, words = groups_of(columns, group), packed_words(rows, _BITS)
    return {
        "qweight": columns * words * INT32,
        "qzeros": groups * words * INT32,
        "scales": groups * rows * HALF,
    }
