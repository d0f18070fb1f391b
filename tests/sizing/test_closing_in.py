"""The last number with room is found, however wrong the rough figures are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatfits.sizing.search.closing_in import last_proven, last_that_holds, last_with_room

if TYPE_CHECKING:
    from collections.abc import Callable

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
    found = last_proven(
        0, len(values) - 1, rough=rough.__getitem__, holds=lambda number: values[number] >= 0
    )
    assert found == counted(values)


def test_good_rough_figures_cost_two_exact_ones() -> None:
    tried: list[int] = []

    def holds(number: int) -> bool:
        tried.append(number)
        return number <= 37

    assert last_proven(0, 90, rough=lambda number: 37 - number, holds=holds) == 37
    assert tried == [37, 38]


def test_where_all_have_room_by_rough_figures_the_last_is_tried_first() -> None:
    tried: list[int] = []

    def holds(number: int) -> bool:
        tried.append(number)
        return number <= 88

    assert last_proven(0, 90, rough=lambda _: 0, holds=holds) == 88
    assert tried == [90, 89, 88]


@given(FALLING.filter(lambda values: values[0] >= 0))
def test_the_last_that_holds_is_what_counting_finds(values: list[int]) -> None:
    assert last_that_holds(0, len(values) - 1, lambda at: values[at] >= 0) == counted(values)


def looked_at(slack: Callable[[int], int], low: int, high: int) -> list[int]:
    """Return the numbers that are tried on the way to the last one with room."""
    tried: list[int] = []

    def watched(number: int) -> int:
        tried.append(number)
        return slack(number)

    last_with_room(low, high, watched)
    return tried


def test_on_a_straight_line_the_crossing_is_the_first_guess() -> None:
    assert looked_at(lambda n: 1000 - 3 * n, 0, 1000) == [0, 1000, 333, 334]


def test_an_end_without_change_counts_half_in_the_next_guess() -> None:
    # By hand, 100 - n^2 from 0 to 100: 100 / (100 + 9900) puts the first guess at 1. Room 99 there:
    # the line to (100, -9900) crosses at 1 + 99 * 99 / 9999 = 1.98, and 2 is the least step. The
    # low end moved twice: the high end counts -4950, 2 + 98 * 96 / 5046 = 3.86; then -2475,
    # 3 + 97 * 91 / 2566 = 6.4; then -1237.5, 6 + 94 * 64 / 1301.5 = 10.6, where room is nought.
    # Then -618.75 and nought of room: the least step, 11, is too much.
    assert looked_at(lambda n: 100 - n * n, 0, 100) == [0, 100, 1, 2, 3, 6, 10, 11]


def test_a_high_end_that_moves_again_halves_the_room_of_the_low_one() -> None:
    # By hand, 1,000,000 // (n + 1) - 10,000 from 0 (990,000) to 1000 (-9001): the first guess is
    # 1000 * 990000 / 999001 = 990.9, and -8991 there. The next is 990 * 990000 / 998991 = 981.1;
    # the high end has moved twice, and the low one counts 495,000: 981 * 495000 / 503982 = 963.5;
    # then 247,500 and so on: 929, 866, 757, 591, and 591 * 15468.75 / 23779.75 = 384.4. That was
    # the eighth: from there on halves.
    straight = [0, 1000, 990, 981, 963, 929, 866, 757, 591, 384]
    halves = [192, 96, 144, 120, 108, 102, 99, 100]
    assert looked_at(lambda n: 1_000_000 // (n + 1) - 10_000, 0, 1000) == straight + halves


@pytest.mark.parametrize("last", [1, 50, 98, 99])
def test_every_guess_lies_between_the_ends_and_is_a_new_one(last: int) -> None:
    """Also where the line through both ends crosses zero nowhere but at one of them, as floats."""
    for room, lack in ((10**30, 1), (1, 10**30), (0, 1)):
        tried = looked_at(lambda n, room=room, lack=lack: room if n <= last else -lack, 0, 100)
        assert all(0 < number < 100 for number in tried[2:])
        assert len(set(tried)) == len(tried)


def test_one_number_is_looked_at_and_two_are_both_ends() -> None:
    assert looked_at(lambda n: 7 - n, 7, 7) == [7, 7]
    assert looked_at(lambda n: 7 - n, 7, 8) == [7, 8]
    assert looked_at(lambda n: 6 - n, 7, 8) == [7]
    assert last_with_room(7, 8, lambda n: 7 - n) == 7
    assert last_with_room(0, 5, lambda n: 5 - n) == 5
    assert last_with_room(7, 8, lambda n: 6 - n) is None


def test_what_is_far_from_straight_is_halved_after_eight_guesses() -> None:
    # Room of one byte up to 700,000, then 10^30 too little: lines lead nowhere, halves do.
    tried = looked_at(lambda n: 1 if n <= 700_000 else -(10**30), 0, 2**20)
    assert len(tried) <= 2 + 8 + 20
    assert last_with_room(0, 2**20, lambda n: 1 if n <= 700_000 else -(10**30)) == 700_000


def test_rough_figures_that_are_wrong_cost_six_guesses_and_then_halves() -> None:
    tried: list[int] = []

    def holds(number: int) -> bool:
        tried.append(number)
        return number <= 700_000

    assert last_proven(0, 2**20, rough=lambda _: -1, holds=holds) == 700_000
    assert tried[:6] == [0, 1, 2, 3, 4, 5]
    assert len(tried) <= 6 + 20


def test_halving_looks_at_the_end_first_and_then_at_middles() -> None:
    tried: list[int] = []

    def holds(number: int) -> bool:
        tried.append(number)
        return number <= 3

    assert last_that_holds(0, 8, holds) == 3
    assert tried == [8, 4, 2, 3]
