"""Our YAML, read back by a YAML parser: the values that went in come out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatfits.sizing.fleets.starting.yaml_text import yaml_documents, yaml_text

yaml = pytest.importorskip("yaml", reason="needs PyYAML")

_SCALARS = st.one_of(
    st.text(st.characters(blacklist_categories=["Cs"])),
    st.sampled_from(
        ["yes", "NO", "null", "~", "1.5", "- a", "a: b", "#", "vllm", "a/b.c", "=", ""]
    ),
    st.integers(-(10**12), 10**12),
    st.booleans(),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text("abYn0-./:", min_size=1), inner)
    ),
    max_leaves=12,
)


@given(value=st.dictionaries(st.text("abYn0-./: ", min_size=1), _VALUES, max_size=4))
def test_what_goes_in_comes_out(value: dict[str, Any]) -> None:
    if value:
        assert yaml.safe_load(yaml_text(value)) == value


def test_lines_that_begin_with_a_word_are_a_block_and_stay_as_they_are() -> None:
    text = "first:\n  - second\n\nthird\n"
    written = yaml_text({"a": {"inner": text}, "b": 1})
    assert "inner: |\n" in written
    assert yaml.safe_load(written) == {"a": {"inner": text}, "b": 1}


@pytest.mark.parametrize(
    "text", ["a\nb", "a\n\n", "a \nb\n", "\n", "a\n\tb\n", "a\x00\nb\n", "a\r\nb\n", " a\nb\n"]
)
def test_lines_that_a_block_would_change_are_quoted(text: str) -> None:
    written = yaml_text({"a": text})
    assert yaml.safe_load(written) == {"a": text}


def test_documents_are_told_apart() -> None:
    values: list[dict[str, Any]] = [{"a": 1}, {"b": ["c", {"d": True}]}]
    assert list(yaml.safe_load_all(yaml_documents(values))) == values
