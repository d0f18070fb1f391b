"""The RAM: how much there is, how much of it may be used, how much of that is free now.

Swap is never counted, pinned huge pages never are free, and a limit anywhere above this process
counts as the ceiling it is.
"""

from __future__ import annotations

import os

from whatfits.probes.drafts import Draft, read_text_or_none, size
from whatfits.probes.meminfo import HostRam, parse_meminfo, parse_vm_stat
from whatfits.probes.ram_limits import RamLimit, read_ram_limits
from whatfits.probes.system import SourceGarbledError, SourceMissingError
from whatfits.sizing.errors import ProbeError
from whatfits.sizing.machine import Pool
from whatfits.sizing.reserve import LIVE_RAM_RESERVE_BYTES
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import GIB, format_bytes

if TYPE_CHECKING:
    from typing import Final

    from whatfits.probes.report import Partial
    from whatfits.probes.system import System

__all__ = ["probe", "read_sysconf"]

_MEMINFO: Final = "/proc/meminfo"


def probe(system: System) -> Partial:
    """Return the pool `ram`; its size is None when no source told it."""
    draft = Draft()
    ram = _read_ram(system, draft)
    limits = read_ram_limits(system, ram) if system.platform == "linux" else ()
    draft.pools.append(_pool(ram, limits))
    _tell(draft, ram, limits)
    return draft.partial()


def _read_ram(system: System, draft: Draft) -> HostRam:
    """Return the first source that knows; each one that fails becomes a finding."""
    readers = {
        "linux": (_read_linux, _read_sysconf_ram),
        "darwin": (_read_macos, _read_psutil),
        "win32": (_read_windows, _read_psutil),
    }.get(system.platform, (_read_psutil, _read_sysconf_ram))
    for reader in readers:
        try:
            return reader(system)
        except ProbeError as error:
            draft.say("ram_source_failed", f"RAM: {error}.", warn=True)
    draft.say(
        "ram_unknown",
        "No source told how much RAM there is.",
        next_step="name the machine, as '--machine 64gb'",
        warn=True,
    )
    return HostRam(None, None, "no source", "unknown")


def _read_linux(system: System) -> HostRam:
    return parse_meminfo(
        system.read_text(_MEMINFO),
        arcstats=read_text_or_none(system, "/proc/spl/kstat/zfs/arcstats"),
    )


def _read_macos(system: System) -> HostRam:
    from whatfits.probes.sysctl import read_sysctl  # noqa: PLC0415 - on a Mac only

    total = read_sysctl(system).size("hw.memsize")
    if total is None:
        raise SourceGarbledError("sysctl gave no hw.memsize")
    try:
        available = parse_vm_stat(system.run(("/usr/bin/vm_stat",)), total_bytes=total)
    except ProbeError:
        available = None
    return HostRam(total, available, "sysctl hw.memsize, vm_stat", "derived")


def _read_windows(system: System) -> HostRam:
    from whatfits.probes.windows import parse_memory  # noqa: PLC0415 - only where it is needed

    return parse_memory(system.query("windows"))


def _read_psutil(system: System) -> HostRam:
    return _from_snapshot(system, "psutil")


def _read_sysconf_ram(system: System) -> HostRam:
    return _from_snapshot(system, "sysconf")


def _from_snapshot(system: System, name: str) -> HostRam:
    snapshot = system.query(name)
    total = size(snapshot.get("total_bytes"))
    if not total:
        raise SourceGarbledError(f"{name} told no size of the RAM")
    # sysconf counts page cache as taken: the least that can be free.
    return HostRam(total, size(snapshot.get("available_bytes")), name, "reported")


def read_sysconf() -> dict[str, object]:
    """Return total and free memory as the C library tells them; free leaves out the page cache.

    Raises:
        SourceMissingError: this C library does not tell.
    """
    try:
        page = os.sysconf("SC_PAGE_SIZE")
        pages, free_pages = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_AVPHYS_PAGES")
    except (AttributeError, ValueError, OSError) as error:
        raise SourceMissingError("sysconf does not tell the size of memory") from error
    return {"total_bytes": pages * page, "available_bytes": free_pages * page}


