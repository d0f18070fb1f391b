"""Limits a control group puts on memory and processors: version 1, version 2 and both at once.

A limit may stand in any ancestor of the group this process is in, so all of them are read, from
the leaf up to where the hierarchy is mounted. Inside a namespace the ancestors are out of sight
and the mount itself is the group.

Source: Linux kernel documentation, admin-guide/cgroup-v2 and cgroup-v1/memory, man 7 cgroups.
"""

from __future__ import annotations

from whatfits.probes.drafts import read_text_or_none
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from whatfits.probes.system import System

__all__ = [
    "CpuQuota",
    "Membership",
    "MemoryGroup",
    "Mount",
    "group_folders",
    "is_memory_limit",
    "parse_limit",
    "parse_membership",
    "parse_mounts",
    "parse_stat",
    "read_cpu_quota",
    "read_memory_groups",
]

# Version 1 writes "no limit" as the largest multiple of the page size below 2**63.
_NO_LIMIT_BYTES: Final = 2**62
_MOUNTINFO_FIELDS: Final = 6
_MEMBERSHIP: Final = "/proc/self/cgroup"
_MOUNTS: Final = "/proc/self/mountinfo"
_NEW_LIMITS: Final = ("memory.max", "memory.high")
_OLD_LIMIT: Final = "memory.limit_in_bytes"


@dataclass(frozen=True, slots=True)
class Membership:
    """One line of `/proc/self/cgroup`: no controllers means the version 2 hierarchy."""

    controllers: tuple[str, ...]
    path: str


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted hierarchy.

    Attributes:
        root: which group of the hierarchy is mounted there.
        folder: where it is mounted.
        controllers: of version 1; none means version 2.
    """

    root: str
    folder: str
    controllers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MemoryGroup:
    """A group with a memory limit.

    Attributes:
        limit_bytes: the limit.
        limit_file: the file that holds it.
        used_bytes: charged to the group and its children; None when it cannot be read.
        reclaimable_bytes: page cache of files in it, which the kernel drops before it refuses.
    """

    limit_bytes: int
    limit_file: str
    used_bytes: int | None
    reclaimable_bytes: int

    @property
    def available_bytes(self) -> int | None:
        """Limit - (charged - reclaimable page cache), not below zero; None when unknown.

        Pages of files on the inactive and active lists count as reclaimable; tmpfs and shared
        memory lie on the anonymous lists and do not, nor do slabs and locked pages.
        """
        if self.used_bytes is None:
            return None
        pinned_bytes = max(0, self.used_bytes - self.reclaimable_bytes)
        return max(0, self.limit_bytes - pinned_bytes)


@dataclass(frozen=True, slots=True)
class CpuQuota:
    """Processor time a group may use, in whole processors, and the file that says so."""

    cores: float
    file: str


def parse_membership(text: str) -> tuple[Membership, ...]:
    """Return the lines of `/proc/self/cgroup` that make sense."""
    found = []
    for line in text.splitlines():
        hierarchy, _, rest = line.partition(":")
        controllers, separator, path = rest.partition(":")
        if hierarchy.isdecimal() and separator and path.startswith("/"):
            found.append(Membership(tuple(filter(None, controllers.split(","))), path))
    return tuple(found)


def parse_mounts(mountinfo: str) -> tuple[Mount, ...]:
    """Return the mounted control group hierarchies from `/proc/self/mountinfo`."""
    found = []
    for line in mountinfo.splitlines():
        if " - cgroup" not in line:
            continue
        before, _, after = line.partition(" - ")
        fields, kind = before.split(" "), after.split(" ")
        if len(fields) < _MOUNTINFO_FIELDS or kind[0] not in ("cgroup", "cgroup2"):
            continue
        controllers = () if kind[0] == "cgroup2" else tuple(kind[-1].split(","))
        found.append(Mount(_unescape(fields[3]), _unescape(fields[4]), controllers))
    return tuple(found)


def _unescape(path: str) -> str:
    """Return a path of mountinfo with octal escapes for blanks and backslashes resolved."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(code, character)
    return path


def is_memory_limit(path: str) -> bool:
    """Return whether a file may hold a group's limit on memory, or tells which group it is."""
    return path in (_MEMBERSHIP, _MOUNTS) or path.endswith((*_NEW_LIMITS, _OLD_LIMIT))


def parse_limit(text: str) -> int | None:
    """Return a limit in bytes; None for `max`, for version 1's huge number, and for nonsense."""
    word = text.strip()
    if not word.isdecimal() or not word.isascii():
        return None
    limit = int(word[:20])
    return limit if limit < _NO_LIMIT_BYTES else None


def parse_stat(text: str) -> dict[str, int]:
    """Return the counters of `memory.stat`."""
    counters = {}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if value.isdecimal() and value.isascii():
            counters[name] = int(value)
    return counters


