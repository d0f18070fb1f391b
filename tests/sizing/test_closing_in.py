"""The last number with room is found, however wrong the rough figures are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from whatfits.sizing.closing_in import last_proven, last_that_holds, last_with_room

FALLING = st.lists(st.integers(-50, 50), min_size=1, max_size=60).map(
    lambda values: sorted(values, reverse=True)
)


def counted(values: list[int]) -> int | None:
    """Return the last index whose value is not negative, by looking at all."""
    fitting = [index for index, value in enumerate(values) if value >= 0]
    return fitting[-1] if fitting else None


@given(FALLING)
def test_closing_in_finds_what_counting_finds(values: list[int]) -> None:
    assert last_with_room(0, len(values) - 1, values.__getitem__) == counted(values)


@given(FALLING, st.lists(st.integers(-50, 50), min_size=60, max_size=60))
def test_the_exact_figures_have_the_last_word(values: list[int], rough: list[int]) -> None:
    found = last_proven(0, len(values) - 1, rough=rough.__getitem__, exact=values.__getitem__)
    assert found == counted(values)


def test_good_rough_figures_cost_two_exact_ones() -> None:
    tried: list[int] = []

    def exact(number: int) -> int:
        tried.append(number)
        return 37 - number

    assert last_proven(0, 90, rough=lambda number: 37 - number, exact=exact) == 37
    assert tried == [37, 38]


@given(FALLING.filter(lambda values: values[0] >= 0))
def test_the_last_that_holds_is_what_counting_finds(values: list[int]) -> None:
    assert last_that_holds(0, len(values) - 1, lambda at: values[at] >= 0) == counted(values)
