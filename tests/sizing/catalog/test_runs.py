"""Lists in short form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatfits.sizing.catalog.runs import expand_runs
from whatfits.sizing.errors import CatalogError


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("", []),
        ("a", ["a"]),
        ("sliding_attention*2 full_attention", ["sliding_attention"] * 2 + ["full_attention"]),
        ("(a*2 b)*2 c", ["a", "a", "b", "a", "a", "b", "c"]),
        ("((a b)*2 c)*2", ["a", "b", "a", "b", "c"] * 2),
        ("8*2 0 -1", [8, 8, 0, -1]),
        ("10000.0*2 1e-05", [10000.0, 10000.0, 1e-05]),
        ("(1 0)", [1, 0]),
        ("a*0 b", ["b"]),
    ],
)
def test_a_run_stands_for_its_list(text: str, items: list[object]) -> None:
    assert expand_runs(text) == items


@pytest.mark.parametrize("text", ["(a", "a)", "a b)*2", "a**2", "a,b", "(a*4096 b)*1", "a*5000"])
def test_a_text_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(CatalogError):
        expand_runs(text)


_ITEMS = st.one_of(st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True), st.integers(0, 10**6))


@given(st.lists(st.tuples(_ITEMS, st.integers(1, 9)), max_size=12), st.integers(1, 5))
def test_writing_runs_and_reading_them_gives_the_list_back(
    runs: list[tuple[str | int, int]], repeats: int
) -> None:
    items = [value for value, count in runs for _ in range(count)]
    text = " ".join(f"{value}*{count}" for value, count in runs)
    assert expand_runs(text) == items
    assert expand_runs(f"({text})*{repeats}") == items * repeats
