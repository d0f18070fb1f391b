"""How processors are arranged, from Linux's sysfs: cores, threads, sockets, kinds, caches.

Source: Linux kernel documentation, ABI/stable/sysfs-devices-system-cpu, admin-guide/cputopology.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whatfits.probes.drafts import read_text_or_none
from whatfits.probes.numa import parse_cpu_list
from whatfits.probes.system import SourceMissingError
from whatfits.sizing.errors import ProbeError
from whatfits.sizing.units import KIB, MIB
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from whatfits.probes.system import System

__all__ = ["Topology", "parse_cache_bytes", "read_topology"]

_CPU: Final = "/sys/devices/system/cpu"
_FAST_CORES: Final = "/sys/devices/cpu_core/cpus"


@dataclass(frozen=True, slots=True)
class Topology:
    """Counts; None is unknown.

    Attributes:
        online: numbers of the processors (threads) that run.
        present: how many are built in, offline ones too.
        physical_cores: cores among those online.
        performance_cores: cores of the faster kinds (all, where there is one kind).
        sockets: packages.
        l3_bytes: one third-level cache.
        l3_total_bytes: all of them, taken as equal.
    """

    online: tuple[int, ...]
    present: int | None
    physical_cores: int | None
    performance_cores: int | None
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
    return Topology(
        online=online,
        present=len(present) or None,
        physical_cores=len(cores) or None,
        performance_cores=_performance_cores(system, cores) if cores else None,
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


def _performance_cores(system: System, cores: tuple[int, ...]) -> int | None:
    """Return the cores of the faster kinds: Intel's P cores, all but the smallest of ARM's.

    None when a file that tells kinds apart is there and cannot be read.
    """
    try:
        return len(set(cores) & set(parse_cpu_list(system.read_text(_FAST_CORES))))
    except SourceMissingError:
        return _larger_cores(system, cores)
    except ProbeError:
        return None


def _larger_cores(system: System, cores: tuple[int, ...]) -> int | None:
    files = [f"{_CPU}/cpu{number}/cpu_capacity" for number in cores]
    try:
        system.read_text(files[0])
    except SourceMissingError:
        return len(cores)  # this kernel knows one kind only
    except ProbeError:
        return None
    texts = (read_text_or_none(system, file) for file in files)
    capacities = [int(text) for text in texts if text and text.isdecimal()]
    if len(capacities) < len(cores):
        return None
    larger = sum(capacity > min(capacities) for capacity in capacities)
    return larger or len(cores)


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