def group_folders(path: str, mount: Mount) -> tuple[str, ...]:
    """Return the folders of a group and its ancestors, leaf first, as far as they are mounted.

    Where the path lies outside the mounted part (a namespace, or a path through `..`), the mount
    itself is the nearest group that can be seen.
    """
    root = mount.root.rstrip("/")
    inside = path == root or path.startswith(root + "/")
    below = path[len(root) :].strip("/") if inside and ".." not in path.split("/") else ""
    folders = [mount.folder.rstrip("/")]
    for name in filter(None, below.split("/")):
        folders.append(f"{folders[-1]}/{name}")
    return tuple(reversed(folders))


def _folders(system: System, controller: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the folders of this process's groups, of version 1 (of a controller) and of 2."""
    members = parse_membership(read_text_or_none(system, _MEMBERSHIP) or "")
    mounts = parse_mounts(read_text_or_none(system, _MOUNTS) or "")
    old = _first(members, mounts, controller)
    new = _first(members, mounts, None)
    if not members and not mounts:
        # No word about groups (a sandbox): where they are mounted almost everywhere.
        old, new = (f"/sys/fs/cgroup/{controller}",), ("/sys/fs/cgroup",)
    return old, new


def _first(
    members: tuple[Membership, ...], mounts: tuple[Mount, ...], controller: str | None
) -> tuple[str, ...]:
    def is_meant(controllers: tuple[str, ...]) -> bool:
        return controller in controllers if controller else not controllers

    path = next((member.path for member in members if is_meant(member.controllers)), "/")
    mount = next((mount for mount in mounts if is_meant(mount.controllers)), None)
    return () if mount is None else group_folders(path, mount)


def read_memory_groups(system: System) -> tuple[MemoryGroup, ...]:
    """Return every group above this process that limits memory, leaf first.

    `memory.high` counts as a limit: above it the kernel slows the group down until it reclaims.
    """
    old, new = _folders(system, "memory")
    groups = [_old_group(system, folder) for folder in old]
    groups.append(_hidden_ancestor(system, old, groups))
    for folder in new:
        groups += (_new_group(system, folder, name) for name in _NEW_LIMITS)
    return tuple(group for group in groups if group is not None)


def _new_group(system: System, folder: str, name: str) -> MemoryGroup | None:
    file = f"{folder}/{name}"
    limit = parse_limit(read_text_or_none(system, file) or "")
    if limit is None:
        return None
    stat = parse_stat(read_text_or_none(system, f"{folder}/memory.stat") or "")
    used = parse_limit(read_text_or_none(system, f"{folder}/memory.current") or "")
    return MemoryGroup(limit, file, used, _page_cache_bytes(stat, prefix=""))


def _old_group(system: System, folder: str) -> MemoryGroup | None:
    file = f"{folder}/{_OLD_LIMIT}"
    limit = parse_limit(read_text_or_none(system, file) or "")
    if limit is None:
        return None
    stat = parse_stat(read_text_or_none(system, f"{folder}/memory.stat") or "")
    used = parse_limit(read_text_or_none(system, f"{folder}/memory.usage_in_bytes") or "")
    return MemoryGroup(limit, file, used, _page_cache_bytes(stat, prefix="total_"))


def _page_cache_bytes(stat: Mapping[str, int], *, prefix: str) -> int:
    return stat.get(f"{prefix}inactive_file", 0) + stat.get(f"{prefix}active_file", 0)


def _hidden_ancestor(
    system: System, folders: tuple[str, ...], seen: list[MemoryGroup | None]
) -> MemoryGroup | None:
    """Return the limit of a version 1 ancestor outside the mount: only its leaf tells of it."""
    if not folders:
        return None
    file = f"{folders[0]}/memory.stat"
    stat = parse_stat(read_text_or_none(system, file) or "")
    limit = stat.get("hierarchical_memory_limit", _NO_LIMIT_BYTES)
    visible = min((group.limit_bytes for group in seen if group), default=_NO_LIMIT_BYTES)
    if limit >= visible:
        return None
    # What its other members use is out of sight; what is seen of it is the least it can be.
    used = parse_limit(read_text_or_none(system, f"{folders[-1]}/memory.usage_in_bytes") or "")
    top = parse_stat(read_text_or_none(system, f"{folders[-1]}/memory.stat") or "")
    name = f"{file}, hierarchical_memory_limit"
    return MemoryGroup(limit, name, used, _page_cache_bytes(top, prefix="total_"))


def read_cpu_quota(system: System) -> CpuQuota | None:
    """Return the smallest quota of processor time above this process; None when there is none."""
    old, new = _folders(system, "cpu")
    quotas = []
    for folder in old:
        quota = read_text_or_none(system, f"{folder}/cpu.cfs_quota_us") or ""
        period = read_text_or_none(system, f"{folder}/cpu.cfs_period_us") or ""
        quotas.append(_quota(quota, period, f"{folder}/cpu.cfs_quota_us"))
    for folder in new:
        quota, _, period = (read_text_or_none(system, f"{folder}/cpu.max") or "").partition(" ")
        quotas.append(_quota(quota, period, f"{folder}/cpu.max"))
    return min(filter(None, quotas), key=lambda quota: quota.cores, default=None)


def _quota(quota: str, period: str, file: str) -> CpuQuota | None:
    quota_us, period_us = parse_limit(quota), parse_limit(period)
    return CpuQuota(quota_us / period_us, file) if quota_us and period_us else None
