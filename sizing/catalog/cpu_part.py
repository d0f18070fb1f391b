"""The CPU of a machine expression: named (`raspberry pi 5 8gb`), by its RAM's rate, or neither."""

from __future__ import annotations

from whatfits.sizing.catalog.expressions import without_size
from whatfits.sizing.catalog.memory_platforms import named_cpu
from whatfits.sizing.catalog.memory_rates import ram_bandwidth_bytes_per_s
from whatfits.sizing.errors import UnknownMachineError
from whatfits.sizing.machine import Device
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.catalog.expressions import DevicePart, RamPart
    from whatfits.sizing.machine import Pool

__all__ = ["CPU_ID", "CpuPart", "cpu_device", "cpu_part"]

CPU_ID: Final = "cpu"
_NUMBERS: Final = {1: "one channel", 2: "two channels"}
_UNVERIFIED: Final = ("unverified-bandwidth",)  # as every row of the platforms is


class CpuPart(NamedTuple):
    """A CPU that was named: in whose words, its peak bandwidth, the RAM written behind it."""

    name: str
    bandwidth_bytes_per_s: int
    ram: RamPart | None


def cpu_part(part: DevicePart) -> CpuPart | None:
    """Return a part as a CPU; None when it names none whose memory channels are known.

    Where its boards take one of two kinds of memory, the slower one counts.

    Raises:
        UnknownMachineError: no board has as many.
    """
    name, ram = without_size(part.text)
    platform = named_cpu(name)
    if platform is None:
        return None
    most = platform.max_sockets or 1
    if part.count > most:
        raise UnknownMachineError(
            what="machine", got=f"{part.count}x {name}", allowed=f"at most {most} in one machine"
        )
    low = platform.low_peak_bandwidth_bytes_per_s_per_socket
    peak = low or platform.peak_bandwidth_bytes_per_s_per_socket
    typed = f"{part.count}x {name}" if part.count > 1 else name
    return CpuPart(typed, part.count * peak, ram)


def cpu_device(host: Pool, ram: RamPart | None, cpu: CpuPart | None) -> Device:
    """Return the host's processor; a rate that was given for the RAM tells its bandwidth first."""
    name = "CPU" if cpu is None else cpu.name
    if host.kind != "ram":
        return Device(CPU_ID, "cpu", name, host.id)
    if ram is not None and ram.mt_per_s is not None:
        rate, channels = f"{ram.type}-{ram.mt_per_s}", ram.channels
        return Device(
            CPU_ID,
            "cpu",
            f"{name} with {_NUMBERS.get(channels, f'{channels} channels')} of {rate}",
            host.id,
            ram_bandwidth_bytes_per_s(ram.mt_per_s, channels=channels),
            features=(rate.casefold(),),
        )
    if cpu is None:
        return Device(CPU_ID, "cpu", name, host.id)
    return Device(CPU_ID, "cpu", name, host.id, cpu.bandwidth_bytes_per_s, features=_UNVERIFIED)
