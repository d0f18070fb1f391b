"""CPU platforms and their memory channels.

Peaks are theoretical; a sustained read usually reaches 70-90 % of them.
Source: `memory_systems.toml`; every platform row is a vendor specification that was not re-read.
"""

from __future__ import annotations

import re

from whatfits.sizing.catalog.index_file import read_json
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from typing import Any, Final

__all__ = [
    "MemoryPlatform",
    "match_cpu",
    "matched_cpu",
    "named_cpu",
]

_INDEX: Final = "memory_systems.json"
_LONGEST_NAME: Final = 200
# Words that a person writes around the name of a CPU, none of which names another part.
_AROUND: Final = frozenset(
    {
        "amd",
        "intel",
        "nvidia",
        "qualcomm",
        "rockchip",
        "ampere",
        "core",
        "xeon",
        "snapdragon",
        "epyc",
    }
    | {"cpu", "processor", "model", "b", "a"}
)
_SHORT_PI: Final = re.compile(r"^\s*(?:raspberry\s*)?r?pi\s*(?=\d)", re.IGNORECASE)  # rpi5, pi 5
_TRADEMARKS: Final = re.compile(r"\((?:r|tm)\)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPlatform:
    """The memory system of a CPU family.

    Attributes:
        id: unique name.
        kind: `desktop`, `laptop`, `server`, ….
        cpu_names: CPUs it stands for, in words.
        channels_per_socket: memory channels; LPDDR buses are written as 64-bit channels.
        memory_type: as `DDR5`.
        max_official_mt_per_s: highest official rate; two modules a channel usually force less.
        peak_bandwidth_bytes_per_s_per_socket: all channels at that rate.
        low_peak_bandwidth_bytes_per_s_per_socket: the peak on boards with an older memory type,
            which the CPU's name does not rule out; None when there is none.
        pcie_gen: PCIe generation; None when not stated.
        pcie_lanes: lanes of it; None when not stated.
        max_sockets: sockets a board may have; None when not stated.
        note: what a reader must know; None when there is nothing.
        basis: how the row is known; every row is unverified so far.
    """

    id: str
    kind: str
    cpu_names: tuple[str, ...]
    channels_per_socket: int
    memory_type: str
    max_official_mt_per_s: int
    peak_bandwidth_bytes_per_s_per_socket: int
    low_peak_bandwidth_bytes_per_s_per_socket: int | None
    pcie_gen: int | None
    pcie_lanes: int | None
    max_sockets: int | None
    note: str | None
    basis: str

    @property
    def unverified(self) -> bool:
        """True when nobody re-read the row at its source."""
        return "unverified" in self.basis


def match_cpu(brand: str) -> MemoryPlatform | None:
    """Return the platform of a CPU by the name it gives itself; None when it is not sure which.

    `brand` is the model name of /proc/cpuinfo, sysctl or the registry. A laptop's CPU is not
    answered with the desktop platform of its generation.

    Raises:
        CatalogError: the packaged index is missing or broken.
    """
    found = matched_cpu(brand)
    return None if found is None else found[0]


def named_cpu(text: str) -> tuple[MemoryPlatform, str] | None:
    """Return the platform of a CPU as a person names it, and its name alone.

    None where other words stand beside it.

    Raises:
        CatalogError: the packaged index is missing or broken.
    """
    text = _SHORT_PI.sub("raspberry pi ", text)
    names = (text, f"core {text}", f"xeon {text}")  # i7-13700k, w7-3465x
    found = next(filter(None, map(matched_cpu, names)), None)
    if found is None:
        return None
    platform, match = found
    others = f"{match.string[: match.start()]} {match.string[match.end() :]}".casefold().split()
    return (platform, match.group()) if _AROUND.issuperset(others) else None


def matched_cpu(brand: str) -> tuple[MemoryPlatform, re.Match[str]] | None:
    """Return the platform of a CPU's name, and where in it the CPU is named.

    Raises:
        CatalogError: the packaged index is missing or broken.
    """
    if len(brand) > _LONGEST_NAME:
        return None
    text = " ".join(_TRADEMARKS.sub(" ", brand).split())
    lowered = text.casefold()
    rows: list[dict[str, Any]] = read_json(_INDEX)["platforms"]
    for row in rows:
        pattern = row.get("brand_pattern")
        if pattern and row["brand_word"] in lowered:
            match = re.search(pattern, text, re.IGNORECASE)
            if match is not None:
                return _platform(row, rows), match
    return None


def _platform(row: dict[str, Any], rows: list[dict[str, Any]]) -> MemoryPlatform:
    peak = "peak_bandwidth_bytes_per_s_per_socket"
    sibling = row.get("slower_sibling")
    low = next((other[peak] for other in rows if other["id"] == sibling), None)
    return MemoryPlatform(
        id=row["id"],
        kind=row["kind"],
        cpu_names=tuple(row["cpu_names"]),
        channels_per_socket=row["channels_per_socket"],
        memory_type=row["memory_type"],
        max_official_mt_per_s=row["max_official_mt_per_s"],
        peak_bandwidth_bytes_per_s_per_socket=row[peak],
        low_peak_bandwidth_bytes_per_s_per_socket=low,
        pcie_gen=row.get("pcie_gen"),
        pcie_lanes=row.get("pcie_lanes"),
        max_sockets=row.get("max_sockets"),
        note=row.get("note"),
        basis=row["basis"],
    )
