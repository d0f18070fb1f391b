"""Memory that CPU and GPU share: what the GPU may have of it, and what is free of that now."""

from __future__ import annotations

from whatfits.probes.meminfo import HostRam, parse_meminfo
from whatfits.sizing.errors import ProbeError
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from whatfits.probes.system import System
    from whatfits.sizing.machine import Pool

__all__ = ["held_of", "join_ram", "read_host_ram"]


def read_host_ram(system: System) -> HostRam | None:
    """Return the RAM Linux knows; None when it cannot be read."""
    try:
        return parse_meminfo(system.read_text("/proc/meminfo"))
    except ProbeError:
        return None


def held_of(total_bytes: int, *, available_bytes: int | None) -> int | None:
    """Return what others hold of memory of which so much is available."""
    return None if available_bytes is None else max(0, total_bytes - available_bytes)


def join_ram(unified: Pool, ram: Pool) -> Pool:
    """Return the one pool of a machine whose GPU shares the RAM.

    The GPU's probe knows what the GPU may have, the memory probe what a container or a control
    group leaves: the tighter of both counts, for the limit and for what is free. Beside such a
    group the one limit is taken to bind all that lies there.

    Args:
        unified: as a GPU's probe gives it.
        ram: as the memory probe gives it.
    """
    total = ram.total_bytes if unified.total_bytes is None else unified.total_bytes
    limit, source = unified.limit_bytes, unified.limit_source
    if ram.limit_bytes is not None and (limit is None or ram.limit_bytes < limit):
        limit, source = ram.limit_bytes, ram.limit_source
    low = unified.limit_low_bytes
    joined = replace(
        unified,
        total_bytes=total,
        limit_bytes=limit,
        limit_low_bytes=None if low is None or limit is None else min(low, limit),
        limit_source=source,
        limit_scope=unified.limit_scope if ram.limit_bytes is None else "pool",
        reserve_bytes=ram.reserve_bytes,
    )
    seen = unified if joined.limit_scope == "pool" else unified.whole
    frees = [_free(seen)] if unified.total_bytes is not None else []
    if not frees or ram.limit_bytes is not None:
        frees.append(_free(ram))
    allowance = joined.whole.allowance_bytes
    known = [free for free in frees if free is not None]
    if allowance is None or not known or len(known) < len(frees):
        return replace(joined, used_bytes=None)
    return replace(joined, used_bytes=max(0, allowance - min(known)))


def _free(pool: Pool) -> int | None:
    return replace(pool, reserve_bytes=0).free_bytes
