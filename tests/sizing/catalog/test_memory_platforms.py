"""CPU platforms by the CPU's own name, PCIe and RAM rates."""

from __future__ import annotations

import pytest

from whatfits.sizing.catalog.lookup import match_cpu, pcie_bandwidth_bytes_per_s
from whatfits.sizing.catalog.memory_rates import ram_bandwidth_bytes_per_s, ram_types


@pytest.mark.parametrize(
    ("brand", "platform", "channels"),
    [
        ("13th Gen Intel(R) Core(TM) i9-13900KF", "intel-raptorlake", 2),
        ("Intel(R) Core(TM) i7-4770K CPU @ 3.50GHz", "intel-haswell-desktop", 2),
        ("Intel(R) Core(TM) Ultra 9 285K", "intel-arrowlake", 2),
        ("Intel(R) Core(TM) Ultra 7 155H", "intel-meteorlake", 2),
        ("Intel(R) Core(TM) Ultra 7 258V", "intel-lunarlake", 2),
        ("AMD Ryzen 7 7800X3D 8-Core Processor", "amd-am5-zen4", 2),
        ("AMD Ryzen 7 3700X 8-Core Processor", "amd-am4-zen2-3", 2),
        ("AMD Ryzen 5 5600G with Radeon Graphics", "amd-am4-zen2-3", 2),
        ("AMD Ryzen 7 7840HS w/ Radeon 780M Graphics", "amd-phoenix-laptop", 2),
        ("AMD RYZEN AI MAX+ 395 w/ Radeon 8060S", "amd-strix-halo", 4),
        ("AMD Ryzen Threadripper PRO 5975WX 32-Cores", "threadripper-pro-3-5000", 8),
        ("AMD Ryzen Threadripper 3970X 32-Core Processor", "threadripper-3000", 4),
        ("AMD EPYC 7763 64-Core Processor", "epyc-rome-milan", 8),
        ("AMD EPYC 9654 96-Core Processor", "epyc-genoa", 12),
        ("Intel(R) Xeon(R) Gold 6248 CPU @ 2.50GHz", "xeon-cascadelake-sp", 6),
        ("INTEL(R) XEON(R) PLATINUM 8592+", "xeon-emerald-rapids", 8),
        ("Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz", "xeon-e5-v4", 4),
        ("Raspberry Pi 5 Model B Rev 1.0", "raspberry-pi-5", 1),
    ],
)
def test_a_cpu_finds_its_platform(brand: str, platform: str, channels: int) -> None:
    found = match_cpu(brand)
    assert found is not None
    assert (found.id, found.channels_per_socket) == (platform, channels)
    assert found.unverified


@pytest.mark.parametrize(
    "brand",
    [
        "",
        "13th Gen Intel(R) Core(TM) i7-13700H",  # a laptop's memory is not the desktop's
        "AMD Ryzen 7 5800H with Radeon Graphics",
        "AMD Ryzen 9 7945HX with Radeon Graphics",
        "Intel(R) Core(TM) i9-14900HX",
        "Intel(R) Core(TM) i7-4930K CPU @ 3.40GHz",  # four channels, another socket
        "Intel(R) Core(TM) i7-6850K CPU @ 3.60GHz",
        "Intel(R) Xeon(R) Processor @ 2.60GHz",
        "AMD EPYC 4564P 16-Core Processor",
        "Apple M1",
        "x" * 10**6,
    ],
)
def test_a_cpu_that_is_not_sure_finds_no_platform(brand: str) -> None:
    assert match_cpu(brand) is None


def test_a_cpu_that_takes_two_kinds_of_memory_has_both_peaks() -> None:
    found = match_cpu("12th Gen Intel(R) Core(TM) i5-12400")
    assert found is not None
    # Two channels of DDR5-4800, or of DDR4-3200 on a DDR4 board.
    assert found.peak_bandwidth_bytes_per_s_per_socket == 76_800_000_000
    assert found.low_peak_bandwidth_bytes_per_s_per_socket == 51_200_000_000


@pytest.mark.parametrize(
    ("gen", "lanes", "bytes_per_s"),
    [
        # PCI-SIG: 8 GT/s with 128b/130b is 15.75 GB/s on 16 lanes; generation 4 and 5 double it.
        (1, 16, 4_000_000_000),
        (3, 16, 15_753_846_153),
        (4, 16, 31_507_692_307),
        (5, 8, 31_507_692_307),
        (4, 4, 7_876_923_076),
    ],
)
def test_pcie_bandwidth_is_the_rate_less_the_line_code(
    gen: int, lanes: int, bytes_per_s: int
) -> None:
    assert pcie_bandwidth_bytes_per_s(gen, lanes) == bytes_per_s


def test_an_unknown_pcie_link_has_no_bandwidth() -> None:
    assert pcie_bandwidth_bytes_per_s(9, 16) is None
    assert pcie_bandwidth_bytes_per_s(4, 0) is None


def test_two_channels_of_ddr5_6000_give_96_gb_per_s() -> None:
    assert ram_bandwidth_bytes_per_s(6000, channels=2) == 96_000_000_000
    assert "DDR5" in ram_types()
