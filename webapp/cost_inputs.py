"""The inputs of Local or cloud: how much is used, what owning takes, what it is held against.

Parts are in per cent and whole amounts in whole numbers, as people type them.
"""

from __future__ import annotations

from typing import Final

from whatfits.webapp.one_input import Input, meaning

__all__ = ["CHEAPEST", "COST_INPUTS"]

CHEAPEST: Final = "cheapest"
_MOST_TOKENS: Final = 10**12
_MOST_USD: Final = 10**7
_MOST_WATTS: Final = 10**5
_ALL: Final = 100

COST_INPUTS: Final = (
    Input(
        "tokensin",
        "Tokens read a day",
        1_000_000,
        "Tokens of all prompts on a day of use; a page of text is about 700.",
        most=_MOST_TOKENS,
    ),
    Input(
        "tokensout",
        "Tokens written a day",
        200_000,
        "Tokens of all answers on a day of use.",
        most=_MOST_TOKENS,
    ),
    Input("cached", "Cached input (%)", 0, meaning("cached input"), most=_ALL),
    Input(
        "hours",
        "Hours on a day",
        24,
        "How long the machine is on, or the rented GPU paid for, on a day of use. "
        f"{meaning('utilisation')}",
        most=24,
        least=1,
    ),
    Input("days", "Days of use a week", 7, "On the others it is off.", most=7, least=1),
    Input(
        "api",
        "API",
        CHEAPEST,
        "Who answers instead. Cheapest: of those that sell this very model. A model of another "
        "name may answer better or worse: prices do not say.",
    ),
    Input("rent", "Rented GPU", CHEAPEST, meaning("rented GPU")),
    Input(
        "buy",
        "Price of the machine (USD)",
        None,
        "What is bought for this; 0 when it is there anyway. Empty: the price of its cards when "
        "they came out, without the PC around them.",
        most=_MOST_USD,
    ),
    Input(
        "life",
        "Years until it is replaced",
        4,
        "Its price, less the resale, is spread over them.",
        most=30,
        least=1,
    ),
    Input("resale", "Resale (% of the price)", 0, meaning("resale"), most=_ALL),
    Input(
        "region",
        "Electricity of",
        "united-states",
        "Whose price of a kWh is taken where you give none.",
    ),
    Input(
        "kwh",
        "Price of a kWh (USD)",
        None,
        "Yours, as on the bill. Empty: that of the region.",
    ),
    Input(
        "idlewatts",
        "Watts when idle",
        50,
        "What the whole machine draws while it is on and does nothing.",
        most=_MOST_WATTS,
    ),
    Input(
        "loadwatts",
        "Watts on top at work",
        None,
        "Empty: the power limits of its cards, each for the time it works.",
        most=_MOST_WATTS,
    ),
    Input(
        "pricespread",
        "Prices may move by (%)",
        20,
        "Of the API and of electricity, either way: it makes the range of the break-even day.",
        most=_ALL - 1,
    ),
    Input(
        "usespread",
        "Use may differ by (%)",
        50,
        "Tokens a day, either way: it makes the range of the break-even day.",
        most=_ALL - 1,
    ),
)
