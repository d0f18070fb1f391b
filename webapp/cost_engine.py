"""From a question about costs to the library's answer.

What takes time (the plan, the search for GPUs to rent) is remembered; another usage or price is
reckoned anew from it, in milliseconds.
"""

from __future__ import annotations

import datetime as dt
from functools import cache
from typing import TYPE_CHECKING, Final

from whatfits.sizing.api import cost_of, priced
from whatfits.sizing.catalog.lookup import packaged_prices
from whatfits.webapp.asked import machine_of, model_of
from whatfits.webapp.cost_inputs import CHEAPEST
from whatfits.webapp.known_results import KnownResults

if TYPE_CHECKING:
    from whatfits.sizing.api.costing import Priced
    from whatfits.sizing.costing.answer import ComparedOffer, CostAnswer
    from whatfits.sizing.costing.rental import RentedDay
    from whatfits.sizing.model import ModelSpec
    from whatfits.webapp.cost_state import CostQuestion

__all__ = ["api_choices", "compared_offer", "costed", "region_choices", "rented_row"]

_MOST_PRICED: Final = 32
_priced: Final = KnownResults(_MOST_PRICED)


def costed(
    question: CostQuestion, dropped: ModelSpec | None = None, *, router: str | None = None
) -> CostAnswer:
    """Return the answer to a question; `dropped` is a model that was read from a visitor's file.

    Raises:
        BadInputError: what was asked cannot be answered; the message says why.
    """
    return cost_of(
        _case(question, dropped),
        usage=question.usage,
        ownership=question.ownership,
        spreads=question.spreads,
        region=question.region,
        router=router,
    )


def _case(question: CostQuestion, dropped: ModelSpec | None) -> Priced:
    base = question.base
    machine = machine_of(base)
    today = dt.datetime.now(tz=dt.UTC).date()

    def work() -> Priced:
        return priced(
            model_of(base, dropped),
            today=today,
            runtime=base.runtime,
            machine=machine,
            workload=base.workload,
            placement=base.placement,
            against=() if question.against is None else (question.against,),
        )

    if dropped is not None:
        return work()
    found: Priced = _priced.of((base, machine, question.against, today), work)
    return found


@cache
def api_choices() -> tuple[str, ...]:
    """Return the cheapest API, then every offer of the price list by its name."""
    return (CHEAPEST, *(offer.name for offer in packaged_prices().offers))


@cache
def region_choices() -> tuple[str, ...]:
    """Return the regions whose price of a kWh is known."""
    return tuple(row.id for row in packaged_prices().electricity)


def compared_offer(answer: CostAnswer, question: CostQuestion) -> ComparedOffer | None:
    """Return the offer that the machine is held against; None where no price is known."""
    if question.against is None:
        return next(iter(answer.offers), None)
    names = {(o.provider, o.model) for o in packaged_prices().offers if o.name == question.against}
    return next((row for row in answer.offers if (row.provider, row.model) in names), None)


def rented_row(answer: CostAnswer, machine: str) -> RentedDay | None:
    """Return the rented GPU of that name, else the cheapest a day; None where none runs it."""
    chosen = (row for row in answer.rented if row.machine == machine)
    return next(chosen, next(iter(answer.rented), None))
