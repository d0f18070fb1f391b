"""What a measured ratio is called, and how the page of benchmarks stands."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))

from bench_all import BENCHMARKS, PAGE, line, place
from harness import Quartiles, Row, take_turns


@pytest.mark.parametrize(
    ("value", "bar", "outcome"),
    [
        (0.6, {"most": 0.6}, "met"),
        (0.61, {"most": 0.6}, "**missed**"),
        (250, {"least": 250}, "met"),
        (249, {"least": 250}, "**missed**"),
        (0.1, {"most": 0.6, "is_void": True}, "VOID"),
        (None, {"most": 0.6}, "not measured"),
        (0.1, {}, "no bar"),
    ],
)
def test_a_ratio_is_held_against_its_bar(
    value: float | None, bar: dict[str, float], outcome: str
) -> None:
    assert Row("P8", "plan", "", "", value, **bar).outcome == outcome


def test_a_spread_is_the_middle_half_over_the_median() -> None:
    assert Quartiles(9.0, 10.0, 12.0).spread == pytest.approx(0.3)


def test_tasks_take_turns_and_the_first_round_is_left_out() -> None:
    order: list[str] = []

    def task(name: str) -> float:
        order.append(name)
        return float(len(order))

    found = take_turns({"a": lambda: task("a"), "b": lambda: task("b")}, 2)
    assert order == ["a", "b"] * 3
    assert found == {"a": [3.0, 5.0], "b": [4.0, 6.0]}


def test_the_page_has_every_bar_and_nothing_of_the_machine_it_was_measured_on() -> None:
    text = PAGE.read_text(encoding="utf-8")
    every = set().union(*(bars for _, bars in BENCHMARKS)) | {"memory"}
    assert set(re.findall(r"^\| (P\d+|memory) \|", text, re.MULTILINE)) == every
    assert not re.search(r"/(?:home|root|tmp|work)/", text)


def test_bars_stand_by_number_and_memory_last() -> None:
    rows = [Row(bar, "", "", "", 1.0) for bar in ("memory", "P10", "P9")]
    assert [row.bar for row in sorted(rows, key=place)] == ["P9", "P10", "memory"]


def test_a_row_is_one_line_of_seven_cells() -> None:
    row = line(Row("P8", "plan", "1 ms", "2 ms", 0.5, most=0.6))
    assert row == "| P8 | plan | 0.5 × | ≤ 0.6 × | met | 1 ms | 2 ms |\n"
