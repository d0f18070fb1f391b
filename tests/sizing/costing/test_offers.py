"""Which offers stand beside a model: the same model by a certain name, others by name alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from whatfits.sizing.catalog.lookup import packaged_prices
from whatfits.sizing.catalog.token_prices import ApiOffer, UsdPerMtok
from whatfits.sizing.costing.offers import chosen_offers, price_warnings
from whatfits.sizing.errors import InvalidRequestError

HOSTED = ApiOffer(
    provider="Host One",
    provider_id="host-one",
    kind="open-model host",
    model="Org/Model-8B-Instruct",
    usd_per_mtok=UsdPerMtok(input=0.1, output=0.2),
    as_of="2026-08-21",
    source="a page",
    checked="2026-11-22",
    same_as="model-8b",
)
ELSEWHERE = replace(HOSTED, provider="Host Two", provider_id="host-two")
ALIKE = replace(HOSTED, model="model-8b-turbo-special", same_as=None)
BIG = replace(HOSTED, provider="Lab", provider_id="lab", model="big-1", same_as=None)
OFFERS = (HOSTED, ELSEWHERE, ALIKE, BIG)


def names(model_id: str | None, *against: str) -> list[tuple[str, str]]:
    chosen = chosen_offers(OFFERS, model_id=model_id, against=against)
    return [(row.offer.name, row.relation) for row in chosen]


def test_offers_of_the_same_model_are_found_and_those_of_a_like_name_are_not() -> None:
    assert names("model-8b") == [
        ("host-one/Org/Model-8B-Instruct", "same model"),
        ("host-two/Org/Model-8B-Instruct", "same model"),
    ]
    assert names("another-8b") == []
    assert names(None) == []


def test_what_is_named_stands_first_and_is_not_called_the_same_model() -> None:
    assert names("model-8b", "big-1")[0] == ("lab/big-1", "named")
    assert len(names("model-8b", "big-1")) == 3
    assert names(None, "lab/big-1") == [("lab/big-1", "named")]
    assert names(None, "BIG-1") == [("lab/big-1", "named")]


def test_a_provider_narrows_to_its_own_offer_of_the_same_model() -> None:
    only = [("host-two/Org/Model-8B-Instruct", "same model")]
    assert names("model-8b", "host-two") == only
    assert names("model-8b", "Host Two") == only


@pytest.mark.parametrize("name", ["host-two/Org/Model-8B-Instruct", "host-two"])
def test_an_offer_of_the_same_model_that_was_named_is_told_from_the_others(name: str) -> None:
    chosen = chosen_offers(OFFERS, model_id="model-8b", against=(name,))
    assert [row.offer.name for row in chosen if row.is_named] == ["host-two/Org/Model-8B-Instruct"]
    assert not any(row.is_named for row in chosen_offers(OFFERS, model_id="model-8b", against=()))


@pytest.mark.parametrize(
    ("name", "said"),
    [("lab", "as big-1"), ("big-2", "did you mean"), ("qqqqqqq", "--prices")],
)
def test_a_name_that_nothing_answers_to_is_refused_in_a_line(name: str, said: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        names("model-8b", name)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_prices_of_more_than_ninety_days_are_warned_of() -> None:
    assert price_warnings([90, 0]) == ()
    assert price_warnings([]) == ()
    (said,) = price_warnings([91, 0, 90])
    assert said.startswith("Prices move: 1 of these 3 prices of tokens is more than 90 days old")
    (alone,) = price_warnings([98])
    assert alone.startswith("Prices move: this price of tokens is 98 days old; look it up, and")


def test_an_own_price_takes_the_place_of_the_catalogs_and_others_stay() -> None:
    prices = packaged_prices()
    first = prices.offers[0]
    own = replace(first, usd_per_mtok=UsdPerMtok(input=77, output=99), as_of="2026-11-26")
    both = prices.with_own(replace(prices, offers=(own, BIG), electricity=()))
    assert len(both.offers) == len(prices.offers) + 1
    found = next(offer for offer in both.offers if offer.name == first.name)
    assert found.usd_per_mtok.input == 77
    assert both.electricity == prices.electricity
