"""What owning, an API and a rented GPU have cost by each month of a machine's life, as lines.

own(d) = purchase + running x d, less the resale on the last day; rent(d) = rent x d; api(d) =
price of a day x d. The ends of a line have every part moved for or against the machine, as the
ends of the break-even day do; a crossing is that day. Error: none beyond that of those figures.
"""

from __future__ import annotations

from whatfits.sizing.costing.break_even import BreakEven
from whatfits.sizing.costing.composing import pace_range
from whatfits.sizing.costing.moving import Case
from whatfits.sizing.costing.ownership import DAYS_PER_MONTH
from whatfits.sizing.typed import TYPE_CHECKING, Literal
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from whatfits.sizing.costing.answer import ComparedOffer, CostAnswer
    from whatfits.sizing.costing.moving import Spreads
    from whatfits.sizing.costing.rental import RentedDay
    from whatfits.sizing.costing.usage import Usage

__all__ = ["CostLine", "CostLines", "CostPoint", "Crossing", "cost_lines"]

Kind = Literal["own", "rent", "api"]


@dataclass(frozen=True, slots=True)
class CostPoint:
    """What was paid until a day, in US dollars.

    Attributes:
        day: days since the purchase.
        low_usd: at the lower end.
        usd: with every part at its middle.
        high_usd: at the upper end.
    """

    day: int
    low_usd: float
    usd: float
    high_usd: float

    @property
    def months(self) -> float:
        """The day in months."""
        return self.day / DAYS_PER_MONTH


@dataclass(frozen=True, slots=True)
class CostLine:
    """One way to have the tokens.

    Attributes:
        kind: `own`, `rent` or `api`.
        points: a month apart, the first on the day of purchase, the last at the end of the life.
        sold: the last point once the machine is sold; None where a sale brings nothing.
    """

    kind: Kind
    points: tuple[CostPoint, ...]
    sold: CostPoint | None = None


@dataclass(frozen=True, slots=True)
class Crossing:
    """Where the machine has cost no more than another way.

    Attributes:
        kind: the other way, `rent` or `api`.
        even: the day, with its ends.
        usd: what was paid by that day, the other way; None where the day is never reached.
    """

    kind: Kind
    even: BreakEven
    usd: float | None


@dataclass(frozen=True, slots=True)
class CostLines:
    """The lines that can be told, and where they cross.

    Attributes:
        life_days: days that they are drawn over.
        lines: own where its price is known, then the API, then the rented GPU.
        crossings: of the own line with each of the others.
    """

    life_days: int
    lines: tuple[CostLine, ...]
    crossings: tuple[Crossing, ...]


def cost_lines(
    answer: CostAnswer,
    offer: ComparedOffer | None,
    rent: RentedDay | None,
    spreads: Spreads,
    *,
    life_days: int,
) -> CostLines:
    """Return the lines of an answer against one API and one rented GPU.

    `spreads` are those that the answer was asked with; `life_days` how far the lines go, the
    machine's life. Rents are at their price of today: nobody said how far they may move.
    """
    days = _days(life_days)
    lines, crossings = [], []
    api = None if offer is None else _case(answer, offer.cloud.usd_per_day, spreads, grows=True)
    rental = None if rent is None else _case(answer, rent.usd_per_day, spreads, grows=False)
    known = api or rental
    if known is not None and known.days():
        lines.append(_own(known, days))
    if offer is not None:
        ends = api.days() if api is not None else ()
        per_day = [offer.cloud.usd_per_day, *(end.cloud_usd_per_day for end in ends)]
        lines.append(CostLine("api", _points(days, 0.0, offer.cloud.usd_per_day, per_day)))
        crossings += _crossing("api", api, offer.cloud.usd_per_day)
    if rent is not None:
        lines.append(CostLine("rent", _points(days, 0.0, rent.usd_per_day, [rent.usd_per_day])))
        crossings += _crossing("rent", rental, rent.usd_per_day)
    return CostLines(life_days, tuple(lines), tuple(crossings))


def _days(life_days: int) -> list[int]:
    months = int(life_days / DAYS_PER_MONTH)
    return sorted({*(round(month * DAYS_PER_MONTH) for month in range(months + 1)), life_days})


def _case(answer: CostAnswer, usd_per_day: float, spreads: Spreads, *, grows: bool) -> Case | None:
    """Return the machine against a price of a day, which `grows` with the tokens or does not."""
    if answer.local is None or answer.local.ownership.purchase_usd is None:
        return None
    asked = answer.usage.tokens_per_day

    def cloud(usage: Usage) -> float:
        return usd_per_day * usage.tokens_per_day / asked if grows else usd_per_day

    return Case(answer.usage, answer.local.ownership, pace_range(answer.speed), spreads, cloud)


def _own(case: Case, days: list[int]) -> CostLine:
    owned, moved = case.ownership, case.days()
    purchase, resale = owned.purchase_usd or 0.0, owned.resale_usd or 0.0
    running = [day.running_usd_per_day for day in moved]
    points = _points(days, purchase, running[0], running)
    last = points[-1]
    sold = CostPoint(last.day, last.low_usd - resale, last.usd - resale, last.high_usd - resale)
    return CostLine("own", points, sold if resale else None)


def _points(
    days: list[int], start_usd: float, usd_per_day: float, every: list[float]
) -> tuple[CostPoint, ...]:
    low, high = min(every), max(every)
    return tuple(
        CostPoint(day, start_usd + low * day, start_usd + usd_per_day * day, start_usd + high * day)
        for day in days
    )


def _crossing(kind: Kind, case: Case | None, usd_per_day: float) -> list[Crossing]:
    """Return where the machine's line meets another; nothing where the machine's is unknown.

    A rent is paid by the hour, whatever the use: neither moves with its ends.
    """
    if case is None or not case.days():
        return []
    even = case.break_even()
    if kind == "rent":
        early, late = case.day(kwh_price=1, speed=1), case.day(kwh_price=-1, speed=-1)
        even = BreakEven(early_day=early, day=even.day, late_day=late)
    return [Crossing(kind, even, None if even.day is None else usd_per_day * even.day)]