def _pool(ram: HostRam, limits: tuple[RamLimit, ...]) -> Pool:
    """Return the pool: min(limit, total) - used is what can really be had now."""
    lowest = min(limits, key=lambda limit: limit.limit_bytes, default=None)
    availables = [ram.available_bytes, *(limit.available_bytes for limit in limits)]
    known = [available for available in availables if available is not None]
    total = ram.total_bytes
    limit_bytes = None if lowest is None else lowest.limit_bytes
    used = None
    if total is not None and len(known) == len(availables):
        allowance = total if limit_bytes is None else min(total, limit_bytes)
        used = max(0, allowance - min(known))
    return Pool(
        id="ram",
        kind="ram",
        total_bytes=total,
        limit_bytes=limit_bytes,
        used_bytes=used,
        reserve_bytes=LIVE_RAM_RESERVE_BYTES,
        limit_source=None if lowest is None else lowest.source,
    )


def _tell(draft: Draft, ram: HostRam, limits: tuple[RamLimit, ...]) -> None:
    """Record where each figure comes from and what a person can do about it."""
    pool = draft.pools[0]
    source = ram.source
    draft.know("pools.ram.total_bytes", ram.total_bytes, unit="bytes", source=source)
    draft.know(
        "pools.ram.available_bytes",
        ram.available_bytes,
        unit="bytes",
        source=source,
        kind=ram.available_kind,
    )
    draft.know(
        "pools.ram.used_bytes",
        pool.used_bytes,
        unit="bytes",
        source="min(limit, total) - what can be had now",
        kind="derived",
    )
    for limit in limits:
        key = "pools.ram.limit_bytes" if limit.source == pool.limit_source else "ram.other_limit"
        draft.know(key, limit.limit_bytes, unit="bytes", source=limit.source)
        draft.say(
            limit.code,
            f"RAM is limited to {format_bytes(limit.limit_bytes)} of "
            f"{_shown(ram.total_bytes)} ({limit.source}).",
            next_step=limit.next_step,
        )
    if ram.total_bytes is not None and pool.used_bytes is None:
        draft.say(
            "ram_in_use_unknown",
            "How much RAM is in use could not be read.",
            next_step="add '--idle' to size for this machine after a restart",
            warn=True,
        )
    if ram.source == _MEMINFO and ram.available_kind == "derived":
        draft.say(
            "ram_available_derived",
            f"{_MEMINFO} tells no MemAvailable: what is free is taken as free memory and page "
            "cache.",
        )
    _tell_pinned(draft, ram)


def _tell_pinned(draft: Draft, ram: HostRam) -> None:
    """Record memory that is there but cannot be had, or is no RAM."""
    draft.know("ram.swap_bytes", ram.swap_bytes, unit="bytes", source="never counted as RAM")
    if ram.is_clamped:
        draft.say(
            "ram_available_above_total",
            f"{ram.source} claims more available memory than there is; the total is used.",
            warn=True,
        )
    if ram.huge_pages_bytes:
        draft.say(
            "huge_pages_reserved",
            f"{format_bytes(ram.huge_pages_bytes)} are set aside as huge pages; no model runtime "
            "uses them unless told to.",
            next_step="'sysctl vm.nr_hugepages=0' gives them back",
        )
    if ram.zfs_cache_bytes:
        draft.say(
            "zfs_cache",
            f"ZFS caches {format_bytes(ram.zfs_cache_bytes)}; it gives them back slowly, so they "
            "are not counted as free.",
            next_step="lower the module parameter zfs_arc_max",
        )
    if ram.installed_bytes is not None and ram.total_bytes is not None:
        draft.know("ram.installed_bytes", ram.installed_bytes, unit="bytes", source=ram.source)
        held = ram.installed_bytes - ram.total_bytes
        if held > GIB:
            draft.say(
                "ram_held_by_hardware",
                f"{format_bytes(held)} of {format_bytes(ram.installed_bytes)} installed are kept "
                "from the system by the hardware, most often for an integrated GPU.",
                next_step="the firmware setup tells how much (UMA frame buffer size)",
            )


def _shown(size_bytes: int | None) -> str:
    return "an unknown total" if size_bytes is None else format_bytes(size_bytes)
