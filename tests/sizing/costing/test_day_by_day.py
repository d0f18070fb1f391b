"""The break-even day against a calendar: what each day really costs, days of use and days off.

The engine takes average days; a calendar puts days of use first in every week, so that it is ahead
of the average by less than a week, and level with it when a week is over.
"""

from __future__ import annotations

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from whatfits.sizing.catalog.token_prices import ApiOffer, UsdPerMtok
from whatfits.sizing.costing.cloud import cloud_day
from whatfits.sizing.costing.local import Pace
from whatfits.sizing.costing.moving import Case, PaceRange, Spreads
from whatfits.sizing.costing.ownership import Ownership
from whatfits.sizing.costing.usage import Usage

DAY = dt.date(2026, 11, 26)
WEEK = 7
USAGES = st.builds(
    Usage,
    input_tokens_per_day=st.integers(0, 20_000_000),
    output_tokens_per_day=st.integers(1, 4_000_000),
    cached_share=st.floats(0, 1),
    cache_write_share=st.floats(0, 1),
    hours_on_per_day=st.floats(1, 24),
    days_per_week=st.integers(1, 7),
)
OWNERSHIPS = st.builds(
    Ownership,
    purchase_usd=st.floats(1, 5000),
    life_years=st.floats(0.1, 6),
    resale_share=st.floats(0, 0.9),
    usd_per_kwh=st.floats(0, 0.6),
    idle_watts=st.floats(0, 200),
    load_watts=st.floats(0, 800),
)
PRICES = st.builds(
    UsdPerMtok,
    input=st.floats(0.01, 5),
    output=st.floats(0.01, 20),
    cached_input=st.none() | st.floats(0.001, 1),
    cache_write=st.none() | st.floats(0.01, 6),
)


def offer(prices: UsdPerMtok) -> ApiOffer:
    return ApiOffer(
        provider="A Provider",
        provider_id="a-provider",
        kind="first-party",
        model="m-1",
        usd_per_mtok=prices,
        as_of="2026-08-21",
        source="a page",
        checked="2026-11-22",
    )


def hours_at_work(usage: Usage, pace: Pace) -> float:
    assert pace.prefill_tokens_per_s is not None
    assert pace.decode_tokens_per_s is not None
    fresh = usage.input_tokens_per_day * (1 - usage.cached_share)
    reading_s = fresh / pace.prefill_tokens_per_s
    return (reading_s + usage.output_tokens_per_day / pace.decode_tokens_per_s) / 3600


def bill_of_the_api(usage: Usage, prices: UsdPerMtok) -> float:
    """Return what a day of use costs there, token by token."""
    cached = usage.input_tokens_per_day * usage.cached_share
    stored = (usage.input_tokens_per_day - cached) * usage.cache_write_share
    plain = usage.input_tokens_per_day - cached - stored
    dollars = plain * prices.input + usage.output_tokens_per_day * prices.output
    dollars += cached * (prices.input if prices.cached_input is None else prices.cached_input)
    dollars += stored * (prices.input if prices.cache_write is None else prices.cache_write)
    return dollars / 1_000_000


def walked(owned: Ownership, usage: Usage, pace: Pace, prices: UsdPerMtok) -> int | None:
    """Return the first day by whose end the machine has cost no more, sold on its last."""
    assert owned.purchase_usd is not None
    assert owned.usd_per_kwh is not None
    assert owned.load_watts is not None
    kwh = (
        owned.idle_watts * usage.hours_on_per_day + owned.load_watts * hours_at_work(usage, pace)
    ) / 1000
    here, there = owned.purchase_usd, 0.0
    for day in range(1, owned.life_days + 1):
        if (day - 1) % WEEK < usage.days_per_week:
            here += kwh * owned.usd_per_kwh
            there += bill_of_the_api(usage, prices)
        if day == owned.life_days:
            here -= owned.purchase_usd * owned.resale_share
        if here <= there:
            return day
    return None


@given(
    usage=USAGES,
    owned=OWNERSHIPS,
    prices=PRICES,
    pace=st.builds(Pace, st.floats(100, 20_000), st.floats(10, 3000)),
)
def test_an_average_day_breaks_even_in_the_week_in_which_the_calendar_does(
    usage: Usage, owned: Ownership, prices: UsdPerMtok, pace: Pace
) -> None:
    sold = offer(prices)
    asked = Case(
        usage,
        owned,
        PaceRange(pace, pace, pace),
        Spreads(),
        lambda of: cloud_day(sold, of, day=DAY, prompt_tokens=None).usd_per_day,
    )
    found = asked.day()
    if hours_at_work(usage, pace) > usage.hours_on_per_day:
        assert found is None
        return
    real = walked(owned, usage, pace, prices)
    if found is None:
        # the life may end within a week of which the days of use are over
        assert real is None or real > owned.life_days - WEEK
        return
    assert real is not None
    # a day that is hit exactly may fall to either side of a rounding
    week_after = -(-real // WEEK) * WEEK + 1
    assert real - 1 <= found <= min(week_after, owned.life_days)
