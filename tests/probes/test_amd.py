"""AMD GPUs: cards, APUs, and the three ways an APU shares its memory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from whatfits.probes.amd import AmdGpu, parse_gpus, probe
from whatfits.probes.amd_kfd import KfdNode, gfx_target, nodes_of, parse_kfd_node
from whatfits.probes.amd_names import CHIPS, amd_name, is_apu, parse_amdgpu_ids
from whatfits.probes.meminfo import HostRam
from whatfits.probes.pci import GpuFunction
from whatfits.probes.replay import ReplaySystem
from whatfits.sizing.catalog.lookup import device_entries, match_driver_name
from whatfits.sizing.units import GIB, MIB

if TYPE_CHECKING:
    from whatfits.probes.report import Partial

HOST = HostRam(124 * GIB, 100 * GIB, "/proc/meminfo", "reported")


def function(device_id: int = 0x1586, *, driver: str | None = "amdgpu") -> GpuFunction:
    return GpuFunction("0000:c3:00.0", 0x030000, 0x1002, device_id, 0xC1, driver, "/sys/gpu", ())


def apu(vram: int, gtt: int, *, target: str = "gfx1151", has_kfd: bool = True) -> AmdGpu:
    nodes = (KfdNode("0000:c3:00.0", 110501, 80),) if has_kfd else ()
    return AmdGpu(
        function(),
        "AMD Radeon 8060S Graphics",
        is_apu=True,
        target=target,
        nodes=nodes,
        vram_bytes=vram,
        vram_used_bytes=100 * MIB,
        gtt_bytes=gtt,
    )


def facts(found: Partial) -> dict[str, object]:
    return {evidence.key: evidence.value for evidence in found.evidence}


def codes(found: Partial) -> set[str]:
    return {finding.code for finding in found.findings}


def test_a_small_carve_out_beside_a_large_gtt_is_one_unified_pool() -> None:
    found = parse_gpus((apu(512 * MIB, 96 * GIB),), host=HOST)
    (pool,) = found.pools
    assert (pool.id, pool.kind) == ("unified", "unified")
    assert pool.total_bytes == 124 * GIB + 512 * MIB
    assert (pool.limit_bytes, pool.limit_low_bytes) == (96 * GIB + 512 * MIB, 96 * GIB)
    assert "integrated" in found.devices[0].features


def test_rocm_uses_the_larger_of_carve_out_and_gtt_and_vulkan_both() -> None:
    """noamsto/nix-amd-ai#42: carve-out 4 GiB, GTT 96 GiB; llama.cpp's HIP back end sees 96 GiB."""
    known = facts(parse_gpus((apu(4 * GIB, 96 * GIB),), host=HOST))
    assert known["devices.rocm0.usable_hip_bytes"] == 96 * GIB
    assert known["devices.rocm0.usable_vulkan_bytes"] == 100 * GIB


@pytest.mark.parametrize(
    ("vram", "is_own_pool"), [(16, False), (31, False), (33, True), (96, True)]
)
def test_a_carve_out_larger_than_gtt_is_a_pool_of_its_own(vram: int, is_own_pool: bool) -> None:
    """As the kernel decides: `apu_prefer_gtt` is set when VRAM is smaller than GTT."""
    found = parse_gpus((apu(vram * GIB, 32 * GIB),), host=HOST)
    assert (found.pools[0].kind == "vram") is is_own_pool
    assert ("amd_carve_out" in codes(found)) is is_own_pool
    assert facts(found)["amd.physical_memory_bytes"] == (124 + vram) * GIB


def test_an_ordinary_apu_computes_out_of_the_ram_and_adds_none() -> None:
    found = parse_gpus((apu(512 * MIB, 62 * GIB, target="gfx1103"),), host=HOST)
    assert found.pools == ()
    assert found.devices[0].pool == "ram"
    assert "integrated_gpu" in codes(found)


