"""The storage types as ggml publishes them: number, elements of a block, bits a weight."""

from __future__ import annotations

import pytest

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.quants.ggml_types import (
    GGML_TYPES,
    GGML_TYPES_BY_ID,
    RETIRED_TYPE_IDS,
    row_bytes,
    tensor_bytes,
)

# enum ggml_type of ggml.h; bits a weight as llama.cpp's tables of quantisations have them
PUBLISHED = {
    "F32": (0, 1, 32),
    "F16": (1, 1, 16),
    "Q4_0": (2, 32, 4.5),
    "Q4_1": (3, 32, 5),
    "Q5_0": (6, 32, 5.5),
    "Q5_1": (7, 32, 6),
    "Q8_0": (8, 32, 8.5),
    "Q8_1": (9, 32, 9),
    "Q2_K": (10, 256, 2.625),
    "Q3_K": (11, 256, 3.4375),
    "Q4_K": (12, 256, 4.5),
    "Q5_K": (13, 256, 5.5),
    "Q6_K": (14, 256, 6.5625),
    "Q8_K": (15, 256, 9.125),
    "IQ2_XXS": (16, 256, 2.0625),
    "IQ2_XS": (17, 256, 2.3125),
    "IQ3_XXS": (18, 256, 3.0625),
    "IQ1_S": (19, 256, 1.5625),
    "IQ4_NL": (20, 32, 4.5),
    "IQ3_S": (21, 256, 3.4375),
    "IQ2_S": (22, 256, 2.5625),
    "IQ4_XS": (23, 256, 4.25),
    "I8": (24, 1, 8),
    "I16": (25, 1, 16),
    "I32": (26, 1, 32),
    "I64": (27, 1, 64),
    "F64": (28, 1, 64),
    "IQ1_M": (29, 256, 1.75),
    "BF16": (30, 1, 16),
    "TQ1_0": (34, 256, 1.6875),
    "TQ2_0": (35, 256, 2.0625),
    "MXFP4": (39, 32, 4.25),
    "NVFP4": (40, 64, 4.5),
    "Q1_0": (41, 128, 1.125),
    "Q2_0": (42, 64, 2.25),
}


def test_every_type_has_the_number_block_and_bits_that_are_published() -> None:
    assert {
        kind.name: (kind.id, kind.block_elements, kind.bits_per_weight)
        for kind in GGML_TYPES.values()
    } == PUBLISHED
    assert {number: kind.name for number, kind in GGML_TYPES_BY_ID.items()} == {
        number: name for name, (number, _, _) in PUBLISHED.items()
    }


def test_numbers_between_that_mean_no_type_are_the_ones_ggml_took_back() -> None:
    given = {number for number, _, _ in PUBLISHED.values()}
    assert set(range(43)) - given == RETIRED_TYPE_IDS


def test_a_row_is_whole_blocks_and_a_tensor_whole_rows() -> None:
    assert row_bytes("Q4_K", 4096) == 16 * 144
    assert tensor_bytes("Q4_K", (4096, 3, 5)) == 16 * 144 * 15
    assert tensor_bytes("F32", (7,)) == 28
    for elements in (255, 257, 128):
        with pytest.raises(InvalidRequestError, match="a multiple of 256"):
            row_bytes("Q4_K", elements)
