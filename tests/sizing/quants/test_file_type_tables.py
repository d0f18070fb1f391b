"""File types as include/llama.h numbers them and as llama-quantize offers them."""

from __future__ import annotations

import pytest

from whatfits.sizing.errors import UnknownFileTypeError
from whatfits.sizing.quants.file_types import (
    FILE_TYPES,
    FileType,
    file_type_of_id,
    find_file_type,
    find_kv_type,
)

# LLAMA_FTYPE_* (0c1e57098): number, type of most tensors
NUMBERS = {
    "F32": (0, "F32"),
    "F16": (1, "F16"),
    "Q4_0": (2, "Q4_0"),
    "Q4_1": (3, "Q4_1"),
    "Q8_0": (7, "Q8_0"),
    "Q5_0": (8, "Q5_0"),
    "Q5_1": (9, "Q5_1"),
    "Q2_K": (10, "Q2_K"),
    "Q3_K_S": (11, "Q3_K"),
    "Q3_K_M": (12, "Q3_K"),
    "Q3_K_L": (13, "Q3_K"),
    "Q4_K_S": (14, "Q4_K"),
    "Q4_K_M": (15, "Q4_K"),
    "Q5_K_S": (16, "Q5_K"),
    "Q5_K_M": (17, "Q5_K"),
    "Q6_K": (18, "Q6_K"),
    "IQ2_XXS": (19, "IQ2_XXS"),
    "IQ2_XS": (20, "IQ2_XS"),
    "Q2_K_S": (21, "Q2_K"),
    "IQ3_XS": (22, "IQ3_S"),
    "IQ3_XXS": (23, "IQ3_XXS"),
    "IQ1_S": (24, "IQ1_S"),
    "IQ4_NL": (25, "IQ4_NL"),
    "IQ3_S": (26, "IQ3_S"),
    "IQ3_M": (27, "IQ3_S"),
    "IQ2_S": (28, "IQ2_XS"),
    "IQ2_M": (29, "IQ2_S"),
    "IQ4_XS": (30, "IQ4_XS"),
    "IQ1_M": (31, "IQ1_M"),
    "BF16": (32, "BF16"),
    "TQ1_0": (36, "TQ1_0"),
    "TQ2_0": (37, "TQ2_0"),
    "MXFP4_MOE": (38, "MXFP4"),
    "NVFP4": (39, "NVFP4"),
    "Q1_0": (40, "Q1_0"),
    "Q2_0": (41, "Q2_0"),
}
# what the tool says it refuses without an importance matrix
WANT_IMATRIX = {
    *("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M"),
    *("IQ3_XXS", "IQ3_XS", "Q2_K_S"),
}


def stock() -> dict[str, FileType]:
    return {kind.name: kind for kind in FILE_TYPES.values() if kind.name == kind.stock_name}


def test_every_file_type_has_the_number_and_the_type_of_llama_h() -> None:
    assert {name: (kind.id, kind.default_type) for name, kind in stock().items()} == NUMBERS
    for name, (number, _) in NUMBERS.items():
        assert file_type_of_id(number) is FILE_TYPES[name]


def test_what_the_tool_offers_and_what_it_wants_for_it() -> None:
    assert {name for name, kind in stock().items() if kind.wants_imatrix} == WANT_IMATRIX
    assert {name for name, kind in stock().items() if not kind.offered} == {"NVFP4"}
    assert {name for name, kind in FILE_TYPES.items() if kind.is_float} == {"F32", "F16", "BF16"}
    for kind in stock().values():
        assert (kind.token_embedding_type, kind.output_type) == (None, None)


@pytest.mark.parametrize("name", ["Q4_1_SOME_F16", "q4_2", "Q4_3", "q4044", "Q4_0_4_8", "q4_0_8_8"])
def test_names_of_files_that_are_no_longer_read_say_so(name: str) -> None:
    with pytest.raises(UnknownFileTypeError, match="no longer reads it"):
        find_file_type(name)


def test_a_name_far_from_any_gets_no_guess() -> None:
    with pytest.raises(UnknownFileTypeError, match="take Q4_K_M, Q8_0 or F16"):
        find_file_type("Q1QQQQ")
    with pytest.raises(UnknownFileTypeError, match="did you mean 'BF16'"):
        find_file_type("BF1")


@pytest.mark.parametrize(
    ("text", "name"),
    [("fp32", "F32"), ("F32", "F32"), ("q8", "Q8_0"), ("q4", "Q4_0"), ("q5_1", "Q5_1")],
)
def test_short_names_of_cache_types(text: str, name: str) -> None:
    assert find_kv_type(text) == name
