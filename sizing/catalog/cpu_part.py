"""The CPU of a machine expression: named (`raspberry pi 5 8gb`), by its RAM's rate, or neither."""

from __future__ import annotations

from whatfits.sizing.catalog.expressions import without_machine, without_size
from whatfits.sizing.catalog.memory_platforms import named_cpu
from whatfits.sizing.catalog.memory_rates import ram_bandwidth_bytes_per_s
from whatfits.sizing.catalog.processor_facts import processor_facts, processor_named
from whatfits.sizing.errors import UnknownMachineError
from whatfits.sizing.machine import Device
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.catalog.expressions import DevicePart, RamPart
    from whatfits.sizing.catalog.processor_facts import ProcessorFacts
    from whatfits.sizing.machine import Pool

__all__ = ["CPU_ID", "CpuPart", "cpu_device", "cpu_part"]

CPU_ID: Final = "cpu"
_NUMBERS: Final = {1: "one channel", 2: "two channels"}
_UNVERIFIED: Final = ("unverified-bandwidth",)  # as every row of the platforms is


class CpuPart(NamedTuple):
    """A CPU that was named: in whose words, its peak bandwidth, the RAM written behind it.

    `sockets` of it multiply as its `facts` tell, which are None where its maker's were not found.
    """

    name: str
    bandwidth_bytes_per_s: int
    ram: RamPart | None
    sockets: int = 1
    facts: ProcessorFacts | None = None


def cpu_part(part: DevicePart) -> CpuPart | None:
    """Return a part as a CPU; None when it names none whose memory channels are known.

    Where its boards take one of two kinds of memory, the slower one counts.

    Raises:
        UnknownMachineError: no board has as many.
    """
    named, ram = without_size(part.text)
    name = without_machine(named)
    found = named_cpu(name) or named_cpu(processor_named(name) or "")
    if found is None:
        return None
    platform, own_name = found
    most = platform.max_sockets or 1
    if part.count > most:
        raise UnknownMachineError(
            what="machine", got=f"{part.count}x {name}", allowed=f"at most {most} in one machine"
        )
    low = platform.low_peak_bandwidth_bytes_per_s_per_socket
    peak = low or platform.peak_bandwidth_bytes_per_s_per_socket
    facts = processor_facts(own_name)
    return CpuPart(_times(part.count, name), part.count * peak, ram, part.count, facts)


def cpu_device(host: Pool, ram: RamPart | None, cpu: CpuPart | None) -> Device:
    """Return the host's processor; a rate that was given for the RAM tells its bandwidth first."""
    if host.kind != "ram":
        return Device(CPU_ID, "cpu", "CPU" if cpu is None else cpu.name, host.id)
    named = _named_device(host, cpu)
    if ram is None or ram.mt_per_s is None:
        return named
    rate, channels = f"{ram.type}-{ram.mt_per_s}", ram.channels
    return replace(
        named,
        name=f"{named.name} with {_NUMBERS.get(channels, f'{channels} channels')} of {rate}",
        bandwidth_bytes_per_s=ram_bandwidth_bytes_per_s(ram.mt_per_s, channels=channels),
        features=(rate.casefold(), *(f for f in named.features if f not in _UNVERIFIED)),
    )


def _named_device(host: Pool, cpu: CpuPart | None) -> Device:
    """Return the processor as its name tells it, all of its channels filled at the full rate."""
    if cpu is None:
        return Device(CPU_ID, "cpu", "CPU", host.id)
    peak, facts = cpu.bandwidth_bytes_per_s, cpu.facts
    if facts is None:
        return Device(CPU_ID, "cpu", cpu.name, host.id, peak, features=_UNVERIFIED)
    fast = facts.fast_cores
    return Device(
        CPU_ID,
        "cpu",
        _times(cpu.sockets, facts.name),
        host.id,
        peak,
        features=(*_UNVERIFIED, *facts.features),
        cores=cpu.sockets * facts.cores,
        fast_cores=None if fast is None else cpu.sockets * fast,
        clock_hz=facts.clock_hz,
    )


def _times(count: int, name: str) -> str:
    return f"{count}x {name}" if count > 1 else name
