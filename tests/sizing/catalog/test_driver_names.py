"""Names that drivers report, as probes see them."""

from __future__ import annotations

import pytest

from whatfits.sizing.catalog.lookup import device_entries, match_driver_name
from whatfits.sizing.units import GIB, MIB


@pytest.mark.parametrize(
    ("name", "memory_bytes", "device_id"),
    [
        ("NVIDIA GeForce RTX 4090", 24_564 * MIB, "nvidia-geforce-rtx-4090"),
        ("GeForce RTX 4090", None, "nvidia-geforce-rtx-4090"),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", 16_376 * MIB, "nvidia-geforce-rtx-4090-laptop-gpu"),
        ("NVIDIA GeForce RTX 3060", 12_288 * MIB, "nvidia-geforce-rtx-3060-12-gb"),
        ("NVIDIA GeForce RTX 3060", 8_192 * MIB, "nvidia-geforce-rtx-3060-8-gb"),
        ("NVIDIA GeForce RTX 3060 Laptop GPU", 6_144 * MIB, "nvidia-geforce-rtx-3060-laptop-gpu"),
        ("NVIDIA GeForce RTX 2070", 8_192 * MIB, "nvidia-geforce-rtx-2070"),
        ("Tesla T4", 15_360 * MIB, "nvidia-tesla-t4"),
        ("NVIDIA H100 80GB HBM3", 81_559 * MIB, "nvidia-h100-sxm5-80-gb"),
        ("NVIDIA A100-SXM4-40GB", 40_960 * MIB, "nvidia-a100-sxm4-40-gb"),
        ("NVIDIA GB10", None, "nvidia-dgx-spark-gb10"),
        ("NVIDIA GB10", 30 * GIB, "nvidia-dgx-spark-gb10"),
        ("AMD Radeon RX 7900 XTX", 24_560 * MIB, "amd-radeon-rx-7900-xtx"),
        ("AMD Radeon RX 7900 XTX (RADV NAVI31)", None, "amd-radeon-rx-7900-xtx"),
        ("AMD Instinct MI300X OAM", 196_592 * MIB, "amd-instinct-mi300x"),
        (
            "AMD RYZEN AI MAX+ 395 w/ Radeon 8060S",
            None,
            "amd-radeon-8060s-ryzen-ai-max-395-strix-halo",
        ),
        ("Intel(R) Arc(TM) A770 Graphics", 16_225_243_136, "intel-arc-a770"),
        ("Intel(R) Arc(tm) A770 Graphics (DG2)", None, "intel-arc-a770"),
        ("Apple M1", 8 * GIB, "apple-m1"),
        ("Apple M3 Max", 36 * GIB, "apple-m3-max-30-core-gpu"),
    ],
)
def test_a_drivers_name_finds_its_device(
    name: str, memory_bytes: int | None, device_id: str
) -> None:
    found = match_driver_name(name, memory_bytes=memory_bytes)
    assert found is not None
    assert found.id == device_id


def test_gpu_cores_tell_the_two_apple_bins_apart() -> None:
    for cores, device_id in (
        (40, "apple-m3-max-40-core-gpu"),
        (30, "apple-m3-max-30-core-gpu"),
    ):
        found = match_driver_name("Apple M3 Max", vendor="Apple", gpu_cores=cores)
        assert found is not None
        assert found.id == device_id
    assert match_driver_name("Apple M3 Max", gpu_cores=38) is None
    assert match_driver_name("Apple M3 Max") is None


@pytest.mark.parametrize(
    ("name", "memory_bytes"),
    [
        ("", None),
        ("NVIDIA Graphics Device", None),
        ("AMD Radeon Graphics", None),
        ("NVIDIA GeForce RTX 4090 Ti", None),
        ("NVIDIA GeForce RTX 4090", 48 * GIB),  # a modified card: not the one that was measured
        ("NVIDIA GeForce GTX 1060", 3 * GIB),
        ("NVIDIA GeForce RTX 3060", None),
        ("NVIDIA GeForce RTX 2070 with Max-Q Design", 8 * GIB),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", 5 * GIB),
        ("GRID A100-10C", 10 * GIB),
        ("Navi 31 [Radeon RX 7900 XT/7900 XTX/7900M]", 24 * GIB),
        ("llvmpipe (LLVM 17.0.6, 256 bits)", None),
        ("Orin", 8 * GIB),
        ("x" * 10**6, None),
    ],
)
def test_a_name_that_is_not_sure_finds_nothing(name: str, memory_bytes: int | None) -> None:
    assert match_driver_name(name, memory_bytes=memory_bytes) is None


def test_another_vendors_name_finds_nothing() -> None:
    assert match_driver_name("NVIDIA GeForce RTX 4090", vendor="amd") is None
    found = match_driver_name("NVIDIA GeForce RTX 4090", vendor="nvidia")
    assert found is not None


def test_every_driver_name_with_its_memory_finds_a_device_that_has_it() -> None:
    for entry in device_entries():
        for name in entry.driver_names:
            for size in entry.memory_gib:
                cores = entry.gpu_cores[0] if entry.gpu_cores else None
                found = match_driver_name(
                    name, vendor=entry.vendor, memory_bytes=size * GIB, gpu_cores=cores
                )
                assert found is None or name in found.driver_names, name
                if entry.kind != "laptop" and found is not None:
                    assert found.kind != "laptop", name
