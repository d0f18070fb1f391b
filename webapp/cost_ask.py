"""The inputs of Local or cloud as widgets."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from whatfits.webapp.cost_engine import api_choices, region_choices, rented_row
from whatfits.webapp.cost_inputs import CHEAPEST
from whatfits.webapp.cost_state import CostQuestion, cost_question_of
from whatfits.webapp.inputs import question
from whatfits.webapp.widgets import amount, chosen, in_rows, number, select

if TYPE_CHECKING:
    from whatfits.sizing.costing.answer import CostAnswer
    from whatfits.sizing.costing.rental import RentedDay

__all__ = ["ask_assumptions", "ask_owning", "ask_rent", "ask_use", "cost_question"]

_CENT: Final = 0.01
_MOST_USD_PER_KWH: Final = 100.0  # the library takes no more


def ask_use() -> None:
    """Ask how much is used, and who would answer instead."""
    in_rows(
        partial(number, "tokensin"),
        partial(number, "tokensout"),
        partial(number, "cached"),
        partial(select, "api", api_choices()),
    )


def ask_owning() -> None:
    """Ask what the machine costs."""
    in_rows(
        partial(number, "buy"),
        partial(number, "life"),
        partial(select, "region", region_choices()),
        partial(amount, "kwh", step=_CENT, most=_MOST_USD_PER_KWH),
    )


def ask_assumptions() -> None:
    """Ask for everything that has a good default."""
    keys = (
        *("hours", "days", "idlewatts", "loadwatts"),
        *("resale", "prompt", "pricespread", "usespread"),
    )
    in_rows(*(partial(number, key) for key in keys))


def ask_rent(answer: CostAnswer) -> RentedDay | None:
    """Ask which rented GPU is drawn, of those that run the model; None where none does."""
    if not answer.rented:
        return None
    options = (CHEAPEST, *(row.machine for row in answer.rented))
    return rented_row(answer, select("rent", options))


def cost_question() -> CostQuestion:
    """Return what this session asks.

    Raises:
        InvalidRequestError: one of the values cannot be used.
    """
    return cost_question_of(question(), chosen())
