"""Rates of RAM and PCIe, by arithmetic from the standards' data rates (`memory_systems.toml`)."""

from __future__ import annotations

from whatfits.sizing.catalog.index_file import read_json
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

__all__ = ["pcie_bandwidth_bytes_per_s", "ram_bandwidth_bytes_per_s", "ram_types"]

_INDEX: Final = "memory_systems.json"


def pcie_bandwidth_bytes_per_s(gen: int, lanes: int) -> int | None:
    """Return the payload bandwidth of a PCIe link in one direction; None for an unknown generation.

    Formula: transfers/s a lane × lanes / 8 × line code (8b/10b, 128b/130b, 242b/256b). Packet
    headers take some more of it.

    Raises:
        CatalogError: the packaged index is missing or broken.
    """
    for row in read_json(_INDEX)["pcie"]:
        if row["gen"] == gen and lanes > 0:
            bits = row["mt_per_s_per_lane"] * 10**6 * lanes * row["payload_bits"]
            return int(bits // (8 * row["line_bits"]))
    return None


def ram_types() -> tuple[str, ...]:
    """Return the kinds of RAM that a rate can be given for: `DDR4`, `DDR5`, ….

    Raises:
        CatalogError: the packaged index is missing or broken.
    """
    return tuple(dict.fromkeys(row["type"] for row in read_json(_INDEX)["ram_channels"]))


def ram_bandwidth_bytes_per_s(mt_per_s: int, *, channels: int) -> int:
    """Return the peak of so many 64-bit channels: MT/s × 8 bytes × channels."""
    return mt_per_s * 10**6 * 8 * channels
