"""What makes two names one name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatfits.sizing.catalog.names import (
    device_tokens,
    driver_tokens,
    is_number,
    key_of,
    memory_gib_of,
    model_tokens,
)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("llama3.1:8b", ["llama", "3.1", "8b"]),
        ("Llama-3.1-8B", ["llama", "3.1", "8b"]),
        ("Qwen3-30B-A3B", ["qwen", "3", "30b", "a3b"]),
        ("Mixtral-8x7B", ["mixtral", "8x7b"]),
        ("Mixtral 8×7B", ["mixtral", "8x7b"]),
        ("gemma-3n-E4B", ["gemma", "3", "n", "e4b"]),
        ("llama_3.1_8b", ["llama", "3.1", "8b"]),
        ("command-r+", ["command", "r", "plus"]),
        ("gemma-22b", ["gemma", "22b"]),
        ("llama-3.-8b", ["llama", "3.", "8b"]),
        ("phi-3-mini-4k", ["phi", "3", "mini", "4k"]),
    ],
)
def test_a_model_name_is_cut_into_words_and_numbers(text: str, tokens: list[str]) -> None:
    assert model_tokens(text) == tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("NVIDIA GeForce RTX 4070 Ti SUPER", ["rtx", "4070", "ti", "super"]),
        ("rtx 3060 12 GB", ["rtx", "3060", "12gb"]),
        ("nvidia-geforce-rtx-3060-12-gb", ["rtx", "3060", "12gb"]),
        ("h100 1tb", ["h", "100", "1024gb"]),
        ("mac-m4-max-64gb", ["m", "4", "max", "64gb"]),
        ("MacBook Pro M3 Pro", ["m", "3", "pro"]),
        ("rtx 4090 mobile", ["rtx", "4090", "laptop"]),
        ("2 gb200", ["2", "gb", "200"]),
    ],
)
def test_a_device_name_loses_its_vendor_and_keeps_its_numbers(text: str, tokens: list[str]) -> None:
    assert device_tokens(text) == tokens


def test_a_driver_name_loses_remarks_in_brackets() -> None:
    assert driver_tokens("AMD Radeon RX 7900 XTX (RADV NAVI31)") == ["rx", "7900", "xtx"]
    assert driver_tokens("Intel(R) Arc(TM) A770 Graphics") == ["arc", "a", "770"]


@pytest.mark.parametrize(
    ("token", "gib"), [("12gb", 12), ("12GiB", 12), ("24g", 24), ("2tb", 2048), ("1.5tb", 1536)]
)
def test_a_memory_size_is_read_in_gib(token: str, gib: int) -> None:
    assert memory_gib_of(token) == gib


@pytest.mark.parametrize("token", ["8b", "4090", "gb", "0.3gb", ""])
def test_anything_else_is_no_memory_size(token: str) -> None:
    assert memory_gib_of(token) is None


_WORD = st.from_regex(r"[a-z]{2,6}", fullmatch=True)
_NUMBER = st.from_regex(r"[1-9][0-9]{0,2}(\.[1-9])?b?", fullmatch=True)
_SEPARATOR = st.sampled_from([" ", "-", "_", " - ", ":", "/"])


@given(st.lists(st.tuples(_WORD, _NUMBER), min_size=1, max_size=3), _SEPARATOR, _SEPARATOR)
def test_case_and_separators_make_no_difference(
    parts: list[tuple[str, str]], one: str, other: str
) -> None:
    flat = [text for part in parts for text in part]
    first, second = one.join(flat), other.join(flat).upper()
    assert key_of(model_tokens(first)) == key_of(model_tokens(second))


@given(st.lists(_NUMBER, min_size=2, max_size=4), st.lists(_NUMBER, min_size=2, max_size=4))
def test_names_with_other_numbers_are_other_names(first: list[str], second: list[str]) -> None:
    if first != second:
        assert key_of(["word", *first]) != key_of(["word", *second])


def test_a_word_is_no_number_and_a_size_is_no_word() -> None:
    assert [is_number(token) for token in ("8b", "a3b", "e4b", "3.1", "8x7b")] == [True] * 5
    assert [is_number(token) for token in ("llama", "a", "xtx", "plus")] == [False] * 4
