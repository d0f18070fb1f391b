"""Sharing with the cloud: the cost at a share, and the share from which it no longer pays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatfits.sizing.costing.cloud import CloudDay
from whatfits.sizing.costing.hybrid import break_even_share, cost_ratio, hybrid_of
from whatfits.sizing.costing.local import LocalDay

LOCAL = LocalDay(
    busy_hours=30,
    utilisation=1.25,
    energy_kwh_per_day=10,
    fixed_usd_per_day=2.0,
    work_usd_per_day=1.0,
    running_usd_per_day=1.5,
    usd_per_day=3.0,
    usd_per_mtok=1.0,
)
CLOUD = CloudDay(usd_per_day=10.0, usd_per_mtok=3.0, notes=())


def test_the_cost_at_a_share_is_worked_out() -> None:
    # Half to the cloud: 0.5 x $10 + 0.5 x $1 of work + $2 fixed = $7.50 of $10.
    hybrid = hybrid_of(LOCAL, CLOUD)
    assert hybrid is not None
    row = next(row for row in hybrid.rows if row.cloud_share == 0.5)
    assert row.usd_per_day == pytest.approx(7.50)
    assert row.cost_ratio == pytest.approx(0.75)
    # 1 - 0.2 / (1 - 0.1) = 0.7778: there both cost $10.
    assert hybrid.break_even_share == pytest.approx(7 / 9)


def test_it_is_said_which_share_the_machine_can_do() -> None:
    hybrid = hybrid_of(LOCAL, CLOUD)
    assert hybrid is not None
    # at work 1.25 times the hours it is on: it can take 80 %, not 90 %
    can = {row.cloud_share: row.machine_can for row in hybrid.rows}
    assert can == {0.0: False, 0.1: False, 0.25: True, 0.5: True, 0.75: True, 0.9: True}


def test_nothing_is_told_where_something_is_unknown_or_the_cloud_is_free() -> None:
    assert hybrid_of(LOCAL, CloudDay(0.0, 0.0, ())) is None
    unknown = LocalDay(None, None, None, None, None, None, None, None)
    assert hybrid_of(unknown, CLOUD) is None


def test_a_machine_dearer_than_the_cloud_pays_at_no_share() -> None:
    assert break_even_share(work_ratio=1.0, fixed_ratio=0.0) is None
    assert break_even_share(work_ratio=0.5, fixed_ratio=0.6) is None
    assert break_even_share(work_ratio=0.5, fixed_ratio=0.5) == 0


@given(work=st.floats(0, 0.99), fixed=st.floats(0, 2), share=st.floats(0, 1))
def test_below_the_break_even_share_it_is_cheaper_and_above_it_is_not(
    work: float, fixed: float, share: float
) -> None:
    even = break_even_share(work_ratio=work, fixed_ratio=fixed)
    ratio = cost_ratio(share, work_ratio=work, fixed_ratio=fixed)
    if even is None or share > even + 1e-9:
        assert ratio >= 1 - 1e-9
    elif share < even - 1e-9:
        assert ratio <= 1 + 1e-9
