"""What of an owner's costs is looked up where it was not given: price, power, electricity."""

from __future__ import annotations

from whatfits.sizing.costing.usage import TOKENS_PER_MTOK
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass, replace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Final

    from whatfits.sizing.catalog.lookup import DeviceEntry
    from whatfits.sizing.catalog.token_prices import ElectricityPrice
    from whatfits.sizing.costing.ownership import Ownership
    from whatfits.sizing.estimate import Speed
    from whatfits.sizing.machine import Machine

__all__ = ["Fact", "Known", "find_region", "load_watts_of", "purchase_of", "with_facts"]

_JOULES_PER_KWH: Final = 3.6e6


@dataclass(frozen=True, slots=True)
class Fact:
    """A value that was looked up.

    Attributes:
        value: the value.
        source: where.
        as_of: day or month of the source, ISO 8601; None where it has none.
        is_unverified: nobody re-read it at a source.
    """

    value: float
    source: str
    as_of: str | None = None
    is_unverified: bool = False


class Known(NamedTuple):
    """An owner's costs with what was looked up filled in, and the facts by their key."""

    ownership: Ownership
    facts: dict[str, Fact]


def with_facts(ownership: Ownership, **found: Fact | None) -> Known:
    """Return `ownership` with its unknown fields filled from `found`, which is named by field."""
    used = {
        name: fact
        for name, fact in found.items()
        if fact is not None and getattr(ownership, name) is None
    }
    filled = replace(ownership, **{name: fact.value for name, fact in used.items()})
    return Known(filled, {f"ownership.{name}": fact for name, fact in used.items()})


def purchase_of(machine: Machine, entry_of: Callable[[str], DeviceEntry | None]) -> Fact | None:
    """Return what the machine's accelerators cost together at launch; None where one is unknown.

    The rest of the PC is not in it: what there is to buy beside the cards is the owner's to say.
    """
    entries = [entry_of(device.name) for device in machine.accelerators]
    prices = [None if entry is None else entry.launch_price_usd for entry in entries]
    if not prices or None in prices:
        return None
    known = [entry for entry in entries if entry is not None]
    bases = dict.fromkeys(entry.launch_price_basis or "launch price" for entry in known)
    names = dict.fromkeys(entry.name for entry in known)
    months = [entry.released for entry in known if entry.released is not None]
    return Fact(
        float(sum(price for price in prices if price is not None)),
        f"{' and '.join(names)}, without the PC around it: {', '.join(bases)}",
        max(months, default=None),
        any("launch_price_usd" in entry.unverified for entry in known),
    )


def load_watts_of(speed: Speed | None) -> Fact | None:
    """Return what the accelerators draw at work, from the energy of a token; None if unknown.

    kWh a million tokens x tokens a second: their power limits, each while it works.
    """
    if speed is None or speed.decode_tokens_per_s is None:
        return None
    energy = speed.energy_per_million_tokens_kwh
    if energy is None:
        return None
    joules_per_token = energy.mid * _JOULES_PER_KWH / TOKENS_PER_MTOK
    watts = joules_per_token * speed.decode_tokens_per_s.mid
    return Fact(round(watts, 1), "the accelerators' power limits, each for the time it works")


def find_region(regions: Sequence[ElectricityPrice], name: str) -> Fact:
    """Return the price of a kWh in a region.

    Raises:
        InvalidRequestError: there is none of that name.
    """
    wanted = name.strip().casefold().replace(" ", "-")
    for row in regions:
        if wanted in (row.id.casefold(), row.region.casefold().replace(" ", "-")):
            source = f"{row.region}, {row.kind}, {row.period}: {row.source}"
            return Fact(row.usd_per_kwh, source, row.as_of, "usd_per_kwh" in row.unverified)
    raise InvalidRequestError(
        what="region",
        got=name,
        allowed=", ".join(sorted(row.id for row in regions)),
        next_step="or give the price of a kWh",
    )
