"""GPTQ: weights packed along the input, scales and packed zeros per group, an index per input.

Source: AutoGPTQ/AutoGPTQ auto_gptq/nn_modules/qlinear/qlinear_cuda_old.py (buffers); GPTQModel
keeps them. Error: none against published checkpoints (tests/sizing/quants/layouts).
"""

from __future__ import annotations

from whatfits.sizing.quants.layouts.parts import HALF, INT32, Parts, groups_of, packed_words

__all__ = ["gptq_parts"]


def gptq_parts(rows: int, columns: int, *, bits: int = 4, group: int = 128) -> Parts:
    """Return `qweight`, `qzeros`, `scales` and `g_idx` of one matrix; group -1 is a whole row.

    `g_idx` is stored whether or not channels were reordered (`desc_act`).

    Raises:
        InvalidRequestError: the row is no multiple of the group, or numbers do not fill words.
    """
    groups = groups_of(columns, group)
    return {
        "qweight": packed_words(columns, bits) * rows * INT32,
        "qzeros": groups * packed_words(rows, bits) * INT32,
        "scales": groups * rows * HALF,
        "g_idx": columns * INT32,
    }
