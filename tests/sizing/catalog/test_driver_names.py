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
        (
            "NVIDIA GeForce RTX 3050 6GB Laptop GPU",
            6_144 * MIB,
            "nvidia-geforce-rtx-3050-6-gb-laptop-gpu",
        ),
        ("NVIDIA GeForce RTX 2070 with Max-Q Design", 8_192 * MIB, "nvidia-geforce-rtx-2070-max-q"),
        ("NVIDIA GeForce GTX 1060 3GB", 3_072 * MIB, "nvidia-geforce-gtx-1060-3-gb"),
        ("NVIDIA GeForce GTX 1060", 3 * GIB, "nvidia-geforce-gtx-1060-3-gb"),
        ("NVIDIA TITAN X (Pascal)", 12_196 * MIB, "nvidia-titan-x-pascal"),
        ("NVIDIA RTX A2000 8GB Laptop GPU", 8_192 * MIB, "nvidia-rtx-a2000-8-gb-laptop-gpu"),
        (
            "NVIDIA RTX 2000 Ada Generation Laptop GPU",
            8_188 * MIB,
            "nvidia-rtx-2000-ada-generation-laptop-gpu",
        ),
        ("Tesla K80", 11_441 * MIB, "nvidia-tesla-k80"),
        ("Tesla P100-PCIE-12GB", 12_193 * MIB, "nvidia-tesla-p100-pcie-12-gb"),
        ("Tesla T4", 15_360 * MIB, "nvidia-tesla-t4"),
        ("NVIDIA H100 80GB HBM3", 81_559 * MIB, "nvidia-h100-sxm5-80-gb"),
        ("NVIDIA A100-SXM4-40GB", 40_960 * MIB, "nvidia-a100-sxm4-40-gb"),
        ("NVIDIA GB10", None, "nvidia-dgx-spark-gb10"),
        ("NVIDIA GB10", 30 * GIB, "nvidia-dgx-spark-gb10"),
        ("AMD Radeon RX 7900 XTX", 24_560 * MIB, "amd-radeon-rx-7900-xtx"),
        ("AMD Radeon RX 7900 XTX (RADV NAVI31)", None, "amd-radeon-rx-7900-xtx"),
        ("AMD Radeon RX 580 Series", 8 * GIB, "amd-radeon-rx-580"),
        ("Radeon RX 580 Series", 4 * GIB, "amd-radeon-rx-580"),
        ("AMD Radeon RX 580 Series (RADV POLARIS10)", None, "amd-radeon-rx-580"),
        ("AMD Radeon RX 5700 XT", 8_176 * MIB, "amd-radeon-rx-5700-xt"),
        ("AMD Radeon RX 7600M XT", 8_176 * MIB, "amd-radeon-rx-7600m-xt"),
        ("AMD Radeon Pro W7900 Dual Slot", 49_136 * MIB, "amd-radeon-pro-w7900"),
        ("AMD Radeon(TM) 780M Graphics", None, "amd-radeon-780m"),
        ("AMD Radeon 860M Graphics", None, "amd-radeon-860m"),
        ("AMD Instinct MI60 / MI50", 32_752 * MIB, "amd-instinct-mi50"),
        ("AMD Instinct MI60 / MI50", 16_368 * MIB, "amd-instinct-mi50"),
        ("AMD Instinct MI250X / MI250", 65_520 * MIB, "amd-instinct-mi250"),
        ("AMD Instinct MI300X OAM", 196_592 * MIB, "amd-instinct-mi300x"),
        (
            "AMD RYZEN AI MAX+ 395 w/ Radeon 8060S",
            None,
            "amd-radeon-8060s-ryzen-ai-max-395-strix-halo",
        ),
        ("Intel(R) Arc(TM) A770 Graphics", 16_225_243_136, "intel-arc-a770"),
        ("Intel(R) Arc(tm) A770 Graphics (DG2)", None, "intel-arc-a770"),
        ("Intel(R) Arc(TM) 140V GPU (16GB)", 18 * GIB, "intel-arc-140v"),
        ("Intel(R) Arc(TM) 140T GPU (16GB)", None, "intel-arc-140t"),
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


@pytest.mark.parametrize(
    ("line", "memory_bytes", "device_id"),
    [
        ("GA102 [GeForce RTX 3090]", 24 * GIB, "nvidia-geforce-rtx-3090"),
        (
            "01:00.0 VGA compatible controller [0300]: NVIDIA AD102 [GeForce RTX 4090] [10de:2684]",
            24 * GIB,
            "nvidia-geforce-rtx-4090",
        ),
        (
            "NVIDIA Corporation AD107M [GeForce RTX 4060 Max-Q / Mobile] (rev a1)",
            8 * GIB,
            "nvidia-geforce-rtx-4060-laptop-gpu",
        ),
        ("TU106M [GeForce RTX 2060 Mobile]", 6 * GIB, "nvidia-geforce-rtx-2060-laptop-gpu"),
        ("GP102GL [Tesla P40]", 24 * GIB, "nvidia-tesla-p40"),
        ("DG2 [Arc A770]", 16 * GIB, "intel-arc-a770"),
        ("Battlemage G21 [Arc B580]", 12 * GIB, "intel-arc-b580"),
        (
            "Advanced Micro Devices, Inc. [AMD/ATI] Navi 48 [Radeon AI PRO R9700]",
            32 * GIB,
            "amd-radeon-ai-pro-r9700",
        ),
    ],
)
def test_a_line_of_lspci_finds_its_device(line: str, memory_bytes: int, device_id: str) -> None:
    found = match_driver_name(line, memory_bytes=memory_bytes)
    assert found is not None
    assert found.id == device_id


def test_a_card_of_two_dies_is_shown_die_by_die() -> None:
    for name in ("Tesla K80", "AMD Instinct MI250X / MI250"):
        card = match_driver_name(name)
        assert card is not None
        assert card.dies == 2
        (whole,) = card.memory_gib
        assert match_driver_name(name, memory_bytes=whole * GIB // 2) == card
        assert match_driver_name(name, memory_bytes=whole * GIB) is None


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
        ("NVIDIA GeForce RTX 3060", None),
        ("AMD Radeon RX Vega", 8 * GIB),  # the 56 and the 64 alike
        ("Intel(R) Arc(TM) Graphics", None),
        ("NVIDIA GeForce RTX 5070 with Max-Q Design", 8 * GIB),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", 5 * GIB),
        ("GRID A100-10C", 10 * GIB),
        ("Navi 31 [Radeon RX 7900 XT/7900 XTX/7900M]", 24 * GIB),
        ("Polaris 20 [Radeon RX 470/480/570/580] [1002:67df]", 8 * GIB),
        ("[0300] [10de:2684]", None),
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
