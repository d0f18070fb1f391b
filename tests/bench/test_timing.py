"""Repeats of a timing: which count, and what they say together."""

from __future__ import annotations

import pytest

from whatfits.bench.surroundings import Processors, judge_processors
from whatfits.bench.timing import Repeat, Timing, median, spread


def timing(*pairs: tuple[float, float], threads: int = 2) -> Timing:
    return Timing(threads, tuple(Repeat(*pair) for pair in pairs))


def test_a_disturbed_repeat_does_not_count() -> None:
    found = timing((1.0, 2.0), (1.2, 2.4), (9.0, 6.0), (1.1, 2.2))
    assert len(found.clean) == 3
    assert found.median_seconds == 1.1
    assert found.is_clean


def test_where_all_were_disturbed_all_count_and_it_is_said() -> None:
    found = timing((3.0, 2.0), (5.0, 2.0))
    assert found.clean == ()
    assert found.median_seconds == 4.0
    assert not found.is_clean


def test_one_clean_repeat_of_three_is_not_enough_to_call_it_clean() -> None:
    assert not timing((1.0, 2.0), (9.0, 2.0), (9.0, 2.0)).is_clean


def test_the_share_is_processor_time_over_wall_time_of_each_thread() -> None:
    assert timing((1.0, 2.0), (3.0, 2.0)).cpu_share == pytest.approx(0.5)


def test_the_share_says_nothing_where_an_accelerator_computes() -> None:
    found = Timing(1, (Repeat(1.0, 0.01),), on_cpu=False)
    assert found.cpu_share is None
    assert found.is_clean


def test_two_timings_of_a_step_become_one() -> None:
    assert len(timing((1.0, 2.0)).with_more(timing((2.0, 4.0))).repeats) == 2


def test_median_and_spread_of_even_and_odd_counts() -> None:
    assert median([3.0, 1.0, 2.0]) == 2.0
    assert median([1.0, 2.0]) == 1.5
    assert spread([5.0]) == 0.0
    # tenths of 1 … 11 are 2 and 10, the middle is 6
    assert spread([float(n) for n in range(1, 12)]) == pytest.approx(4 / 6)


class TestSurroundings:
    """What went on beside a measurement, from two looks at the counters."""

    BEFORE = Processors(busy_s=100.0, idle_s=50.0, stolen_s=1.0, own_s=10.0, clock_mhz=3000.0)

    def after(self, **changes: float) -> Processors:
        base = {"busy_s": 104.0, "idle_s": 56.0, "stolen_s": 1.0, "own_s": 14.0}
        return Processors(**{**base, "clock_mhz": 3000.0, **changes})

    def test_a_quiet_machine_is_not_complained_of(self) -> None:
        assert judge_processors(self.BEFORE, self.after()) == ()

    def test_other_programs_are_told_with_their_share(self) -> None:
        (said,) = judge_processors(self.BEFORE, self.after(busy_s=109.0, idle_s=51.0))
        assert "50 %" in said

    def test_a_host_that_takes_time_away_is_told(self) -> None:
        (said,) = judge_processors(self.BEFORE, self.after(stolen_s=2.0))
        assert "guests" in said
        assert "9 %" in said

    def test_a_falling_clock_is_told(self) -> None:
        (said,) = judge_processors(self.BEFORE, self.after(clock_mhz=2000.0))
        assert "3,000 to 2,000 MHz" in said

    def test_two_looks_at_once_say_nothing(self) -> None:
        assert judge_processors(self.BEFORE, self.BEFORE) == ()
