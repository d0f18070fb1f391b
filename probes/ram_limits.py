"""Ceilings on RAM below what is built in: control groups, nodes, `ulimit`, 32-bit addresses."""

from __future__ import annotations

from whatfits.probes.cgroup import MemoryGroup, is_memory_limit, read_memory_groups
from whatfits.probes.drafts import read_text_or_none
from whatfits.probes.host_kind import how_to_raise_memory, read_host_kind
from whatfits.probes.numa import read_numa_nodes
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import GIB
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from typing import Final

    from whatfits.probes.meminfo import HostRam
    from whatfits.probes.system import System

__all__ = ["RamLimit", "is_ram_limit", "read_ram_limits"]

_32_BIT: Final = ("i386", "i486", "i586", "i686", "armv6l", "armv7l", "armv8l")
_USER_SPACE_32_BIT_BYTES: Final = 3 * GIB
_PROCESS_LIMITS: Final = "/proc/self/limits"


@dataclass(frozen=True, slots=True)
class RamLimit:
    """A ceiling below the physical total.

    Attributes:
        limit_bytes: the ceiling.
        available_bytes: what is left below it now; None when that cannot be read.
        source: where it stands, in words.
        code: of the finding that tells of it.
        next_step: how to raise it.
    """

    limit_bytes: int
    available_bytes: int | None
    source: str
    code: str
    next_step: str


def is_ram_limit(path: str) -> bool:
    """Return whether a file may hold a ceiling, or tells where one stands."""
    return path == _PROCESS_LIMITS or is_memory_limit(path)


def read_ram_limits(system: System, ram: HostRam) -> tuple[RamLimit, ...]:
    """Return the ceilings below the physical total."""
    limits: list[RamLimit | None] = [_node_limit(system, ram), _process_limit(system)]
    limits += (_group_limit(system, group) for group in read_memory_groups(system))
    if system.architecture in _32_BIT:
        limits.append(
            RamLimit(
                _USER_SPACE_32_BIT_BYTES,
                None if ram.available_bytes is None else _USER_SPACE_32_BIT_BYTES,
                "addresses of a 32-bit program",
                "ram_limit_32_bit",
                "install a 64-bit system: a 32-bit program cannot address more",
            )
        )
    total = ram.total_bytes
    return tuple(
        limit for limit in limits if limit and (total is None or limit.limit_bytes < total)
    )


def _group_limit(system: System, group: MemoryGroup) -> RamLimit:
    return RamLimit(
        group.limit_bytes,
        group.available_bytes,
        f"control group: {group.limit_file}",
        "ram_limit_cgroup",
        how_to_raise_memory(read_host_kind(system), limit_file=group.limit_file),
    )


def _node_limit(system: System, ram: HostRam) -> RamLimit | None:
    """Return the memory of the nodes that have processors, where others hold some of the total."""
    nodes = read_numa_nodes(system)
    far = [node for node in nodes if node.has_cpus is False and node.total_bytes is not None]
    near_bytes = [node.total_bytes for node in nodes if node.has_cpus]
    if not far or not near_bytes or None in near_bytes:
        return None
    available = ram.available_bytes
    if available is not None:
        available = max(0, available - sum(node.idle_bytes for node in far))
    return RamLimit(
        sum(filter(None, near_bytes)),
        available,
        "memory of the NUMA nodes that have processors",
        "ram_limit_numa",
        "place a program on the other nodes with 'numactl --membind'",
    )


def _process_limit(system: System) -> RamLimit | None:
    """Return the limit on addresses that programs started from here inherit."""
    for line in (read_text_or_none(system, _PROCESS_LIMITS) or "").splitlines():
        name, _, rest = line.partition("  ")
        words = rest.split()
        if name == "Max address space" and words and words[0].isdecimal():
            limit = int(words[0])
            return RamLimit(
                limit, limit, "ulimit -v", "ram_limit_process", "run 'ulimit -v unlimited' first"
            )
    return None
