"""How processors are arranged, from Linux's sysfs: cores, threads, sockets, kinds, caches.

Source: Linux kernel documentation, ABI/stable/sysfs-devices-system-cpu, admin-guide/cputopology.
"""

from __future__ import annotations

from whatfits.probes.drafts import read_text_or_none
from whatfits.probes.numa import parse_cpu_list
from whatfits.probes.system import SourceMissingError
from whatfits.sizing.errors import ProbeError
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import KIB, MIB
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

    from whatfits.probes.system import System

__all__ = ["Topology", "parse_cache_bytes", "read_topology"]

_CPU: Final = "/sys/devices/system/cpu"
_FAST_CORES: Final = "/sys/devices/cpu_core/cpus"
_KHZ: Final = 1000
_LEAST_CLOCK: Final = 100_000_000
_MOST_CLOCK: Final = 10_000_000_000  # beyond these it is no clock


@dataclass(frozen=True, slots=True)
class Topology:
    """Counts; None is unknown.

    Attributes:
        online: numbers of the processors (threads) that run.
        present: how many are built in, offline ones too.
        physical_cores: cores among those online.
        performance_cores: cores of the faster kinds (all, where there is one kind).
        worth_in_cores: what unequal cores are worth together, in the fastest; None where all are
            alike or the kernel does not say.
        clock_hz: highest clock of a core.
        sockets: packages.
        l3_bytes: one third-level cache.
        l3_total_bytes: all of them, taken as equal.
    """

    online: tuple[int, ...]
    present: int | None
    physical_cores: int | None
    performance_cores: int | None
    worth_in_cores: float | None
    clock_hz: int | None
    sockets: int | None
    l3_bytes: int | None
    l3_total_bytes: int | None


def parse_cache_bytes(text: str) -> int | None:
    """Return a cache size such as `32768K` in bytes; None for nonsense."""
    number, unit = text.strip()[:-1], text.strip()[-1:]
    factor = {"K": KIB, "M": MIB}.get(unit)
    return int(number) * factor if factor and number.isdecimal() and len(number) <= 9 else None  # noqa: PLR2004


def read_topology(system: System) -> Topology:
    """Return the arrangement as far as this kernel tells it."""
    online = parse_cpu_list(read_text_or_none(system, f"{_CPU}/online") or "")
    present = parse_cpu_list(read_text_or_none(system, f"{_CPU}/present") or "")
    cores = _physical_cores(system, online)
    l3, sharers = _third_level_cache(system)
    capacities = _capacities(system, cores)
    is_mixed = len(set(capacities or ())) > 1
    return Topology(
        online=online,
        present=len(present) or None,
        physical_cores=len(cores) or None,
        performance_cores=_performance_cores(system, cores, capacities) if cores else None,
        worth_in_cores=_worth(capacities) if capacities and is_mixed else None,
        clock_hz=_highest_clock(system, cores if is_mixed else {*cores[:1], *cores[-1:]}),
        sockets=_sockets(system, online),
        l3_bytes=l3,
        l3_total_bytes=_times(l3, processors=len(online), sharers=sharers),
    )


def _physical_cores(system: System, online: tuple[int, ...]) -> tuple[int, ...]:
    """Return one processor of each core, reading each core once."""
    if read_text_or_none(system, f"{_CPU}/smt/active") == "0":
        return online
    return _representatives(system, online, ("core_cpus_list", "thread_siblings_list"))


def _representatives(
    system: System, online: tuple[int, ...], files: tuple[str, ...]
) -> tuple[int, ...]:
    """Return one processor of each group that a topology file names; none when there is none."""
    left = dict.fromkeys(online)
    found = []
    while left:
        number = next(iter(left))
        folder = f"{_CPU}/cpu{number}/topology"
        texts = (read_text_or_none(system, f"{folder}/{file}") for file in files)
        group = parse_cpu_list(next((text for text in texts if text), ""))
        if number not in group:
            return ()
        found.append(number)
        for member in group:
            left.pop(member, None)
    return tuple(found)


def _performance_cores(
    system: System, cores: tuple[int, ...], capacities: tuple[int, ...] | None
) -> int | None:
    """Return the cores of the faster kinds: Intel's P cores, all but the smallest of ARM's.

    None when a file that tells kinds apart is there and cannot be read.
    """
    try:
        return len(set(cores) & set(parse_cpu_list(system.read_text(_FAST_CORES))))
    except SourceMissingError:
        return _larger_cores(cores, capacities)
    except ProbeError:
        return None


def _larger_cores(cores: tuple[int, ...], capacities: tuple[int, ...] | None) -> int | None:
    if capacities is None:
        return None
    larger = sum(capacity > min(capacities) for capacity in capacities)
    return larger or len(cores)  # without any this kernel knows one kind only


def _capacities(system: System, cores: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return what the kernel says each core is worth; none where it has one kind.

    None when a file that tells them is there and cannot be read.
    """
    files = [f"{_CPU}/cpu{number}/cpu_capacity" for number in cores]
    try:
        system.read_text(files[0] if files else f"{_CPU}/cpu0/cpu_capacity")
    except SourceMissingError:
        return ()
    except ProbeError:
        return None
    texts = (read_text_or_none(system, file) for file in files)
    capacities = tuple(int(text) for text in texts if text and text.isdecimal())
    return capacities if len(capacities) == len(cores) else None


def _worth(capacities: tuple[int, ...]) -> float | None:
    most = max(capacities)
    return round(sum(capacities) / most, 1) if most else None


def _highest_clock(system: System, cores: Iterable[int]) -> int | None:
    """Return the highest clock any of some cores may have; None where the system does not say."""
    files = (f"{_CPU}/cpu{number}/cpufreq/cpuinfo_max_freq" for number in sorted(cores))
    texts = [(read_text_or_none(system, file) or "").strip() for file in files]
    clocks = [_KHZ * int(text) for text in texts if text.isdecimal() and len(text) <= 9]  # noqa: PLR2004
    return max((clock for clock in clocks if _LEAST_CLOCK <= clock <= _MOST_CLOCK), default=None)


def _sockets(system: System, online: tuple[int, ...]) -> int | None:
    # ARM boards without firmware tables number their clusters as if they were sockets.
    is_arm = system.architecture.startswith(("arm", "aarch64"))
    if is_arm and read_text_or_none(system, "/sys/class/dmi/id/sys_vendor") is None:
        return 1 if online else None
    files = ("package_cpus_list", "core_siblings_list")
    return len(_representatives(system, online, files)) or None


def _times(cache_bytes: int | None, *, processors: int, sharers: int | None) -> int | None:
    """Return what all caches hold together; None when it is not told how many share one."""
    if cache_bytes is None or not sharers:
        return None
    return cache_bytes * max(1, round(processors / sharers))


def _third_level_cache(system: System) -> tuple[int | None, int | None]:
    """Return the size of the first third-level cache and how many processors share it."""
    folder = f"{_CPU}/cpu0/cache/index3"
    if read_text_or_none(system, f"{folder}/level") != "3":
        return None, None
    sharers = parse_cpu_list(read_text_or_none(system, f"{folder}/shared_cpu_list") or "")
    size_bytes = parse_cache_bytes(read_text_or_none(system, f"{folder}/size") or "")
    return size_bytes, len(sharers) or None
