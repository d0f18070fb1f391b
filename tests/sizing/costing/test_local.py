"""What a day costs here, to the cent, by sums that a reader can follow."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatfits.sizing.costing.local import Pace, local_day
from whatfits.sizing.costing.ownership import Ownership, checked_ownership
from whatfits.sizing.costing.usage import Usage, checked_usage
from whatfits.sizing.errors import InvalidRequestError

USAGE = Usage(
    input_tokens_per_day=3_600_000,
    output_tokens_per_day=720_000,
    cached_share=0.5,
    hours_on_per_day=10,
)
OWNERSHIP = Ownership(
    purchase_usd=1826.25,
    life_years=5,
    resale_share=0.2,
    usd_per_kwh=0.30,
    idle_watts=60,
    load_watts=400,
)
PACE = Pace(prefill_tokens_per_s=1000, decode_tokens_per_s=100)


def test_a_day_is_worked_out_to_the_cent() -> None:
    # Half of 3.6 million tokens is read afresh: 1,800,000 / 1,000 = 1,800 s. Written:
    # 720,000 / 100 = 7,200 s. Together 9,000 s = 2.5 h of 10.
    # Idle: 60 W x 10 h = 0.6 kWh. Work: 400 W x 2.5 h = 1.0 kWh. At $0.30: 0.18 + 0.30 = $0.48.
    # Life: 5 x 365.25 = 1826.25, whole days 1826. $1826.25 x 0.8 = 1461.00 / 1826 = $0.80.
    day = local_day(USAGE, OWNERSHIP, PACE)
    assert day.busy_hours == 2.5
    assert day.utilisation == 0.25
    assert day.energy_kwh_per_day == pytest.approx(1.6)
    assert day.work_usd_per_day == pytest.approx(0.30)
    assert day.running_usd_per_day == pytest.approx(0.48)
    assert day.fixed_usd_per_day == pytest.approx(0.18 + 1461 / 1826)
    assert day.usd_per_day == pytest.approx(1.28, abs=0.005)
    # 4.32 million tokens in and out
    assert day.usd_per_mtok == pytest.approx(1.28 / 4.32, abs=0.005)


def test_days_without_use_cost_no_electricity_but_their_share_of_the_price() -> None:
    # 3.5 days a week: half the energy of an average day, the machine's price as before.
    day = local_day(replace(USAGE, days_per_week=3.5), OWNERSHIP, PACE)
    assert day.running_usd_per_day == pytest.approx(0.24)
    assert day.usd_per_day == pytest.approx(0.24 + 1461 / 1826)
    assert day.usd_per_mtok == pytest.approx((0.24 + 1461 / 1826) / 2.16)
    assert day.busy_hours == 2.5


@pytest.mark.parametrize(
    ("ownership", "pace", "known"),
    [
        (replace(OWNERSHIP, usd_per_kwh=None), PACE, {"busy_hours", "energy_kwh_per_day"}),
        (replace(OWNERSHIP, load_watts=None), PACE, {"busy_hours", "fixed_usd_per_day"}),
        (
            replace(OWNERSHIP, purchase_usd=None),
            PACE,
            {"busy_hours", "energy_kwh_per_day", "work_usd_per_day", "running_usd_per_day"},
        ),
        (OWNERSHIP, Pace(None, 100), {"fixed_usd_per_day"}),
        (OWNERSHIP, Pace(1000, None), {"fixed_usd_per_day"}),
    ],
)
def test_what_rests_on_something_unknown_is_unknown(
    ownership: Ownership, pace: Pace, known: set[str]
) -> None:
    day = local_day(USAGE, ownership, pace)
    names = {name for name in day.__slots__ if getattr(day, name) is not None}
    assert names - {"utilisation"} == known


def test_a_speed_that_is_not_needed_may_be_unknown() -> None:
    all_cached = replace(USAGE, cached_share=1.0)
    day = local_day(all_cached, OWNERSHIP, Pace(None, 100))
    assert day.busy_hours == 2


@given(
    kwh=st.floats(0, 10),
    more=st.floats(0, 10),
    idle=st.floats(0, 2000),
    load=st.floats(0, 5000),
    tokens=st.floats(1, 1e9),
)
def test_dearer_electricity_more_watts_and_more_tokens_never_make_a_day_cheaper(
    kwh: float, more: float, idle: float, load: float, tokens: float
) -> None:
    usage = replace(USAGE, output_tokens_per_day=tokens)
    owned = replace(OWNERSHIP, usd_per_kwh=kwh, idle_watts=idle, load_watts=load)
    base = local_day(usage, owned, PACE).usd_per_day or 0.0
    for worse_usage, worse_owned in (
        (usage, replace(owned, usd_per_kwh=kwh + more)),
        (usage, replace(owned, idle_watts=idle + more)),
        (usage, replace(owned, load_watts=load + more)),
        (usage.times(1 + more), owned),
    ):
        assert (local_day(worse_usage, worse_owned, PACE).usd_per_day or 0.0) >= base * (1 - 1e-12)


@pytest.mark.parametrize(
    "usage",
    [
        Usage(input_tokens_per_day=-1),
        Usage(output_tokens_per_day=float("nan")),
        Usage(input_tokens_per_day=float("inf")),
        Usage(cached_share=1.01),
        Usage(cache_write_share=-0.1),
        Usage(hours_on_per_day=0),
        Usage(hours_on_per_day=25),
        Usage(days_per_week=8),
        Usage(input_tokens_per_day=0, output_tokens_per_day=0),
    ],
)
def test_a_usage_that_no_day_has_is_refused_in_a_line(usage: Usage) -> None:
    with pytest.raises(InvalidRequestError, match="usage") as raised:
        checked_usage(usage)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "ownership",
    [
        Ownership(purchase_usd=-1),
        Ownership(life_years=0),
        Ownership(life_years=0.001),
        Ownership(resale_share=1.5),
        Ownership(usd_per_kwh=float("nan")),
        Ownership(idle_watts=-5),
        Ownership(load_watts=1e9),
    ],
)
def test_an_ownership_that_nobody_has_is_refused_in_a_line(ownership: Ownership) -> None:
    with pytest.raises(InvalidRequestError, match="ownership") as raised:
        checked_ownership(ownership)
    assert "\n" not in str(raised.value)
