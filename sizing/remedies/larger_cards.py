"""Cards with more memory than a machine has: what to size a model for that does not fit."""

from __future__ import annotations

from whatfits.sizing.catalog.lookup import device_entries, rental_offers
from whatfits.sizing.catalog.machines import KIND_OF_VENDOR, machine_expression
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.reserve import desktop_vram_reserve_bytes
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import GIB
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from collections.abc import Container, Iterator
    from typing import Final

    from whatfits.sizing.catalog.device_entries import DeviceEntry
    from whatfits.sizing.machine import Machine

__all__ = ["LargerCard", "larger_cards"]

# those that a person can buy and put into a PC come first
_KINDS: Final = {"discrete": 0, "workstation": 1, "datacentre": 2}
_USUAL_RAM_GIB: Final = 32
_LEAST_RAM_GIB: Final = 1  # what a machine expression can say
_SHOWN_SHORT: Final = 1.03  # drivers show a little less than is marketed


class LargerCard(NamedTuple):
    """One card in place of all that a machine has.

    Attributes:
        memory_gib: its marketed memory.
        name: the card in words.
        expression: the machine with it, for `--machine`.
        machine: that machine.
        launch_price_usd: of the card, at launch; None when not read.
    """

    memory_gib: int
    name: str
    expression: str
    machine: Machine
    launch_price_usd: int | None


def larger_cards(machine: Machine) -> Iterator[LargerCard]:
    """Yield a card of each memory size of the catalog above a machine's own, smallest first.

    A card of the maker that the machine's own are of; of one size the likeliest to be had: for PCs,
    with a price, for rent, the newest. Nothing where CPU and GPU share one memory: no card goes
    there.
    """
    pools = [machine.pool(device.pool) for device in machine.accelerators]
    host = machine.host_pool
    if host is None or host.kind != "ram" or any(pool.kind != "vram" for pool in pools):
        return
    kinds = {device.kind for device in machine.accelerators} or {"cuda"}
    present = max((pool.total_bytes or 0 for pool in pools), default=0)
    told = _USUAL_RAM_GIB if host.total_bytes is None else round(host.total_bytes / GIB)
    ram_gib = max(_LEAST_RAM_GIB, told)
    best: dict[int, DeviceEntry] = {}
    rented = {offer.device for offer in rental_offers()}
    for entry in sorted(device_entries(), key=lambda entry: _likeliest_last(entry, rented)):
        if entry.unified_memory or entry.kind not in _KINDS or entry.dies > 1:
            continue
        if KIND_OF_VENDOR[entry.vendor] in kinds:
            best |= dict.fromkeys(entry.memory_gib, entry)
    for memory_gib, entry in sorted(best.items()):
        if memory_gib * GIB <= present * _SHOWN_SHORT + GIB:
            continue
        option = f" {memory_gib}gb" if len(entry.memory_gib) > 1 else ""
        expression = f"{entry.id}{option} + {ram_gib}gb"
        yield LargerCard(
            memory_gib,
            entry.name,
            expression,
            _with_reserves_of(machine, machine_expression(expression)),
            entry.launch_price_usd,
        )


def _with_reserves_of(machine: Machine, other: Machine) -> Machine:
    """Return the other machine with what was asked to be kept free in pools of the same name.

    A desktop's usual part of a card is not asked for: it depends on the card.
    """
    usual_bytes = desktop_vram_reserve_bytes(headless=False)
    kept = {
        pool.id: pool.reserve_bytes
        for pool in machine.pools
        if pool.kind != "vram" or pool.reserve_bytes > usual_bytes
    }
    pools = tuple(
        replace(pool, reserve_bytes=max(pool.reserve_bytes, kept.get(pool.id, 0)))
        for pool in other.pools
    )
    return replace(other, pools=pools)


def _likeliest_last(entry: DeviceEntry, rented: Container[str]) -> tuple[int, bool, bool, str, str]:
    """Return what sorts cards so; one made for a single country (H800) has no price, nor a rent."""
    kind = -_KINDS.get(entry.kind, len(_KINDS))
    had = entry.launch_price_usd is not None, entry.id in rented
    return kind, *had, entry.released or "", entry.id
