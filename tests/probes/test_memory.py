"""RAM: what can really be had is min(limit, total) - used, whatever the figures are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatfits.probes import detect, memory
from whatfits.probes.meminfo import parse_arcstats, parse_meminfo, parse_vm_stat
from whatfits.probes.replay import RECORDING_FORMAT, ReplaySystem
from whatfits.probes.system import SourceGarbledError
from whatfits.sizing.reserve import LIVE_RAM_RESERVE_BYTES
from whatfits.sizing.units import GIB, KIB

if TYPE_CHECKING:
    from whatfits.sizing.machine import Pool

KILOBYTES = st.integers(min_value=0, max_value=2**34)


def linux(files: dict[str, Any]) -> ReplaySystem:
    head = {"format": RECORDING_FORMAT, "version": 1, "platform": "linux", "architecture": "x86_64"}
    return ReplaySystem({**head, "files": files})


def ram_of(files: dict[str, Any]) -> Pool:
    return memory.probe(linux(files)).pools[0]


def test_memavailable_is_taken_as_it_is() -> None:
    ram = parse_meminfo("MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 700 kB\nCached: 5 kB\n")
    assert (ram.total_bytes, ram.available_bytes) == (1000 * KIB, 700 * KIB)
    assert ram.available_kind == "reported"


@pytest.mark.parametrize("shown", ["", "MemAvailable: -1 kB\n", "MemAvailable: junk kB\n"])
def test_an_older_or_broken_kernel_is_answered_from_free_memory_and_page_cache(shown: str) -> None:
    text = "MemTotal: 1000 kB\nMemFree: 100 kB\nCached: 300 kB\nShmem: 50 kB\n" + shown
    ram = parse_meminfo(text)
    assert ram.available_bytes == 350 * KIB
    assert ram.available_kind == "derived"


def test_shared_memory_of_the_host_in_a_container_does_not_make_the_cache_negative() -> None:
    # lxcfs passed the host's Shmem on: lxc/lxcfs issue 222.
    ram = parse_meminfo("MemTotal: 1000 kB\nMemFree: 292 kB\nCached: 14 kB\nShmem: 956 kB\n")
    assert ram.available_bytes == 292 * KIB


def test_nothing_but_a_total_leaves_the_rest_unknown() -> None:
    assert parse_meminfo("MemTotal: 1000 kB\n").available_bytes is None


@pytest.mark.parametrize(
    "text", ["", "MemTotal: 0 kB\n", "MemTotal: kB\n", "MemTotal: 99999999999999999999 kB\n"]
)
def test_no_total_is_an_error_and_no_guess(text: str) -> None:
    with pytest.raises(SourceGarbledError):
        parse_meminfo(text)


def test_huge_pages_of_all_sizes_count_where_the_kernel_sums_them() -> None:
    text = "MemTotal: 1000 kB\nHugePages_Total: 2\nHugepagesize: 100 kB\nHugetlb: 500 kB\n"
    assert parse_meminfo(text).huge_pages_bytes == 500 * KIB
    assert parse_meminfo(text.replace("Hugetlb: 500 kB\n", "")).huge_pages_bytes == 200 * KIB


def test_zfs_tells_its_size_among_its_counters() -> None:
    assert parse_arcstats("c_max 4 99\nsize 4 1234\nhdr_size 4 7\n") == 1234
    assert parse_arcstats("size four 1234x\n") == 0


def test_vm_stat_counts_pages_of_its_own_size() -> None:
    text = (
        "Mach Virtual Memory Statistics: (page size of 16384 bytes)\n"
        "Pages free: 10.\nPages active: 100.\nPages inactive: 50.\nPages speculative: 5.\n"
        "Pages wired down: 40.\nPages purgeable: 10.\nFile-backed pages: 60.\n"
        "Pages occupied by compressor: 5.\n"
    )
    assert parse_vm_stat(text, total_bytes=1000 * 16384) == (1000 - 130) * 16384


@pytest.mark.parametrize("text", ["", "Pages wired down: 40.\n", "page size of x bytes\n"])
def test_vm_stat_that_says_nothing_is_an_error(text: str) -> None:
    with pytest.raises(SourceGarbledError):
        parse_vm_stat(text, total_bytes=GIB)


@given(total=KILOBYTES.filter(bool), available=KILOBYTES)
def test_what_is_free_is_what_the_kernel_says_less_the_reserve(total: int, available: int) -> None:
    pool = ram_of({"/proc/meminfo": f"MemTotal: {total} kB\nMemAvailable: {available} kB\n"})
    can_be_had = min(total, available) * KIB
    assert pool.total_bytes == total * KIB
    assert pool.free_bytes == max(0, can_be_had - LIVE_RAM_RESERVE_BYTES)


@given(
    total=KILOBYTES.filter(bool),
    available=KILOBYTES,
    limit=st.integers(min_value=0, max_value=2**44),
    current=st.integers(min_value=0, max_value=2**44),
    cache=st.integers(min_value=0, max_value=2**44),
)
def test_a_group_leaves_the_lesser_of_its_own_room_and_the_machines(
    total: int, available: int, limit: int, current: int, cache: int
) -> None:
    pool = ram_of(
        {
            "/proc/meminfo": f"MemTotal: {total} kB\nMemAvailable: {available} kB\n",
            "/sys/fs/cgroup/memory.max": f"{limit}\n",
            "/sys/fs/cgroup/memory.current": f"{current}\n",
            "/sys/fs/cgroup/memory.stat": f"inactive_file {cache}\n",
        }
    )
    assert pool.allowance_bytes is not None
    assert pool.used_bytes is not None
    of_machine = min(total, available) * KIB
    of_group = max(0, limit - max(0, current - cache))
    expected = of_machine if limit >= total * KIB else min(of_machine, of_group)
    assert pool.allowance_bytes - pool.used_bytes == expected
    assert pool.used_bytes >= 0


def test_swap_changes_nothing() -> None:
    text = "MemTotal: 9000000 kB\nMemAvailable: 8000000 kB\n"
    with_swap = text + "SwapTotal: 64000000 kB\nSwapFree: 64000000 kB\n"
    assert ram_of({"/proc/meminfo": text}) == ram_of({"/proc/meminfo": with_swap})


def test_a_limit_without_its_usage_leaves_what_is_used_unknown() -> None:
    files = {
        "/proc/meminfo": "MemTotal: 9000000 kB\nMemAvailable: 8000000 kB\n",
        "/sys/fs/cgroup/memory.max": "1073741824\n",
    }
    report = detect(linux(files))
    assert report.machine.pool("ram").limit_bytes == GIB
    assert report.machine.pool("ram").free_bytes is None
    assert "ram_in_use_unknown" in {finding.code for finding in report.findings}


def test_every_limit_says_how_it_can_be_raised() -> None:
    files = {
        "/proc/meminfo": "MemTotal: 9000000 kB\nMemAvailable: 8000000 kB\n",
        "/sys/fs/cgroup/memory.max": "1073741824\n",
        "/sys/fs/cgroup/memory.current": "0\n",
        "/proc/self/limits": "Max address space         2147483648  2147483648  bytes\n",
    }
    findings = memory.probe(linux(files)).findings
    assert {f.code for f in findings} == {"ram_limit_cgroup", "ram_limit_process"}
    assert all(finding.next_step for finding in findings)


@pytest.mark.parametrize(
    ("environment", "groups", "step"),
    [
        ({"KUBERNETES_SERVICE_HOST": "192.0.2.1"}, "0::/\n", "resources.limits.memory"),
        ({}, "0::/docker/0001\n", "docker run --memory"),
        ({}, "0::/machine.slice/libpod-0001.scope\n", "podman run --memory"),
        ({"container": "lxc"}, "0::/\n", "limits.memory"),
        ({"SLURM_JOB_ID": "1"}, "0::/system.slice/slurmstepd.scope\n", "sbatch --mem"),
        ({}, "0::/app.slice\n", "systemctl set-property app.slice"),
        ({}, "0::/mine\n", "/sys/fs/cgroup/mine/memory.max"),
    ],
)
def test_the_way_to_raise_a_limit_names_what_set_it(
    environment: dict[str, str], groups: str, step: str
) -> None:
    path = groups.strip().removeprefix("0::").rstrip("/")
    system = ReplaySystem(
        {
            "format": RECORDING_FORMAT,
            "version": 1,
            "platform": "linux",
            "architecture": "x86_64",
            "environment": environment,
            "files": {
                "/proc/meminfo": "MemTotal: 9000000 kB\nMemAvailable: 8000000 kB\n",
                "/proc/self/cgroup": groups,
                "/proc/self/mountinfo": "35 24 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
                f"/sys/fs/cgroup{path}/memory.max": "1073741824\n",
                f"/sys/fs/cgroup{path}/memory.current": "0\n",
            },
        }
    )
    (finding,) = (f for f in memory.probe(system).findings if f.code == "ram_limit_cgroup")
    assert step in finding.next_step
