"""What a day costs at an API: cached input, tiers, announced prices, prices nobody names."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from whatfits.sizing.catalog.token_prices import ApiOffer, PriceChange, PriceTier, UsdPerMtok
from whatfits.sizing.costing.cloud import cloud_day
from whatfits.sizing.costing.usage import Usage

DAY = dt.date(2026, 11, 26)
OFFER = ApiOffer(
    provider="A Provider",
    provider_id="a-provider",
    kind="first-party",
    model="m-1",
    usd_per_mtok=UsdPerMtok(input=3, output=15, cached_input=0.3, cache_write=3.75),
    as_of="2026-08-21",
    source="a page",
    checked="2026-11-22",
)
USAGE = Usage(input_tokens_per_day=2_000_000, output_tokens_per_day=400_000)


def usd(offer: ApiOffer, usage: Usage, *, prompt: int | None = None, day: dt.date = DAY) -> float:
    return cloud_day(offer, usage, day=day, prompt_tokens=prompt).usd_per_day


def test_a_day_is_worked_out_to_the_cent() -> None:
    # 2 x $3 + 0.4 x $15 = $12.00, for 2.4 million tokens: $5.00 a million.
    day = cloud_day(OFFER, USAGE, day=DAY, prompt_tokens=None)
    assert day.usd_per_day == pytest.approx(12.00)
    assert day.usd_per_mtok == pytest.approx(5.00)
    assert day.notes == ()


def test_cached_and_stored_input_have_prices_of_their_own() -> None:
    # 60 % cached: 1.2 x $0.30 = 0.36. A quarter of the other 0.8 stored: 0.2 x $3.75 = 0.75.
    # The rest: 0.6 x $3 = 1.80. Written: 0.4 x $15 = 6.00. Together $8.91.
    usage = replace(USAGE, cached_share=0.6, cache_write_share=0.25)
    assert usd(OFFER, usage) == pytest.approx(8.91)


def test_five_days_a_week_cost_five_sevenths_of_an_average_day() -> None:
    day = cloud_day(OFFER, replace(USAGE, days_per_week=5), day=DAY, prompt_tokens=None)
    assert day.usd_per_day == pytest.approx(12 * 5 / 7)
    assert day.usd_per_mtok == pytest.approx(5.00)


def test_cached_input_without_a_price_counts_as_input_and_it_is_said() -> None:
    offer = replace(OFFER, usd_per_mtok=UsdPerMtok(input=3, output=15))
    usage = replace(USAGE, cached_share=0.6, cache_write_share=0.25)
    day = cloud_day(offer, usage, day=DAY, prompt_tokens=None)
    assert day.usd_per_day == pytest.approx(12.00)
    assert len(day.notes) == 2
    assert all("no price of" in note for note in day.notes)


def test_a_tier_holds_from_the_first_token_above_it_for_the_whole_prompt() -> None:
    tier = PriceTier(200_000, UsdPerMtok(input=6, output=22.5, cached_input=0.6))
    offer = replace(OFFER, tiers=(tier,))
    assert usd(offer, USAGE, prompt=200_000) == pytest.approx(12.00)
    # 2 x $6 + 0.4 x $22.50 = $21.00
    assert usd(offer, USAGE, prompt=200_001) == pytest.approx(21.00)
    unsaid = cloud_day(offer, USAGE, day=DAY, prompt_tokens=None)
    assert unsaid.usd_per_day == pytest.approx(12.00)
    assert "longer than 200,000" in unsaid.notes[0]


def test_an_announced_price_holds_from_its_day() -> None:
    change = PriceChange("2026-09-01", UsdPerMtok(input=4, output=20))
    offer = replace(OFFER, changes=(change,))
    assert usd(offer, USAGE, day=dt.date(2026, 8, 31)) == pytest.approx(12.00)
    # 2 x $4 + 0.4 x $20 = $16.00
    assert usd(offer, USAGE, day=dt.date(2026, 9, 1)) == pytest.approx(16.00)


def test_everything_from_the_cache_and_nothing_written_costs_the_cached_price_alone() -> None:
    usage = Usage(input_tokens_per_day=1_000_000, output_tokens_per_day=0, cached_share=1)
    assert usd(OFFER, usage) == pytest.approx(0.30)
