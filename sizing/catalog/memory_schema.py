"""The form of the catalog's file of memory systems: RAM, platforms, PCIe, links and networks."""

from __future__ import annotations

import datetime as dt  # noqa: TC003 - pydantic resolves it
from typing import Annotated

from pydantic import Field

from whatfits.sizing.catalog.schema import Id, Positive, Row, Text

__all__ = ["MemorySystemsFile", "PlatformRow"]


class RamChannelRow(Row):
    """One channel of RAM at one rate."""

    type: Text
    rate_mt_per_s: Positive
    bus_bits: Positive
    bandwidth_bytes_per_s: Positive


class PlatformRow(Row):
    """A CPU platform. `brand_pattern` is searched in the CPU's name where `brand_word` occurs."""

    id: Id
    kind: Text
    cpu_names: tuple[Text, ...] = Field(strict=False)
    brand_word: Annotated[str, Field(pattern=r"^[a-z0-9]+$")]
    brand_pattern: Text | None = None
    slower_sibling: Id | None = None
    channels_per_socket: Positive
    memory_type: Text
    max_official_mt_per_s: Positive
    peak_bandwidth_bytes_per_s_per_socket: Positive
    pcie_gen: Positive | None = None
    pcie_lanes: Positive | None = None
    max_sockets: Positive | None = None
    note: Text | None = None
    basis: Text


class PcieRow(Row):
    """One generation of PCIe: raw rate a lane, and its line code."""

    gen: Positive
    mt_per_s_per_lane: Positive
    payload_bits: Positive
    line_bits: Positive


class LinkRow(Row):
    """A link between devices or machines."""

    name: Text
    bandwidth_bytes_per_s_both_ways: Positive | None = None
    bandwidth_bytes_per_s_one_way: Positive | None = None
    note: Text | None = None
    basis: Text


class NetworkRow(Row):
    """A network between machines: peak one way, and the time of a message between programs."""

    id: Id
    name: Text
    bandwidth_bytes_per_s: Positive
    latency_low_ns: Positive
    latency_high_ns: Positive
    basis: Text


class MemorySystemsFile(Row):
    """`memory_systems.toml`."""

    source: Text
    checked: dt.date
    ram_channels: list[RamChannelRow]
    platforms: list[PlatformRow]
    pcie: list[PcieRow]
    links: list[LinkRow]
    networks: list[NetworkRow]
