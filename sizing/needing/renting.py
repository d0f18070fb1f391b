"""GPUs by the hour that run a model: what `need` says beside the machines that can be bought."""

from __future__ import annotations

import datetime as dt

from whatfits.sizing.estimate import RateRange  # noqa: TC001 - read by pydantic
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

    from whatfits.sizing.catalog.rentals import RentalOffer
    from whatfits.sizing.needing.rows import RunsOn

__all__ = [
    "RENT_RULE",
    "Rented",
    "age_days",
    "cheapest_of_each",
    "rent_warnings",
    "rented",
    "rented_order",
]

RENT_RULE: Final = (
    "Rented: of each offer the fewest GPUs, up to eight, that hold everything; cheapest an hour "
    "first, each at the price of its day."
)
_OLD_DAYS: Final = 90


@dataclass(frozen=True, slots=True)
class Rented:
    """GPUs of one offer that run it.

    Attributes:
        machine: expression for `--machine`, with a usual amount of RAM beside the GPUs.
        name: devices in words.
        devices: how many are rented: the fewest that hold it, or the fewest that are let.
        memory_gib: their marketed memory together.
        high_bytes: upper end of the need on all of it.
        decode_tokens_per_s: speed of writing; None when unknown.
        usd_per_hour: of the devices together.
        usd_per_gpu_hour: of one.
        provider: who lets them.
        offered_as: the provider's name of the GPU.
        terms: the provider's words for the kind of lease.
        as_of: day of the price, ISO 8601.
        age_days: days from then to the day of asking.
        source: where the price was read.
        checked: day of that reading.
        unverified: fields of the offer that nobody re-read; `device` where its name left the exact
            GPU open.
        note: what a reader must know of the price; None when there is nothing.
    """

    machine: str
    name: str
    devices: int
    memory_gib: int
    high_bytes: int
    decode_tokens_per_s: RateRange | None
    usd_per_hour: float
    usd_per_gpu_hour: float
    provider: str
    offered_as: str
    terms: str
    as_of: str
    age_days: int
    source: str
    checked: str
    unverified: tuple[str, ...]
    note: str | None


def age_days(as_of: str, *, today: dt.date) -> int:
    """Return the days from a day in ISO 8601 to `today`."""
    return (today - dt.date.fromisoformat(as_of)).days


def rented(offer: RentalOffer, runs: RunsOn, *, today: dt.date) -> Rented:
    """Return what an offer's devices cost together, and how old that price is."""
    return Rented(
        machine=runs.machine,
        name=runs.name,
        devices=runs.devices,
        memory_gib=runs.memory_gib,
        high_bytes=runs.high_bytes,
        decode_tokens_per_s=runs.decode_tokens_per_s,
        usd_per_hour=round(runs.devices * offer.usd_per_gpu_hour, 4),
        usd_per_gpu_hour=offer.usd_per_gpu_hour,
        provider=offer.provider,
        offered_as=offer.offered_as,
        terms=offer.terms,
        as_of=offer.as_of,
        age_days=age_days(offer.as_of, today=today),
        source=offer.source,
        checked=offer.checked,
        unverified=offer.unverified,
        note=offer.note,
    )


def rented_order(row: Rented) -> tuple[float, int, str, str, str]:
    """Return the key that puts the cheapest an hour first."""
    return row.usd_per_hour, row.memory_gib, row.provider, row.terms, row.machine


def cheapest_of_each(rows: Iterable[Rented]) -> tuple[Rented, ...]:
    """Return the first row of each number of each device: the cheapest, where they are in order."""
    first: dict[str, Rented] = {}
    for row in rows:
        first.setdefault(row.machine, row)
    return tuple(first.values())


def rent_warnings(rows: Iterable[Rented]) -> tuple[str, ...]:
    """Return a sentence where prices are more than 90 days old; none where none is."""
    ages = [row.age_days for row in rows]
    old = sum(age > _OLD_DAYS for age in ages)
    if not old:
        return ()
    if len(ages) == 1:
        return (f"Rents move: this price is {ages[0]} days old; look it up before you rent.",)
    said = (
        f"Rents move: {old} of these {len(ages)} prices {'is' if old == 1 else 'are'} more than "
        f"{_OLD_DAYS} days old, the oldest {max(ages)}; look them up before you rent."
    )
    return (said,)
