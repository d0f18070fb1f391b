"""The order that CUDA counts unlike cards in: the fastest first, unless it is told to count by bus.

The driver lists cards by bus address, and so does every report of it; a share or a number means the
same card to both only where CUDA is told to count so.
Source: CUDA C++ Programming Guide, environment variables (CUDA_DEVICE_ORDER; FASTEST_FIRST is its
default).
"""

from __future__ import annotations

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.machine import Device, Machine

__all__ = ["BY_BUS", "BY_BUS_SETTING", "must_count_by_bus"]

BY_BUS_SETTING: Final = ("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
BY_BUS: Final = "=".join(BY_BUS_SETTING)
_READ_FROM_BUS: Final = "pci:"


def must_count_by_bus(machine: Machine) -> bool:
    """Return whether CUDA would by itself count a machine's cards otherwise than they are listed.

    Cards that were read are listed by bus address. Of cards that were only named, those that are
    not named fastest first are taken to be listed so too.
    """
    cards = [d for d in machine.accelerators if d.kind == "cuda" and not d.is_slice]
    if len({(card.name, machine.pool(card.pool).total_bytes) for card in cards}) < 2:  # noqa: PLR2004
        return False
    return any(map(_was_read, cards)) or not _is_fastest_first(cards)


def _was_read(card: Device) -> bool:
    return any(feature.startswith(_READ_FROM_BUS) for feature in card.features)


def _is_fastest_first(cards: list[Device]) -> bool:
    rates = [card.fp16_flops_per_s for card in cards]
    known = [rate for rate in rates if rate is not None]
    return known == rates and known == sorted(known, reverse=True)
