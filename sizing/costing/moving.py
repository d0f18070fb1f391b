"""What a break-even day rests on, each part moved in favour of the machine or against it.

Speed moves within its own interval; prices and use by shares that are the user's to set.
"""

from __future__ import annotations

from whatfits.sizing.costing.bounds import as_floats
from whatfits.sizing.costing.break_even import BreakEven, break_even_day
from whatfits.sizing.costing.local import Pace, busy_hours, local_day
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING, Literal
from whatfits.sizing.values import dataclass, replace

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ClassVar, Final

    from whatfits.sizing.costing.ownership import Ownership
    from whatfits.sizing.costing.usage import Usage

__all__ = ["Case", "Move", "MovedDay", "PaceRange", "Spreads", "checked_spreads"]

Move = Literal[-1, 0, 1]
_ENDS: Final[tuple[Move, Move]] = (1, -1)


@dataclass(frozen=True, slots=True)
class Spreads:
    """How far prices and use may lie from what is given, as a share to either side.

    Attributes:
        price: of the API and of electricity. The user's to set: no source tells a future price.
        use: of tokens. The user's to set.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    price: float = 0.2
    use: float = 0.5


def checked_spreads(spreads: Spreads) -> Spreads:
    """Return `spreads`, every number a float.

    Raises:
        InvalidRequestError: a share that would leave nothing.
    """
    for name in ("price", "use"):
        if not 0 <= getattr(spreads, name) < 1:
            raise InvalidRequestError(
                what=f"spreads.{name}", got=getattr(spreads, name), allowed="from 0 to below 1"
            )
    return as_floats(spreads)


@dataclass(frozen=True, slots=True)
class PaceRange:
    """Both speeds at the lower end, the middle and the upper end of their intervals."""

    low: Pace
    mid: Pace
    high: Pace

    def at(self, move: Move) -> Pace:
        """Return the lower end for -1, the middle for 0, the upper end for 1."""
        return (self.low, self.mid, self.high)[move + 1]


class MovedDay(NamedTuple):
    """An average day with parts moved.

    Attributes:
        running_usd_per_day: the machine's electricity.
        cloud_usd_per_day: the same tokens at the API.
        machine_can: whether the machine can do the work.
    """

    running_usd_per_day: float
    cloud_usd_per_day: float
    machine_can: bool


@dataclass(frozen=True, slots=True)
class Case:
    """Everything that a break-even day rests on.

    Attributes:
        usage: of a day of use.
        ownership: with its price known.
        paces: how fast the machine is.
        spreads: how far prices and use may lie off.
        cloud_usd_per_day: what a usage costs at the API on an average day.
    """

    usage: Usage
    ownership: Ownership
    paces: PaceRange
    spreads: Spreads
    cloud_usd_per_day: Callable[[Usage], float]

    def break_even(self) -> BreakEven:
        """Return the break-even day, its ends with every part moved."""
        early, late = (self.day(api_price=end, kwh_price=end, use=end, speed=end) for end in _ENDS)
        return BreakEven(early_day=early, day=self.day(), late_day=late)

    def days(self) -> tuple[MovedDay, ...]:
        """Return a day at the middle and at both ends; nothing where the machine's is unknown."""
        moved = self.moved()
        if moved is None:
            return ()
        ends = (self.moved(api_price=end, kwh_price=end, use=end, speed=end) for end in _ENDS)
        return (moved, *(end for end in ends if end is not None))

    def day(
        self, *, api_price: Move = 0, kwh_price: Move = 0, use: Move = 0, speed: Move = 0
    ) -> int | None:
        """Return the break-even day with parts moved for (1) or against (-1) the machine.

        None where it is not reached in the machine's life, where the machine cannot do the work,
        or where something it rests on is unknown. More use is at most what the machine can do.
        """
        moved = self.moved(api_price=api_price, kwh_price=kwh_price, use=use, speed=speed)
        owned, purchase = self.ownership, self.ownership.purchase_usd
        if moved is None or purchase is None or not moved.machine_can:
            return None
        return break_even_day(
            purchase_usd=purchase,
            resale_usd=owned.resale_usd or 0.0,
            life_days=owned.life_days,
            running_usd_per_day=moved.running_usd_per_day,
            cloud_usd_per_day=moved.cloud_usd_per_day,
        )

    def moved(
        self, *, api_price: Move = 0, kwh_price: Move = 0, use: Move = 0, speed: Move = 0
    ) -> MovedDay | None:
        """Return what a day then costs on both sides; None where the machine's is unknown."""
        pace = self.paces.at(speed)
        usage = self.usage.times(self._use_factor(use, pace))
        owned, spread = self.ownership, self.spreads.price
        if owned.usd_per_kwh is not None:
            owned = replace(owned, usd_per_kwh=owned.usd_per_kwh * (1 - kwh_price * spread))
        local = local_day(usage, owned, pace)
        if local.running_usd_per_day is None:
            return None
        return MovedDay(
            running_usd_per_day=local.running_usd_per_day,
            cloud_usd_per_day=self.cloud_usd_per_day(usage) * (1 + api_price * spread),
            machine_can=(local.utilisation or 0) <= 1,
        )

    def _use_factor(self, use: Move, pace: Pace) -> float:
        factor = 1 + use * self.spreads.use
        busy = busy_hours(self.usage, pace)
        if not busy or factor <= 1:
            return factor
        # a little below the limit, so that a rounding does not lift it above
        most = self.usage.hours_on_per_day / busy * (1 - 1e-9)
        return min(factor, max(most, 1.0))
