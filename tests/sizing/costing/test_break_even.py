"""The closed form of the break-even day against walking through a machine's life day by day."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatfits.sizing.costing.break_even import break_even_day


def walked(purchase: float, resale: float, life: int, running: float, cloud: float) -> int | None:
    """Return the first day on which the machine has cost no more, by adding up every day."""
    if cloud <= running:
        return None
    here, there = Fraction(purchase), Fraction(0)
    for day in range(life + 1):
        if day:
            here += Fraction(running)
            there += Fraction(cloud)
        if day == life:
            here -= Fraction(resale)
        if here <= there:
            return day
    return None


def closed(purchase: float, resale: float, life: int, running: float, cloud: float) -> int | None:
    return break_even_day(
        purchase_usd=purchase,
        resale_usd=resale,
        life_days=life,
        running_usd_per_day=running,
        cloud_usd_per_day=cloud,
    )


@given(
    purchase=st.floats(0, 5000),
    resale_share=st.floats(0, 1),
    life=st.integers(1, 2000),
    running=st.floats(0, 20),
    cloud=st.floats(0, 40),
)
def test_the_closed_form_is_what_walking_day_by_day_finds(
    purchase: float, resale_share: float, life: int, running: float, cloud: float
) -> None:
    case = (purchase, purchase * resale_share, life, running, cloud)
    assert closed(*case) == walked(*case)


@pytest.mark.parametrize("purchase", [0, 1, 99, 100, 101, 1000])
@pytest.mark.parametrize("saving", [-1, 0, 0.25, 1, 10])
@pytest.mark.parametrize("life", [1, 10, 100, 400])
@pytest.mark.parametrize("resale_share", [0, 0.5, 1])
def test_it_is_so_over_a_grid_with_days_that_are_hit_exactly(
    purchase: float, saving: float, life: int, resale_share: float
) -> None:
    case = (purchase, purchase * resale_share, life, 2.0, 2.0 + saving)
    assert closed(*case) == walked(*case)


def test_a_thousand_dollars_at_two_a_day_are_even_on_day_five_hundred() -> None:
    # $3 at the API less $1 of electricity: $1,000 / $2 = 500 days.
    assert closed(1000, 0, 1461, 1.0, 3.0) == 500
    # a cent more takes another day
    assert closed(1000.01, 0, 1461, 1.0, 3.0) == 501


def test_resale_counts_on_the_last_day_of_life_alone() -> None:
    # 400 days x $2 = $800 < $1,000; with $200 from the sale it is even on the last day.
    assert closed(1000, 0, 400, 1.0, 3.0) is None
    assert closed(1000, 199.99, 400, 1.0, 3.0) is None
    assert closed(1000, 200, 400, 1.0, 3.0) == 400


def test_what_costs_as_much_to_run_as_the_cloud_never_breaks_even() -> None:
    assert closed(0, 0, 400, 3.0, 3.0) is None
    assert closed(1000, 1000, 400, 3.0, 3.0) is None
    assert closed(0, 0, 400, 2.99, 3.0) == 0
