"""Least squares of costs that cannot be negative."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatfits.bench.fitting import Equation, solved


def equations(costs: dict[str, float], rows: list[dict[str, float]]) -> list[Equation]:
    return [Equation(row, sum(costs[n] * a for n, a in row.items())) for row in rows]


ROWS: list[dict[str, float]] = [
    {"k": 1e8, "layer": 4, "token": 1},
    {"k": 2e8, "layer": 24, "token": 1},
    {"k": 3e8, "layer": 10, "token": 1},
    {"q8": 2e8, "layer": 4, "token": 1},
    {"k": 1e8, "layer": 4, "token": 1, "cache": 3e7},
]


@given(
    st.fixed_dictionaries(
        {
            "k": st.floats(1e-12, 1e-10),
            "q8": st.floats(1e-12, 1e-10),
            "layer": st.floats(1e-6, 1e-4),
            "token": st.floats(1e-6, 1e-3),
            "cache": st.floats(1e-12, 1e-9),
        }
    )
)
def test_costs_that_made_the_times_are_found_again(costs: dict[str, float]) -> None:
    found = solved(equations(costs, ROWS))
    assert all(abs(miss) < 1e-6 for miss in found.misses)
    for name, cost in costs.items():
        assert found.seconds[name] == pytest.approx(cost, rel=1e-3)


def test_a_cost_that_would_be_negative_is_none_and_the_others_are_solved_again() -> None:
    # ten layers take less than four: layers cannot cost anything
    found = solved(
        [
            Equation({"k": 1e8, "layer": 4}, 0.0101),
            Equation({"k": 1e8, "layer": 10}, 0.0099),
        ]
    )
    assert set(found.seconds) == {"k"}
    assert found.seconds["k"] == pytest.approx(1e-10, rel=1e-3)


def test_what_nothing_tells_apart_is_left_out_and_the_sum_still_holds() -> None:
    found = solved([Equation({"layer": 4, "token": 1}, 0.5), Equation({"layer": 8, "token": 2}, 1)])
    assert len(found.seconds) == 1
    assert found.misses == pytest.approx((0, 0), abs=1e-9)


def test_the_misses_are_relative_and_signed() -> None:
    found = solved([Equation({"k": 1.0}, 1.0), Equation({"k": 1.0}, 2.0)])
    low, high = found.misses
    assert low > 0 > high


def test_no_equations_give_no_costs() -> None:
    assert solved([]).seconds == {}


def test_a_rate_is_the_inverse_of_its_cost() -> None:
    found = solved([Equation({"k": 2.0}, 1.0)])
    assert found.rate("k") == pytest.approx(2.0)
    assert found.rate("q8") is None


def test_a_miss_is_that_of_the_costs_which_the_other_timings_give() -> None:
    amounts = {"k": 1e8}
    found = solved([Equation(amounts, seconds) for seconds in (1.0, 1.0, 2.0)])
    # without the third, 1e8 of them take a second
    assert found.misses[2] == pytest.approx(1.0 / 2.0 - 1)
    assert abs(found.misses[0]) > 0.1


def test_where_the_others_leave_a_cost_open_the_miss_is_that_of_all() -> None:
    rows = [{"k": 1e8, "layer": 4}, {"k": 1e8, "layer": 8}]
    found = solved([Equation(row, seconds) for row, seconds in zip(rows, (1.0, 1.5), strict=True)])
    assert found.misses == pytest.approx((0, 0), abs=1e-9)
