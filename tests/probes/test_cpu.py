"""The processor: names, cores and instruction sets, on every architecture there is text of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from faults import recorded
from hypothesis import given
from hypothesis import strategies as st

from whatfits.probes import cpu
from whatfits.probes.cpuinfo import parse_cpuinfo
from whatfits.probes.macos_cpu import parse_macos_cpu
from whatfits.probes.numa import parse_cpu_list, parse_node_meminfo
from whatfits.probes.replay import ReplaySystem
from whatfits.probes.sysctl import NATIVE_SYSCTL_COMMAND, SYSCTL_COMMAND, Sysctl, read_sysctl
from whatfits.probes.topology import parse_cache_bytes, read_topology
from whatfits.sizing.units import KIB, MIB

if TYPE_CHECKING:
    from collections.abc import Callable

    SystemOf = Callable[..., ReplaySystem]

CPU = "/sys/devices/system/cpu"
ARCHITECTURES = ("x86_64", "aarch64", "armv7l", "ppc64le", "s390x", "riscv64", "loongarch64", "vax")


@given(text=st.text(max_size=400), architecture=st.sampled_from(ARCHITECTURES))
def test_no_text_of_any_architecture_is_an_error(text: str, architecture: str) -> None:
    described = parse_cpuinfo(text, architecture=architecture)
    assert described.brand is None or described.brand.isprintable()


@given(text=st.text(alphabet="0123456789-, \n", max_size=60))
def test_no_list_of_processors_is_an_error(text: str) -> None:
    numbers = parse_cpu_list(text)
    assert list(numbers) == sorted(set(numbers))


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("0-3,8,10-11\n", (0, 1, 2, 3, 8, 10, 11)),
        ("0\n", (0,)),
        ("", ()),
        ("3-1", ()),
        ("0-99999999", ()),
        ("0-", ()),
    ],
)
def test_lists_of_processors(text: str, numbers: tuple[int, ...]) -> None:
    assert parse_cpu_list(text) == numbers


def test_only_flags_that_matter_become_features() -> None:
    text = "model name : X\nflags : fpu vme avx avx2 nx avx512_vnni hypervisor\n"
    described = parse_cpuinfo(text, architecture="x86_64")
    assert described.features == ("avx", "avx2", "avx512_vnni")
    assert described.is_virtual


def test_only_the_first_block_is_parsed_on_x86() -> None:
    blocks = (
        "processor : 0\nmodel name : First\nflags : avx\n\n"
        "processor : 1\nmodel name : Second\nflags : avx2\n\n"
    )
    described = parse_cpuinfo(blocks, architecture="x86_64")
    assert (described.brand, described.features, described.processors) == ("First", ("avx",), 2)


def test_arm_flags_get_the_names_that_runtimes_use() -> None:
    text = "Features : fp asimd asimdhp asimddp i8mm bf16 sve sve2 sme\nCPU implementer : 0x41\n"
    described = parse_cpuinfo(text + "CPU part : 0xd4f\n", architecture="aarch64")
    wanted = ("neon", "fp16", "dotprod", "i8mm", "bf16", "sve", "sve2", "sme")
    assert described.features == wanted
    assert described.brand == "Neoverse-V2"


def test_an_arm_core_nobody_knows_is_shown_by_its_numbers() -> None:
    text = "CPU implementer : 0x99\nCPU part : 0xabc\n"
    assert parse_cpuinfo(text, architecture="aarch64").brand == "ARM core 0x99:0xabc"


@pytest.mark.parametrize(
    ("isa", "has_vectors"),
    [
        ("rv64imafdc", False),
        ("rv64imafdcv_zicbom", True),
        ("rv64imafdc_zve64x", False),
        ("rv64imafdch_svinval", False),
    ],
)
def test_risc_v_vectors_are_the_letter_v_of_the_base(isa: str, has_vectors: bool) -> None:
    described = parse_cpuinfo(f"isa : {isa}\n", architecture="riscv64")
    assert ("rvv" in described.features) == has_vectors


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("32768K\n", 32 * MIB),
        ("512K", 512 * KIB),
        ("1M", MIB),
        ("", None),
        ("K", None),
        ("9" * 30 + "K", None),
    ],
)
def test_cache_sizes(text: str, size: int | None) -> None:
    assert parse_cache_bytes(text) == size


def test_node_meminfo_is_in_bytes() -> None:
    assert parse_node_meminfo("Node 0 MemTotal:  100 kB\nNode 0 HugePages_Total: 4\n") == {
        "MemTotal": 100 * KIB
    }


def test_threads_of_a_core_count_once(system_of: SystemOf) -> None:
    files = {f"{CPU}/online": "0-7\n", f"{CPU}/smt/active": "1\n"}
    files |= {f"{CPU}/cpu{n}/topology/core_cpus_list": f"{n},{n + 4}\n" for n in range(4)}
    arranged = read_topology(system_of(files))
    assert (len(arranged.online), arranged.physical_cores) == (8, 4)


def test_a_topology_that_contradicts_itself_is_unknown(system_of: SystemOf) -> None:
    files = {f"{CPU}/online": "0-7\n", f"{CPU}/cpu0/topology/core_cpus_list": "3-4\n"}
    assert read_topology(system_of(files)).physical_cores is None


def evidence_of(system: ReplaySystem) -> dict[str, object]:
    return {item.key: item.value for item in cpu.probe(system).evidence}


@pytest.mark.parametrize(
    ("allowed", "quota", "usable"),
    [
        ("0-7", "max 100000", 8),
        ("0-3", "max 100000", 4),
        ("0-7", "250000 100000", 2),  # a third thread would stall the other two
        ("0-7", "50000 100000", 1),
        ("0-1", "400000 100000", 2),
        ("6-9", "max 100000", 2),  # two of them are offline
    ],
)
def test_usable_cores_are_the_least_of_mask_and_quota(
    system_of: SystemOf, allowed: str, quota: str, usable: int
) -> None:
    system = system_of(
        {
            "/proc/cpuinfo": "processor : 0\nmodel name : X\n",
            f"{CPU}/online": "0-7\n",
            "/proc/self/status": f"Cpus_allowed_list:\t{allowed}\n",
            "/proc/self/cgroup": "0::/\n",
            "/proc/self/mountinfo": "35 24 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
            "/sys/fs/cgroup/cpu.max": f"{quota}\n",
        }
    )
    assert evidence_of(system)["cpu.usable_cores"] == usable


@pytest.mark.parametrize("machine", ["bare", "cloud", "wsl"])
def test_only_a_shared_machine_hides_its_bandwidth(system_of: SystemOf, machine: str) -> None:
    flags = "avx2" if machine == "bare" else "avx2 hypervisor"
    version = "Linux version 6.1-microsoft-standard-WSL2" if machine == "wsl" else "Linux version 6"
    name = "AMD EPYC 7543 32-Core Processor"
    files = {
        "/proc/cpuinfo": f"processor : 0\nmodel name : {name}\nflags : {flags}\n",
        "/proc/version": version,
    }
    (device,) = cpu.probe(system_of(files)).devices
    assert (device.bandwidth_bytes_per_s is None) == (machine == "cloud")


def test_the_slowest_kind_of_core_of_a_mac_is_not_fast() -> None:
    levels = {f"hw.perflevel{n}.physicalcpu": str(cores) for n, cores in enumerate((6, 4, 2))}
    assert parse_macos_cpu(Sysctl(levels)).performance_cores == 10


def test_a_translated_process_asks_the_real_chip(system_of: SystemOf) -> None:
    system = system_of(
        {},
        platform="darwin",
        commands={
            " ".join(
                SYSCTL_COMMAND
            ): "sysctl.proc_translated: 1\nmachdep.cpu.brand_string: Made up\n",
            " ".join(NATIVE_SYSCTL_COMMAND): "machdep.cpu.brand_string: Apple M3\n",
        },
    )
    known = read_sysctl(system)
    assert known.is_translated
    assert parse_macos_cpu(known).brand == "Apple M3"


@pytest.mark.parametrize(
    ("machine", "cores"),
    [
        ("linux-laptop-p-and-e-cores-zram", 6),  # x86: its faster cores
        ("linux-rock-5b-rk3588", 8),  # ARM: all of them
        ("windows-96-cores-in-groups", 96),
    ],
)
def test_threads_are_those_that_llama_cpp_starts_by_itself(machine: str, cores: int) -> None:
    (found,) = cpu.probe(ReplaySystem(recorded(machine))).devices
    assert found.cores == cores


@pytest.mark.parametrize(
    ("machine", "fast"),
    [
        ("linux-laptop-p-and-e-cores-zram", None),  # no thread runs on the others
        ("linux-rock-5b-rk3588", 5.5),
        ("linux-raspberry-pi-5", None),
    ],
)
def test_unequal_cores_are_worth_what_the_kernel_says(machine: str, fast: float | None) -> None:
    (found,) = cpu.probe(ReplaySystem(recorded(machine))).devices
    assert found.fast_cores == fast


def cores_of(count: int) -> dict[str, str]:
    """Return the files of so many cores, all alike."""
    return {
        "/proc/cpuinfo": "processor : 0\nmodel name : X\n",
        f"{CPU}/online": f"0-{count - 1}\n",
        f"{CPU}/smt/active": "0\n",
    }


@pytest.mark.parametrize(("quota", "fast"), [("250000 100000", 2.5), ("max 100000", None)])
def test_no_more_cores_compute_than_a_quota_lets_run(
    system_of: SystemOf, quota: str, fast: float | None
) -> None:
    files = cores_of(8) | {
        "/proc/self/cgroup": "0::/\n",
        "/proc/self/mountinfo": "35 24 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
        "/sys/fs/cgroup/cpu.max": f"{quota}\n",
    }
    (found,) = cpu.probe(system_of(files)).devices
    assert (found.cores, found.fast_cores) == (8, fast)


@pytest.mark.parametrize(
    ("text", "clock_hz"),
    [("4600000\n", 4_600_000_000), ("0\n", None), ("<unknown>\n", None), ("9" * 12, None)],
)
def test_the_clock_is_the_highest_that_the_system_tells(
    system_of: SystemOf, text: str, clock_hz: int | None
) -> None:
    files = cores_of(4) | {
        f"{CPU}/cpu0/cpufreq/cpuinfo_max_freq": text,
        f"{CPU}/cpu3/cpufreq/cpuinfo_max_freq": "50\n",
    }
    system = system_of(files)
    (found,) = cpu.probe(system).devices
    assert found.clock_hz == clock_hz
    assert evidence_of(system)["cpu.clock_hz"] == clock_hz
