"""How fast a card can be reached over PCI Express: the narrowest hop between it and the host."""

from __future__ import annotations

from whatfits.probes.drafts import whole_number
from whatfits.probes.pci import BUS, NO_GPU_VENDORS, hexadecimal
from whatfits.probes.system import SourceMissingError
from whatfits.sizing.errors import ProbeError
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.probes.pci import GpuFunction
    from whatfits.probes.system import System

__all__ = ["link_bytes_per_s", "read_link_bytes_per_s"]

# GT/s a lane -> bytes/s a lane and direction, after line coding (8b/10b, 128b/130b, FLIT).
_LANE_BYTES_PER_S: Final = {
    "2.5": 250_000_000,
    "5": 500_000_000,
    "8": 984_600_000,
    "16": 1_969_200_000,
    "32": 3_938_400_000,
    "64": 7_563_000_000,
}
_GENERATION_SPEED: Final = {1: "2.5", 2: "5", 3: "8", 4: "16", 5: "32", 6: "64"}
_MAX_LANES: Final = 32
_EXTERNAL_HOPS: Final = 2  # root port and card: more means a switch in between


def link_bytes_per_s(*, speed: str | int | None, lanes: int | None) -> int | None:
    """Return the one-way rate of a PCIe link.

    Args:
        speed: a generation (4), or sysfs text (`16.0 GT/s PCIe`).
        lanes: width of the link.
    """
    if lanes is None or not 1 <= lanes <= _MAX_LANES or speed is None:
        return None
    if isinstance(speed, int):
        rate = _GENERATION_SPEED.get(speed)
    else:
        rate = speed.split()[0].removesuffix(".0") if speed.split() else None
    per_lane = _LANE_BYTES_PER_S.get(rate or "")
    return None if per_lane is None else per_lane * lanes


def read_link_bytes_per_s(system: System, function: GpuFunction) -> int | None:
    """Return the one-way rate between the host and a card: the narrowest hop on its way.

    The card's own function is not enough: many cards carry a switch whose inner link is wider than
    the slot, or (Arc) states 2.5 GT/s and one lane. Idle links slow down but keep their width, so
    each hop counts with the highest speed it can reach and the lanes it has. Ports that a virtual
    machine makes up tell nothing; None where the way, or a hop on it, cannot be read.
    """
    try:
        hops = _hops(system, function)
        return _narrowest_bytes_per_s(system, function, hops)
    except ProbeError:
        return None


def _narrowest_bytes_per_s(system: System, function: GpuFunction, hops: list[str]) -> int | None:
    vendors = [hexadecimal(_read_if_there(system, f"{hop}/vendor")) for hop in hops]
    if len(hops) > _EXTERNAL_HOPS and vendors[-2] == function.vendor_id:
        del hops[-2:]  # the link inside the card: its switch's port, and the GPU itself
    rates = [
        rate
        for hop, vendor in zip(hops, vendors, strict=False)
        if vendor not in NO_GPU_VENDORS and (rate := _hop_bytes_per_s(system, hop))
    ]
    return min(rates, default=None)


def _hop_bytes_per_s(system: System, hop: str) -> int | None:
    names = ("max_link_width", "current_link_width")
    widths = [whole_number(_read_if_there(system, f"{hop}/{name}")) for name in names]
    return link_bytes_per_s(
        speed=_read_if_there(system, f"{hop}/max_link_speed"),
        lanes=min((width for width in widths if width), default=None),
    )


def _read_if_there(system: System, path: str) -> str | None:
    """Return a file; None when there is none: ports of a root complex have no link of their own."""
    try:
        return system.read_text(path).strip()
    except SourceMissingError:
        return None


def _hops(system: System, function: GpuFunction) -> list[str]:
    try:
        target = system.read_link(f"{BUS}/{function.address}")
    except SourceMissingError:
        return [function.path]
    bridges = [part for part in target.split("/") if part.count(":") == 2 and "." in part]  # noqa: PLR2004
    return [f"{BUS}/{address}" for address in bridges] or [function.path]
