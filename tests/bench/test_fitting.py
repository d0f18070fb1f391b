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
    # as many timings as costs: nothing tells how far others would lie from them
    assert found.width is None
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
    assert found.width == pytest.approx(0, abs=1e-9)


def test_the_width_is_that_of_relative_errors_over_the_timings_too_many() -> None:
    # of 1 and 2 s the shares' least squares make 1.2 s: 20 % over the one, 40 % below the other
    found = solved([Equation({"k": 1.0}, 1.0), Equation({"k": 1.0}, 2.0)])
    assert found.seconds["k"] == pytest.approx(1.2)
    assert found.width == pytest.approx(1.2816 * (0.2**2 + 0.4**2) ** 0.5, rel=1e-4)


def test_timings_that_agree_have_no_width() -> None:
    found = solved([Equation({"k": n}, 2 * n) for n in (1.0, 2.0, 3.0)])
    assert found.width == pytest.approx(0, abs=1e-9)


def test_no_equations_give_no_costs() -> None:
    assert solved([]).seconds == {}


def test_a_rate_is_the_inverse_of_its_cost() -> None:
    found = solved([Equation({"k": 2.0}, 1.0)])
    assert found.rate("k") == pytest.approx(2.0)
    assert found.rate("q8") is None
