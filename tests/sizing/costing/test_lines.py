"""Costs month by month: the lines are the answer's figures, and cross on its break-even days."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import pytest

from whatfits.sizing.api import cost_of, priced
from whatfits.sizing.costing.break_even import BreakEven
from whatfits.sizing.costing.headline import cost_headline, days_text
from whatfits.sizing.costing.lines import CostLine, CostLines, cost_lines
from whatfits.sizing.costing.moving import Spreads

if TYPE_CHECKING:
    from whatfits.sizing.api.costing import Priced
    from whatfits.sizing.costing.answer import ComparedOffer, CostAnswer

DAY = dt.date(2026, 11, 26)
AGAINST = "openai/gpt-5"
RESALE = 0.25


@cache
def case(machine: str = "rtx-4090 + 32gb") -> Priced:
    return priced("llama-3.1-8b", today=DAY, machine=machine, against=(AGAINST,))


@cache
def answer(tokens: float, machine: str = "rtx-4090 + 32gb") -> CostAnswer:
    return cost_of(
        case(machine),
        usage={"input_tokens_per_day": tokens, "output_tokens_per_day": tokens / 5},
        ownership={"resale_share": RESALE},
        region="germany",
    )


def dear(found: CostAnswer) -> ComparedOffer:
    return next(row for row in found.offers if row.model == "gpt-5")


def drawn(found: CostAnswer, offer: ComparedOffer) -> CostLines:
    return cost_lines(found, offer, found.rented[0], Spreads(), life_days=1461)


def line(found: CostLines, kind: str) -> CostLine:
    return next(one for one in found.lines if one.kind == kind)


@pytest.mark.parametrize("tokens", [1e5, 1e6, 2e7])
def test_a_line_begins_at_its_price_and_grows_by_the_price_of_a_day(tokens: float) -> None:
    found = answer(tokens)
    assert found.local is not None
    middle = found.local.middle
    offer, rent = dear(found), found.rented[0]
    lines = drawn(found, offer)
    for kind, start, a_day in (
        ("own", found.local.ownership.purchase_usd, middle.running_usd_per_day),
        ("api", 0.0, offer.cloud.usd_per_day),
        ("rent", 0.0, rent.usd_per_day),
    ):
        for point in line(lines, kind).points:
            assert point.usd == pytest.approx((start or 0.0) + (a_day or 0.0) * point.day)
            assert point.low_usd <= point.usd <= point.high_usd


def test_points_are_a_month_apart_and_end_with_the_life() -> None:
    points = line(drawn(answer(1e6), dear(answer(1e6))), "api").points
    assert [point.day for point in points[:4]] == [0, 30, 61, 91]
    assert points[12].day == 365
    assert points[-1].day == 1461
    assert points[-1].months == pytest.approx(48)


@pytest.mark.parametrize("tokens", [1e6, 5e6, 2e7])
def test_the_lines_cross_on_the_break_even_day(tokens: float) -> None:
    found = answer(tokens)
    offer = dear(found)
    even = offer.comparison.break_even
    assert even is not None
    assert even.day
    (api, rent) = drawn(found, offer).crossings
    assert (api.kind, api.even) == ("api", even)
    assert found.local is not None

    def own(day: int) -> float:
        local = found.local
        assert local is not None
        return (local.ownership.purchase_usd or 0) + (local.middle.running_usd_per_day or 0) * day

    assert api.usd == pytest.approx(offer.cloud.usd_per_day * even.day)
    assert own(even.day - 1) > offer.cloud.usd_per_day * (even.day - 1)
    assert own(even.day) <= offer.cloud.usd_per_day * even.day
    assert rent.even.day is not None
    assert own(rent.even.day) <= found.rented[0].usd_per_day * rent.even.day
    assert rent.even.early_day is not None
    assert rent.even.late_day is not None
    assert rent.even.early_day <= rent.even.day <= rent.even.late_day


def test_a_rent_is_paid_by_the_hour_whatever_the_use() -> None:
    found = answer(2e7)
    days = {
        cost_lines(found, None, found.rented[0], Spreads(use=use), life_days=1461).crossings[0].even
        for use in (0.0, 0.9)
    }
    assert len(days) == 1


def test_a_sale_counts_on_the_last_day_alone() -> None:
    found = answer(1e6)
    own = line(drawn(found, dear(found)), "own")
    assert found.local is not None
    price = found.local.ownership.purchase_usd or 0.0
    assert own.sold is not None
    assert own.points[-1].usd - own.sold.usd == pytest.approx(price * RESALE)
    assert own.sold.day == own.points[-1].day


def test_a_machine_that_does_not_run_it_has_no_line_and_no_crossing() -> None:
    found = answer(1e6, "4gb")
    lines = drawn(found, dear(found))
    assert [one.kind for one in lines.lines] == ["api", "rent"]
    assert lines.crossings == ()


def test_without_an_api_the_machine_is_held_against_the_rent() -> None:
    found = answer(1e6)
    lines = cost_lines(found, None, found.rented[0], Spreads(), life_days=1461)
    assert [one.kind for one in lines.lines] == ["own", "rent"]
    assert [one.kind for one in lines.crossings] == ["rent"]


def test_the_headline_is_the_verdict_of_the_comparison() -> None:
    heads = [cost_headline(answer(tokens), dear(answer(tokens))) for tokens in (1e5, 1e6, 2e7)]
    assert heads[0] == (
        "At 120,000 tokens a day the API stays cheaper for all 4 years of the machine's life"
    )
    assert heads[1].endswith(
        "the machine has paid for itself after 20 months, but never with price, use and speed all "
        "against it"
    )
    assert heads[2].startswith("At 24,000,000 tokens a day the machine has paid for itself after ")
    assert "does not run" in cost_headline(answer(1e6, "4gb"), dear(answer(1e6, "4gb")))
    unpriced = cost_of(case())
    assert cost_headline(unpriced, dear(unpriced)).startswith("Cannot be told: the price of elec")
    free = cost_of(case(), ownership={"purchase_usd": 0}, region="china")
    assert cost_headline(free, dear(free)).endswith("costs less than the API from the first day")


@pytest.mark.parametrize(
    ("even", "end"),
    [
        (BreakEven(0, 0, 0), "the machine costs less than the API from the first day"),
        (
            BreakEven(0, 0, None),
            "from the first day, but not with price, use and speed all against it",
        ),
        (
            BreakEven(0, None, None),
            "price, use and speed all favour the machine: then it costs less from the first day",
        ),
    ],
)
def test_the_headline_of_a_machine_that_is_there_anyway_counts_no_days(
    even: BreakEven, end: str
) -> None:
    offer = dear(answer(1e6))
    compared = replace(offer, comparison=replace(offer.comparison, break_even=even))
    assert cost_headline(answer(1e6), compared).endswith(end)


def test_one_token_is_not_several() -> None:
    found = cost_of(
        case(), usage={"input_tokens_per_day": 1, "output_tokens_per_day": 0}, region="germany"
    )
    assert cost_headline(found, dear(found)).startswith("At 1 token a day the API stays cheaper")


@pytest.mark.parametrize(
    ("days", "text"),
    [(1, "1 day"), (90, "90 days"), (91, "3 months"), (715, "23 months"), (1461, "4 years")],
)
def test_a_time_is_told_in_the_unit_people_count_it_in(days: int, text: str) -> None:
    assert days_text(days) == text
