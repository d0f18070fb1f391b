"""What a day costs on rented GPUs: the price an hour for every hour that they are let."""

from __future__ import annotations

from whatfits.sizing.costing.usage import SECONDS_PER_HOUR, TOKENS_PER_MTOK
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from whatfits.sizing.costing.usage import Usage
    from whatfits.sizing.needing.renting import Rented

__all__ = ["RentedDay", "rented_day"]


@dataclass(frozen=True, slots=True)
class RentedDay:
    """What an average day costs on GPUs of one offer.

    Attributes:
        machine: expression for `--machine`.
        provider: who lets them.
        terms: the provider's words for the kind of lease.
        usd_per_hour: of the GPUs together.
        usd_per_day: for the hours on of an average day.
        usd_per_mtok: the same over all tokens in and out, whether the hours hold them or not.
        writing_hours: for the output of a day of use; None where the speed is unknown.
        can_write_it: whether those are within the hours on; reading comes on top.
        as_of: day of the price, ISO 8601.
        age_days: days from then to the day of asking.
        source: where the price was read.
    """

    machine: str
    provider: str
    terms: str
    usd_per_hour: float
    usd_per_day: float
    usd_per_mtok: float
    writing_hours: float | None
    can_write_it: bool | None
    as_of: str
    age_days: int
    source: str


def rented_day(row: Rented, usage: Usage) -> RentedDay:
    """Return what the GPUs cost a day, by the hours on of the usage."""
    usd = row.usd_per_hour * usage.hours_on_per_day
    rate = row.decode_tokens_per_s
    hours = None if rate is None else usage.output_tokens_per_day / rate.mid / SECONDS_PER_HOUR
    return RentedDay(
        machine=row.machine,
        provider=row.provider,
        terms=row.terms,
        usd_per_hour=row.usd_per_hour,
        usd_per_day=usd * usage.days_share,
        usd_per_mtok=usd / usage.tokens_per_day * TOKENS_PER_MTOK,
        writing_hours=hours,
        can_write_it=None if hours is None else hours <= usage.hours_on_per_day,
        as_of=row.as_of,
        age_days=row.age_days,
        source=row.source,
    )
