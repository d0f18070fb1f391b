"""Local or cloud in one line: what somebody who reads nothing else has to know."""

from __future__ import annotations

from whatfits.sizing.costing.ownership import DAYS_PER_MONTH, DAYS_PER_YEAR
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.costing.answer import ComparedOffer, CostAnswer

__all__ = ["cost_headline", "days_text"]


_AGAINST: Final = "with price, use and speed all against it"
_MOST_DAYS: Final = 90
_MOST_MONTHS: Final = 24


def cost_headline(answer: CostAnswer, offer: ComparedOffer | None) -> str:
    """Return which is cheaper at how many tokens a day, and from when.

    `At 50,000 tokens a day the API stays cheaper for all 4 years of the machine's life`
    """
    if answer.local is None:
        return "The model does not run on this machine: only a cloud or a rented GPU has a price"
    if offer is None:
        return "No API's price is known to hold against this machine"
    if offer.comparison.break_even is None:
        return f"Cannot be told: {offer.comparison.reason}"
    tokens = f"{answer.usage.tokens_per_day:,.0f}"
    use = f"{tokens} token{'' if tokens == '1' else 's'} a day"
    return f"At {use} {_found(answer.local.ownership.life_days, offer)}"


def _found(life_days: int, offer: ComparedOffer) -> str:
    even = offer.comparison.break_even
    if even is None or even.early_day is None:
        return f"the API stays cheaper for all {days_text(life_days)} of the machine's life"
    if even.day is None:
        then = f"then it has paid for itself after {days_text(even.early_day)}"
        if not even.early_day:
            then = "then it costs less from the first day"
        return f"the API stays cheaper, unless price, use and speed all favour the machine: {then}"
    if not even.day:
        less = "the machine costs less than the API from the first day"
        return less if even.late_day is not None else f"{less}, but not {_AGAINST}"
    paid = f"the machine has paid for itself after {days_text(even.day)}"
    if even.late_day is None:
        return f"{paid}, but never {_AGAINST}"
    early, late = days_text(even.early_day), days_text(even.late_day)
    return paid if early == late else f"{paid} ({early} to {late})"


def days_text(days: int) -> str:
    """Return a time in the unit that people count it in: `40 days`, `14 months`, `4 years`."""
    if days <= _MOST_DAYS:
        return f"{days} day{'' if days == 1 else 's'}"
    months = round(days / DAYS_PER_MONTH)
    if months < _MOST_MONTHS:
        return f"{months} months"
    return f"{days / DAYS_PER_YEAR:.1f}".removesuffix(".0") + " years"
