"""File types, the names people type for them, and KV cache types."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatfits.sizing.errors import InvalidRequestError, UnknownFileTypeError
from whatfits.sizing.quants.file_types import (
    FILE_TYPES,
    KV_TYPES,
    file_type_of_id,
    find_file_type,
    find_kv_type,
)
from whatfits.sizing.quants.ggml_types import GGML_TYPES

# LLAMA_FTYPE_* of include/llama.h at commit 0c1e5709, retired numbers left out.
NUMBERS = {0, 1, 2, 3, *range(7, 33), *range(36, 42)}


def test_every_number_of_llama_cpp_has_one_stock_file_type() -> None:
    stock = [kind.id for kind in FILE_TYPES.values() if kind.name == kind.stock_name]
    assert sorted(stock) == sorted(NUMBERS)


def test_a_number_in_a_header_names_its_file_type() -> None:
    q4_k_m = file_type_of_id(15)
    assert q4_k_m is not None
    assert q4_k_m.name == "Q4_K_M"
    assert file_type_of_id(15 | 1024) == q4_k_m  # guessed by the loader
    assert file_type_of_id(33) is None  # retired
    assert file_type_of_id(999) is None


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Q4_K_M", "Q4_K_M"),
        ("q4_k_m", "Q4_K_M"),
        ("Q4KM", "Q4_K_M"),
        ("q4-k-m", "Q4_K_M"),
        (" q4 k m ", "Q4_K_M"),
        ("q4_k", "Q4_K_M"),
        ("q4", "Q4_K_M"),
        ("4bit", "Q4_K_M"),
        ("4-bit", "Q4_K_M"),
        ("Q3_K", "Q3_K_M"),
        ("Q5_K", "Q5_K_M"),
        ("q8", "Q8_0"),
        ("8 bit", "Q8_0"),
        ("fp16", "F16"),
        ("bf16", "BF16"),
        ("fp32", "F32"),
        ("mxfp4", "MXFP4_MOE"),
        ("MXFP4_MOE", "MXFP4_MOE"),
        ("Q4_0", "Q4_0"),
        ("iq2_xxs", "IQ2_XXS"),
        ("Q4_K_L", "Q4_K_L"),
        ("q3_k_xl", "Q3_K_XL"),
        ("TQ1_0", "TQ1_0"),
    ],
)
def test_file_types_answer_to_what_people_type(text: str, name: str) -> None:
    assert find_file_type(text).name == name


@given(name=st.sampled_from(sorted(FILE_TYPES)), upper=st.booleans(), plain=st.booleans())
def test_case_and_underscores_never_matter(name: str, upper: bool, plain: bool) -> None:
    text = name.replace("_", "") if plain else name
    assert find_file_type(text.upper() if upper else text.lower()).name == name


def test_no_two_file_types_share_a_name() -> None:
    spellings = [
        spelling.upper().replace("_", "").replace("-", "")
        for kind in FILE_TYPES.values()
        for spelling in {kind.name.lower(), *kind.aliases}
    ]
    assert len(spellings) == len(set(spellings))


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("Q4_KM_", None),
        ("Q4_K_N", r"did you mean 'Q4_K_[MLS]'\?"),
        ("iq3_xxxs", r"did you mean 'IQ3_XXS'\?"),
        ("UD-Q4_K_XL", "follows no published rule"),
        ("Q4_0_4_4", "no longer reads it"),
        ("sixteen", "take Q4_K_M, Q8_0 or F16"),
        ("", "take Q4_K_M, Q8_0 or F16"),
    ],
)
def test_an_unknown_file_type_is_answered_with_the_nearest(text: str, hint: str | None) -> None:
    if hint is None:
        assert find_file_type(text).name == "Q4_K_M"
        return
    with pytest.raises(UnknownFileTypeError, match=hint) as caught:
        find_file_type(text)
    assert "run 'whatfits quants'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_default_types_exist_and_give_the_nominal_bits() -> None:
    for kind in FILE_TYPES.values():
        assert kind.nominal_bits_per_weight == GGML_TYPES[kind.default_type].bits_per_weight
    assert FILE_TYPES["Q4_K_M"].nominal_bits_per_weight == 4.5
    assert FILE_TYPES["IQ2_M"].nominal_bits_per_weight == 2.5625


def test_the_variants_share_number_and_rules_of_their_stock_type() -> None:
    variants = {k.name: k for k in FILE_TYPES.values() if k.name != k.stock_name}
    assert {name: kind.stock_name for name, kind in variants.items()} == {
        "Q6_K_L": "Q6_K",
        "Q5_K_L": "Q5_K_M",
        "Q4_K_L": "Q4_K_M",
        "Q3_K_XL": "Q3_K_L",
        "Q2_K_L": "Q2_K",
    }
    for kind in variants.values():
        assert kind.id == FILE_TYPES[kind.stock_name].id
        assert (kind.token_embedding_type, kind.output_type) == ("Q8_0", "Q8_0")
        assert not kind.offered


@pytest.mark.parametrize(
    ("text", "name"), [("q8_0", "Q8_0"), ("F16", "F16"), ("fp16", "F16"), ("iq4_nl", "IQ4_NL")]
)
def test_cache_types_are_named_as_ggml_names_them(text: str, name: str) -> None:
    assert find_kv_type(text) == name


def test_every_cache_type_is_a_storage_type() -> None:
    assert [find_kv_type(name) for name in KV_TYPES] == list(KV_TYPES)
    assert set(KV_TYPES) <= GGML_TYPES.keys()


@pytest.mark.parametrize("text", ["q4_k", "q6_k", "fp8", "", "mxfp4"])
def test_a_type_the_cache_cannot_have_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="f32, f16, bf16, q8_0"):
        find_kv_type(text)


def test_finding_a_file_type_loads_nothing_heavy() -> None:
    program = (
        "import sys; from whatfits.sizing.quants import file_types, mixing, repack;"
        "file_types.find_file_type('q4km');"
        "print(sorted({'difflib', 'numpy', 'pydantic'} & sys.modules.keys()))"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "[]"
