"""What is looked up where it was not given: launch prices, power at work, a kWh by region."""

from __future__ import annotations

import pytest

from whatfits.sizing.api import load_machine
from whatfits.sizing.catalog.lookup import match_driver_name, packaged_prices
from whatfits.sizing.costing.facts import (
    Fact,
    find_region,
    load_watts_of,
    purchase_of,
    with_facts,
)
from whatfits.sizing.costing.ownership import Ownership
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.estimate import RateRange, Speed


def test_the_price_of_a_machine_is_that_of_its_cards_at_launch_and_says_so() -> None:
    found = purchase_of(load_machine("2x rtx-3090 + 64gb"), match_driver_name)
    assert found is not None
    assert found.value == 2 * 1499
    assert found.as_of == "2020-09"
    assert not found.is_unverified
    assert found.source.startswith(
        "GeForce RTX 3090, without the PC around it: launch price, NVIDIA"
    )


def test_a_machine_is_as_unread_as_the_least_read_of_its_cards() -> None:
    found = purchase_of(load_machine("rx 7800 xt + rx 7900 gre + 64gb"), match_driver_name)
    assert found is not None
    assert found.value == 499 + 549
    assert found.is_unverified
    assert "launch price, AMD 2023-09-06" in found.source
    assert found.source.endswith(", unverified launch price")


@pytest.mark.parametrize("machine", ["64gb", "m4 max 64gb"])
def test_a_machine_without_a_known_price_has_none(machine: str) -> None:
    assert purchase_of(load_machine(machine), match_driver_name) is None


def test_power_at_work_is_energy_a_token_times_tokens_a_second() -> None:
    # 1 kWh a million tokens is 3.6 J a token; at 100 tokens/s 360 W.
    one = RateRange(0.8, 1.0, 1.2)
    speed = Speed(
        None, RateRange(80, 100, 120), None, "estimated", energy_per_million_tokens_kwh=one
    )
    found = load_watts_of(speed)
    assert found is not None
    assert found.value == 360
    assert load_watts_of(Speed(None, RateRange(80, 100, 120), None, "estimated")) is None
    assert load_watts_of(None) is None


def test_a_region_answers_to_its_id_and_to_its_name() -> None:
    regions = packaged_prices().electricity
    for name in ("united-kingdom", "United Kingdom", " UNITED kingdom "):
        found = find_region(regions, name)
        assert found.value == 0.347
        assert found.as_of == "2026-10-01"
        assert not found.is_unverified


def test_a_region_that_nobody_read_says_so() -> None:
    assert find_region(packaged_prices().electricity, "india").is_unverified


def test_an_unknown_region_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidRequestError, match=r"atlantis.*germany.*price of a kWh"):
        find_region(packaged_prices().electricity, "atlantis")


def test_what_was_given_is_kept_and_what_was_not_is_filled() -> None:
    known = with_facts(
        Ownership(purchase_usd=0),
        purchase_usd=Fact(1599, "launch price"),
        usd_per_kwh=Fact(0.4, "a region"),
        load_watts=None,
    )
    assert known.ownership.purchase_usd == 0
    assert known.ownership.usd_per_kwh == 0.4
    assert known.ownership.load_watts is None
    assert set(known.facts) == {"ownership.usd_per_kwh"}
