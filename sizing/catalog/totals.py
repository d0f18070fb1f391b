"""What a driver reports of a marketed memory size. Used when the index is built.

Source: `driver_totals.toml`; the classes follow the kind of memory, because that is what takes the
difference: ECC in the card's own memory costs a sixteenth of GDDR and nothing of HBM.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from whatfits.sizing.units import GIB, MIB

if TYPE_CHECKING:
    from whatfits.sizing.catalog.schema import (
        DeviceRow,
        DriverTotalRow,
        DriverTotalsFile,
        TotalClass,
    )

__all__ = ["MarketedTotal", "marketed_totals"]


@dataclass(frozen=True, slots=True)
class MarketedTotal:
    """The total of one memory option of a device.

    Attributes:
        memory_gib: size as marketed.
        total_bytes: what the runtime sees, or most likely sees.
        low_bytes: lower end; None when the total is exact.
        basis: where the two come from, in words.
    """

    memory_gib: int
    total_bytes: int
    low_bytes: int | None
    basis: str


def marketed_totals(device: DeviceRow, table: DriverTotalsFile) -> tuple[MarketedTotal, ...]:
    """Return the total of every memory option of a device."""
    return tuple(_total(device, size, table) for size in device.memory_gib)


def _total(device: DeviceRow, memory_gib: int, table: DriverTotalsFile) -> MarketedTotal:
    for row in table.rows:
        if device.id in row.devices and memory_gib == row.memory_gib:
            return _observed(row)
    if device.unified_memory and _class(device) is None:
        return MarketedTotal(memory_gib, memory_gib * GIB, None, "memory as installed")
    typical, low = _ratios(device, table)
    marketed = memory_gib * GIB
    return MarketedTotal(
        memory_gib,
        round(marketed * typical / MIB) * MIB,
        round(marketed * low / MIB) * MIB,
        f"marketed as {memory_gib} GiB; drivers of such devices show {typical:.1%} of it in the "
        f"logs read, at least {low:.1%} with a margin",
    )


def _observed(row: DriverTotalRow) -> MarketedTotal:
    low = None if row.total_low_mib is None else row.total_low_mib * MIB
    return MarketedTotal(
        row.memory_gib,
        row.total_mib * MIB,
        low,
        f"{row.interface} showed {row.total_mib:,} MiB of {row.memory_gib} GiB ({row.source})",
    )


def _class(device: DeviceRow) -> TotalClass | None:
    """Return the class of a device; None where the marketed size is the installed RAM."""
    memory = device.memory_type or ""
    if device.kind == "embedded":
        return "embedded"
    if memory.startswith("HBM"):
        return "hbm"
    if device.unified_memory:
        return None
    if device.vendor == "Intel":
        return "gddr intel"
    return "gddr with ecc" if device.kind == "datacentre" else "gddr"


def _ratios(device: DeviceRow, table: DriverTotalsFile) -> tuple[float, float]:
    """Return (typical, lowest) share of the marketed size."""
    total_class = _class(device)
    ratios = [_ratio(row) for row in table.rows if row.total_class == total_class]
    low_ratios = ratios
    if device.kind == "workstation" and total_class == "gddr":
        # ECC is a switch on these cards; the lower end is that of a card with ECC.
        low_ratios = [_ratio(row) for row in table.rows if row.total_class == "gddr with ecc"]
    return median(ratios), min(low_ratios) - table.margin_ratio


def _ratio(row: DriverTotalRow) -> float:
    return row.total_mib / (row.memory_gib * 1024)
