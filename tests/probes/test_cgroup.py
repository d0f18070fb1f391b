"""Limits of control groups: the smallest over all ancestors counts, and page cache is no use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from whatfits.probes.cgroup import (
    MemoryGroup,
    Mount,
    group_folders,
    parse_limit,
    parse_membership,
    parse_mounts,
    parse_stat,
    read_cpu_quota,
    read_memory_groups,
)
from whatfits.sizing.units import GIB

if TYPE_CHECKING:
    from collections.abc import Callable

    from whatfits.probes.replay import ReplaySystem

    SystemOf = Callable[..., ReplaySystem]

V2_MOUNT = "35 24 0:30 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n"


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("max\n", None),
        ("8589934592\n", 8 * GIB),
        ("0\n", 0),
        ("9223372036854771712\n", None),  # version 1, pages of 4 KiB: no limit
        ("9223372036854710272\n", None),  # version 1, pages of 64 KiB: no limit
        ("-1\n", None),
        ("", None),
        ("\uff18", None),  # a digit, but none of the kernel's
        ("12345678901234567890123", None),
    ],
)
def test_limits_are_numbers_or_none(text: str, limit: int | None) -> None:
    assert parse_limit(text) == limit


def test_membership_skips_lines_that_make_no_sense() -> None:
    text = "4:memory:/a\n0::/b:c\nnonsense\n5:cpu,cpuacct:relative\n"
    found = parse_membership(text)
    assert [(m.controllers, m.path) for m in found] == [(("memory",), "/a"), ((), "/b:c")]


def test_mounts_are_read_with_blanks_in_their_names() -> None:
    line = r"35 24 0:30 /a\040b /mnt/c\040d rw - cgroup cgroup rw,memory" + "\n"
    assert parse_mounts(line) == (Mount("/a b", "/mnt/c d", ("rw", "memory")),)


@pytest.mark.parametrize(
    ("path", "root", "folders"),
    [
        ("/", "/", ("/sys/fs/cgroup",)),
        ("/a/b", "/", ("/sys/fs/cgroup/a/b", "/sys/fs/cgroup/a", "/sys/fs/cgroup")),
        ("/docker/x", "/docker/x", ("/sys/fs/cgroup",)),
        ("/docker/x/y", "/docker/x", ("/sys/fs/cgroup/y", "/sys/fs/cgroup")),
        ("/docker/xy", "/docker/x", ("/sys/fs/cgroup",)),
        ("/", "/docker/x", ("/sys/fs/cgroup",)),
        ("/../other", "/", ("/sys/fs/cgroup",)),
    ],
)
def test_ancestors_go_from_the_leaf_to_the_mount(
    path: str, root: str, folders: tuple[str, ...]
) -> None:
    assert group_folders(path, Mount(root, "/sys/fs/cgroup", ())) == folders


def test_available_is_the_limit_less_what_cannot_be_dropped() -> None:
    group = MemoryGroup(8 * GIB, "memory.max", 5 * GIB, 2 * GIB)
    assert group.available_bytes == 5 * GIB


def test_available_never_exceeds_the_limit_or_falls_below_zero() -> None:
    assert MemoryGroup(8 * GIB, "f", GIB, 4 * GIB).available_bytes == 8 * GIB
    assert MemoryGroup(8 * GIB, "f", 20 * GIB, 0).available_bytes == 0
    assert MemoryGroup(8 * GIB, "f", None, 0).available_bytes is None


def test_shared_memory_is_not_reclaimable(system_of: SystemOf) -> None:
    stat = f"file {3 * GIB}\nshmem {2 * GIB}\ninactive_file {GIB}\nactive_file 0\n"
    system = system_of(
        {
            "/proc/self/cgroup": "0::/\n",
            "/proc/self/mountinfo": V2_MOUNT,
            "/sys/fs/cgroup/memory.max": f"{8 * GIB}\n",
            "/sys/fs/cgroup/memory.current": f"{4 * GIB}\n",
            "/sys/fs/cgroup/memory.stat": stat,
        }
    )
    (group,) = read_memory_groups(system)
    assert group.available_bytes == 5 * GIB


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_a_limit_counts_in_whichever_ancestor_it_stands(system_of: SystemOf, level: int) -> None:
    folders = ["/sys/fs/cgroup", "/sys/fs/cgroup/a", "/sys/fs/cgroup/a/b", "/sys/fs/cgroup/a/b/c"]
    files = {f"{folder}/memory.max": "max\n" for folder in folders}
    files[f"{folders[level]}/memory.max"] = f"{GIB}\n"
    files |= {"/proc/self/cgroup": "0::/a/b/c\n", "/proc/self/mountinfo": V2_MOUNT}
    (group,) = read_memory_groups(system_of(files))
    assert group.limit_bytes == GIB
    assert group.limit_file == f"{folders[level]}/memory.max"


def test_without_proc_the_usual_places_are_looked_at(system_of: SystemOf) -> None:
    files = {"/sys/fs/cgroup/memory.max": f"{GIB}\n", "/sys/fs/cgroup/memory.current": "0\n"}
    assert [g.limit_bytes for g in read_memory_groups(system_of(files))] == [GIB]


@pytest.mark.parametrize(
    ("text", "cores"),
    [
        ("max 100000\n", None),
        ("200000 100000\n", 2.0),
        ("350000 100000\n", 3.5),
        ("50000 100000\n", 0.5),
        ("100000 0\n", None),
        ("100000\n", None),
        ("", None),
    ],
)
def test_a_quota_is_time_over_period(system_of: SystemOf, text: str, cores: float | None) -> None:
    files = {
        "/proc/self/cgroup": "0::/\n",
        "/proc/self/mountinfo": V2_MOUNT,
        "/sys/fs/cgroup/cpu.max": text,
    }
    quota = read_cpu_quota(system_of(files))
    assert (None if quota is None else quota.cores) == cores


def test_the_smallest_quota_of_all_ancestors_counts(system_of: SystemOf) -> None:
    files = {
        "/proc/self/cgroup": "0::/pod/box\n",
        "/proc/self/mountinfo": V2_MOUNT,
        "/sys/fs/cgroup/pod/box/cpu.max": "800000 100000\n",
        "/sys/fs/cgroup/pod/cpu.max": "400000 100000\n",
        "/sys/fs/cgroup/cpu.max": "max 100000\n",
    }
    quota = read_cpu_quota(system_of(files))
    assert quota is not None
    assert quota.cores == 4.0
    assert quota.file == "/sys/fs/cgroup/pod/cpu.max"


def test_counters_that_are_no_numbers_are_left_out() -> None:
    assert parse_stat("anon 5\nfile\nshmem -3\nactive_file 7\n") == {"anon": 5, "active_file": 7}