def test_what_others_hold_outside_the_limit_takes_nothing_away() -> None:
    (pool,) = parse_gpus((apu(512 * MIB, 62 * GIB),), host=HOST).pools
    assert pool.free_bytes == 62 * GIB + 512 * MIB  # 100 GiB are available
    tight = HostRam(124 * GIB, 10 * GIB, "", "reported")
    (pool,) = parse_gpus((apu(512 * MIB, 62 * GIB),), host=tight).pools
    assert pool.free_bytes == 10 * GIB + 412 * MIB  # and the carve-out that is not in use


def test_the_way_to_raise_gtt_is_counted_in_pages_of_four_kib() -> None:
    found = parse_gpus((apu(512 * MIB, 62 * GIB),), host=HOST)
    (finding,) = [f for f in found.findings if f.code == "amd_gtt_limit"]
    assert f"ttm.pages_limit={116 * GIB // 4096} " in finding.next_step
    assert "amd_gtt_limit" not in codes(parse_gpus((apu(512 * MIB, 116 * GIB),), host=HOST))


def test_without_a_compute_node_a_gpu_is_for_vulkan() -> None:
    found = parse_gpus((apu(512 * MIB, 62 * GIB, has_kfd=False),), host=HOST)
    assert (found.devices[0].kind, found.devices[0].id) == ("vulkan", "vulkan0")


def test_a_card_that_does_not_tell_its_size_is_of_unknown_size() -> None:
    card = AmdGpu(function(0x744C), "AMD Radeon RX 7900 XTX", is_apu=False)
    for vram in (None, 0):
        found = parse_gpus((replace(card, vram_bytes=vram),), host=HOST)
        assert found.pools[0].total_bytes is None
        assert "amd_memory_unknown" in codes(found)


def test_a_card_bound_to_another_driver_is_listed_but_cannot_be_used() -> None:
    card = AmdGpu(function(0x744C, driver="vfio-pci"), "AMD Radeon RX 7900 XTX", is_apu=False)
    found = parse_gpus((card,), host=HOST)
    assert "unusable" in found.devices[0].features


def test_partitions_of_a_card_share_its_memory_and_its_rate() -> None:
    nodes = tuple(KfdNode(f"0000:05:00.{i}", 90402, 152) for i in range(4))
    card = AmdGpu(
        replace(function(0x74A1), address="0000:05:00.0"),
        "AMD Instinct MI300X",
        is_apu=False,
        nodes=nodes,
        vram_bytes=192 * GIB,
    )
    found = parse_gpus((card,), host=HOST)
    whole = parse_gpus((replace(card, nodes=nodes[:1]),), host=HOST).devices[0]
    assert len(found.pools) == 1
    assert [device.id for device in found.devices] == ["rocm0", "rocm1", "rocm2", "rocm3"]
    assert whole.bandwidth_bytes_per_s is not None
    assert found.devices[0].bandwidth_bytes_per_s == whole.bandwidth_bytes_per_s // 4


def test_hip_may_select_a_card_by_its_serial_number_which_is_not_told() -> None:
    card = AmdGpu(function(0x744C), "A", is_apu=False, vram_bytes=GIB, unique_id="a1b2c3d4e5f60718")
    other = replace(card, unique_id="ffff000011112222")
    nodes = (KfdNode("0000:c3:00.0", 110000, 192),)
    found = parse_gpus(
        (replace(card, nodes=nodes), replace(other, nodes=nodes)),
        host=HOST,
        environment={"ROCR_VISIBLE_DEVICES": "GPU-ffff000011112222"},
    )
    assert facts(found)["devices.rocm0.visible_to_runtimes"] is False
    assert facts(found)["devices.rocm1.visible_to_runtimes"] is True
    assert "a1b2c3d4" not in repr(found)


@pytest.mark.parametrize(
    ("version", "target"),
    [
        (110501, "gfx1151"),
        (90010, "gfx90a"),
        (110000, "gfx1100"),
        (100300, "gfx1030"),
        (90402, "gfx942"),
    ],
)
def test_target_versions_become_llvms_names(version: int, target: str) -> None:
    assert gfx_target(version) == target


def test_a_compute_node_is_found_by_its_place_on_the_bus() -> None:
    node = parse_kfd_node("simd_count 80\ngfx_target_version 110501\nlocation_id 49920\ndomain 0\n")
    assert node is not None
    assert node.address == "0000:c3:00.0"
    assert nodes_of((node,), "0000:c3:00.0") == (node,)
    assert nodes_of((node,), "0000:c4:00.0") == ()


