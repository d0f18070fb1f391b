"""The day on which a machine of one's own has cost no more than an API, in closed form.

Until day d the cloud took cloud x d, the machine purchase + running x d: equal on the first whole
day d >= purchase / (cloud - running). A sale counts on the last day of the machine's life.
Error: none; tests/sizing/costing/test_break_even.py walks day by day instead.
"""

from __future__ import annotations

from fractions import Fraction

from whatfits.sizing.values import dataclass

__all__ = ["BreakEven", "break_even_day"]


@dataclass(frozen=True, slots=True)
class BreakEven:
    """When a machine has paid for itself, in days; None: never within its life.

    Attributes:
        early_day: with price, use and speed all in its favour.
        day: with each at its middle.
        late_day: with all against it.
    """

    early_day: int | None
    day: int | None
    late_day: int | None


def break_even_day(
    *,
    purchase_usd: float,
    resale_usd: float,
    life_days: int,
    running_usd_per_day: float,
    cloud_usd_per_day: float,
) -> int | None:
    """Return the first day on which it has cost no more than the cloud; None: not in its life.

    Exact, in fractions: a day that is hit to the cent must not be missed by a rounding. Day 0 is
    the day of purchase, on which a machine that costs nothing is even only if it saves something.
    """
    saving = Fraction(cloud_usd_per_day) - Fraction(running_usd_per_day)
    purchase = Fraction(purchase_usd)
    if saving > 0 and purchase <= saving * life_days:
        return -(-purchase // saving)
    if saving * life_days >= purchase - Fraction(resale_usd) and saving > 0:
        return life_days
    return None
