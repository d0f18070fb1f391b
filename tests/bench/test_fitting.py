"""Least squares of costs that cannot be negative."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatfits.bench.fitting import Equation, left_out_width, solved


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


MODELS = [
    ("wide", {"k": 2e8, "layer": 4}),
    ("narrow", {"k": 2e8, "layer": 24}),
    ("vast", {"k": 4e8, "layer": 2}),
    ("wide q8", {"q8": 4e8, "layer": 4}),
]


def _left_out(seconds: list[float]) -> float | None:
    rows = [Equation(amounts, s) for (_, amounts), s in zip(MODELS, seconds, strict=True)]
    mains = ["q8" if "q8" in amounts else "k" for _, amounts in MODELS]
    return left_out_width(rows, [name for name, _ in MODELS], mains)


def test_models_that_follow_one_sum_are_told_exactly_when_left_out() -> None:
    costs = {"k": 1e-12, "q8": 2e-12, "layer": 5e-5}
    found = _left_out([sum(costs[n] * a for n, a in amounts.items()) for _, amounts in MODELS])
    assert found == pytest.approx(0, abs=1e-9)


def test_a_model_that_the_others_do_not_foretell_widens_what_is_promised() -> None:
    # the narrow one takes twice as long as a byte and a layer of the others say
    found = _left_out([4e-4, 2 * 1.4e-3, 5e-4, 1e-3])
    fit = solved(
        [Equation(a, s) for (_, a), s in zip(MODELS, [4e-4, 2.8e-3, 5e-4, 1e-3], strict=True)]
    )
    assert found is not None
    assert found > 0.3
    assert fit.width is not None
    assert found > fit.width


def test_a_type_of_one_model_alone_is_not_judged() -> None:
    pairs = [("a", "k"), ("b", "q8")]
    rows = [Equation({main: 1e8, "layer": 2.0}, 1e-3) for _, main in pairs]
    assert left_out_width(rows, [name for name, _ in pairs], [main for _, main in pairs]) is None
    assert left_out_width([], [], []) is None