@pytest.mark.parametrize(
    "properties",
    [
        "",
        "cpu_cores_count 16\nsimd_count 0\ngfx_target_version 0\nlocation_id 0\n",
        "simd_count many\ngfx_target_version 110501\n",
        "gfx_target_version 110501\nsimd_count 80\n",
        "\x00\x01\x02",
    ],
)
def test_processors_and_broken_nodes_are_no_gpus(properties: str) -> None:
    assert parse_kfd_node(properties) is None


@pytest.mark.parametrize(
    ("device", "revision", "name"),
    [
        (0x744C, 0xC8, "AMD Radeon RX 7900 XTX"),
        (0x744C, 0xCC, "AMD Radeon RX 7900 XT"),
        (0x1586, 0xC1, "AMD Radeon 8060S Graphics"),
        (0x1586, 0xC2, "AMD Radeon 8050S Graphics"),
        (0x744C, 0x01, None),
        (0xFFFF, 0x00, None),
    ],
)
def test_names_are_by_device_and_revision(device: int, revision: int, name: str | None) -> None:
    """libdrm, data/amdgpu.ids."""
    assert amd_name(device, revision) == name


@pytest.mark.parametrize(
    ("device", "expected"), [(0x1586, True), (0x164E, True), (0x744C, False), (0x7551, False)]
)
def test_graphics_in_a_processor_are_known_by_number(device: int, expected: bool) -> None:
    assert is_apu(device) is expected


def test_the_systems_own_list_of_names_is_read_line_by_line() -> None:
    ids = "# List\n1.0.0\nbroken\n7481,   C7,     AMD Steam Machine\nzz,\tC0,\tX\n"
    assert parse_amdgpu_ids(ids, device_id=0x7481, revision=0xC7) == "AMD Steam Machine"
    assert parse_amdgpu_ids(ids, device_id=0x7481, revision=0xC8) is None


@pytest.mark.parametrize("size", ["", "-1", "0x10", "12 kB", "²", "1" * 30, "1" * 9000, "none"])
def test_a_broken_size_file_is_an_unknown_size(size: str) -> None:
    path = "/sys/bus/pci/devices/0000:03:00.0"
    files = {
        f"{path}/class": "0x030000",
        f"{path}/vendor": "0x1002",
        f"{path}/device": "0x744c",
        f"{path}/revision": "0xc8",
        f"{path}/mem_info_vram_total": size,
    }
    system = ReplaySystem(
        {
            "format": "whatfits-machine-recording",
            "version": 1,
            "platform": "linux",
            "files": files,
            "links": {f"{path}/driver": "../drivers/amdgpu"},
        }
    )
    assert probe(system).pools[0].total_bytes is None


def test_a_chip_of_the_list_is_a_device_of_the_catalog() -> None:
    options = sorted({size for entry in device_entries() for size in entry.memory_gib})
    names = {name for revisions in CHIPS.values() for name in revisions.values()}
    unknown = {
        name
        for name in names
        if not any(
            match_driver_name(name, vendor="AMD", memory_bytes=size * GIB) for size in options
        )
    }
    # Too slow for models, or one name for cards of two speeds (Vega 56 and 64).
    assert unknown == {
        "AMD Custom GPU 0405",
        "AMD Radeon 610M",
        "AMD Radeon 840M Graphics",
        "AMD Radeon RX Vega",
    }


@pytest.mark.parametrize(
    ("device_id", "revision", "name"),
    [
        (0x67DF, 0xE7, "AMD Radeon RX 580 Series"),
        (0x731F, 0xC1, "AMD Radeon RX 5700 XT"),
        (0x73DF, 0xC3, "AMD Radeon RX 6800M"),
        (0x7480, 0xC7, "AMD Radeon RX 7600M XT"),
        (0x6FDF, 0xE7, None),
    ],
)
def test_a_chip_is_named_by_its_revision(device_id: int, revision: int, name: str | None) -> None:
    assert amd_name(device_id, revision) == name
