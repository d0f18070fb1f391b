"""The rows of `need`: a machine that runs a model, what it takes there, and its price at launch."""

from __future__ import annotations

from whatfits.sizing.estimate import RateRange  # noqa: TC001 - read by pydantic
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable

    from whatfits.sizing.catalog.device_entries import DeviceEntry
    from whatfits.sizing.needing.renting import Rented
    from whatfits.sizing.needing.trials import Tried
    from whatfits.sizing.workload import Workload

__all__ = ["Need", "RunsOn", "cheapest_first", "plain_ram", "row_of"]


@dataclass(frozen=True, slots=True)
class RunsOn:
    """A machine that runs it.

    Attributes:
        machine: expression for `--machine`; what is added, for an addition.
        name: devices in words.
        devices: how many of them.
        memory_gib: their marketed memory together.
        high_bytes: upper end of the need on all of it.
        decode_tokens_per_s: speed of writing; None when unknown.
        launch_price_usd: of the devices together, at launch; None when not read.
        price_basis: how the price is known.
        released: month the device came out, `2024-07`; None when not read.
        power_watts: of the devices together; None when not read.
    """

    machine: str
    name: str
    devices: int
    memory_gib: int
    high_bytes: int
    decode_tokens_per_s: RateRange | None
    launch_price_usd: int | None
    price_basis: str | None
    released: str | None
    power_watts: int | None


@dataclass(frozen=True, slots=True)
class Need:
    """Which machines run a model.

    Attributes:
        cards: PCs with cards of one kind.
        shared: machines whose CPU and GPU share one memory.
        ram: the least plain RAM; None where not even the most holds it.
        additions: cards, or RAM, that could be added to the machine that was asked about.
        runs_here: whether it runs there as it is.
        rented: GPUs by the hour, the cheapest first; none where nobody said what day it is.
        workload: what it was asked for, the sequences of all users together.
    """

    cards: tuple[RunsOn, ...]
    shared: tuple[RunsOn, ...]
    ram: RunsOn | None
    additions: tuple[RunsOn, ...]
    runs_here: bool
    rented: tuple[Rented, ...]
    workload: Workload


def row_of(
    entry: DeviceEntry, expression: str, count: int, memory_gib: int, tried: Tried
) -> RunsOn:
    """Return so many devices of a kind as a row; prices and watts are those of all together."""
    price, watts = entry.launch_price_usd, entry.power_watts
    several = f"{count} × " if count > 1 else ""
    size = f" {memory_gib} GiB" if len(entry.memory_gib) > 1 else ""
    return RunsOn(
        machine=expression,
        name=f"{several}{entry.name}{size}",
        devices=count,
        memory_gib=count * memory_gib,
        high_bytes=tried.high_bytes,
        decode_tokens_per_s=tried.rate,
        launch_price_usd=None if price is None else count * price,
        price_basis=None if price is None else entry.launch_price_basis,
        released=entry.released,
        power_watts=None if watts is None else count * watts,
    )


def cheapest_first(found: Iterable[RunsOn]) -> tuple[RunsOn, ...]:
    """Return rows by their price at launch; those without one by memory, behind the others."""

    def order(row: RunsOn) -> tuple[bool, int, int, int, str]:
        price = row.launch_price_usd
        return price is None, price or 0, row.memory_gib, row.devices, row.machine

    return tuple(sorted(found, key=order))


def plain_ram(memory_gib: int, tried: Tried, *, name: str) -> RunsOn:
    """Return RAM alone as a row: that of a PC without a card, or what is added to one."""
    return RunsOn(
        machine=f"{memory_gib}gb",
        name=name,
        devices=0,
        memory_gib=memory_gib,
        high_bytes=tried.high_bytes,
        decode_tokens_per_s=tried.rate,
        launch_price_usd=None,
        price_basis=None,
        released=None,
        power_watts=None,
    )
