"""Windows' list of display adapters: dedicated and shared apart, capped readings never a size."""

from __future__ import annotations

from typing import Any

import pytest

from whatfits.probes.adapter_list import CAPPED_BYTES
from whatfits.probes.adapters import parse_adapters
from whatfits.probes.meminfo import HostRam
from whatfits.sizing.units import GIB, MIB

HOST = HostRam(128 * GIB, 100 * GIB, "GlobalMemoryStatusEx", "reported")


def adapter(vendor_id: int = 0x1002, device_id: int = 0x7550, **changes: object) -> dict[str, Any]:
    return {
        "name": "A Graphics Adapter",
        "vendor_id": vendor_id,
        "device_id": device_id,
        "shared_bytes": 16 * GIB,
        "luid": 1,
        **changes,
    }


def snapshot(*adapters: object) -> dict[str, Any]:
    return {"adapters": list(adapters)}


def test_shared_memory_is_never_added_to_a_card() -> None:
    found = parse_adapters(snapshot(adapter(dedicated_bytes=16 * GIB)))
    assert [pool.total_bytes for pool in found.pools] == [16 * GIB]
    values = {e.key: e.value for e in found.evidence}
    assert values["adapters.A Graphics Adapter.shared_bytes"] == 16 * GIB


def test_the_registry_tells_the_whole_card_and_dxgi_what_programs_get() -> None:
    """12,878,610,432 bytes in the registry equal nvidia-smi's total: mesh-llm pull 1836."""
    raw = adapter(dedicated_bytes=12_500 * MIB, registry_bytes=12_878_610_432)
    raw["dedicated_bytes"] = 12_878_610_432 - 200 * MIB
    (pool,) = parse_adapters(snapshot(raw)).pools
    assert pool.total_bytes == 12_878_610_432
    assert pool.limit_bytes == 12_878_610_432 - 200 * MIB


@pytest.mark.parametrize("reading", [CAPPED_BYTES, 4 * GIB - 1, 2 * GIB - 4096])
def test_a_reading_at_the_end_of_its_type_is_no_size(reading: int) -> None:
    found = parse_adapters(snapshot(adapter(adapter_ram_bytes=reading)))
    assert found.pools[0].total_bytes is None
    assert {finding.code for finding in found.findings} == {"vram_capped"}


def test_a_small_32_bit_reading_is_a_size_when_there_is_no_other() -> None:
    found = parse_adapters(snapshot(adapter(adapter_ram_bytes=2 * GIB)))
    assert found.pools[0].total_bytes == 2 * GIB


def test_a_64_bit_reading_is_taken_before_the_capped_one() -> None:
    raw = adapter(dedicated_bytes=16 * GIB, adapter_ram_bytes=CAPPED_BYTES)
    found = parse_adapters(snapshot(raw))
    assert found.pools[0].total_bytes == 16 * GIB
    assert found.findings == ()


def test_an_adapter_that_is_listed_twice_is_one() -> None:
    raw = adapter(dedicated_bytes=16 * GIB)
    assert len(parse_adapters(snapshot(raw, raw)).devices) == 1
    assert len(parse_adapters(snapshot(raw, {**raw, "luid": 2})).devices) == 2


@pytest.mark.parametrize(
    "raw", [adapter(0x1414, 0x8C), adapter(flags=2), adapter(flags=1), {}, None, "GPU"]
)
def test_software_and_remote_adapters_are_no_gpus(raw: object) -> None:
    assert parse_adapters(snapshot(raw)).devices == ()


def test_nvidias_own_library_speaks_for_its_cards() -> None:
    raw = adapter(0x10DE, 0x2684, dedicated_bytes=24 * GIB)
    assert parse_adapters(snapshot(raw), has_nvml=True).devices == ()
    (device,) = parse_adapters(snapshot(raw)).devices
    assert device.kind == "vulkan"


def test_graphics_in_a_processor_add_no_memory() -> None:
    raw = adapter(0x8086, 0xA780, dedicated_bytes=128 * MIB)
    found = parse_adapters(snapshot(raw))
    assert (found.pools, found.devices[0].pool) == ((), "ram")
    assert "integrated" in found.devices[0].features


def test_an_arc_card_is_a_card() -> None:
    raw = adapter(0x8086, 0xE20B, dedicated_bytes=12 * GIB)
    assert parse_adapters(snapshot(raw)).pools[0].total_bytes == 12 * GIB


@pytest.mark.parametrize(
    ("dedicated", "shared", "pool", "total"),
    [(96 * GIB, 16 * GIB, "vram0", 96 * GIB), (0, 61 * GIB, "unified", 128 * GIB)],
)
def test_strix_halo_is_a_carve_out_or_shares_the_ram(
    dedicated: int, shared: int, pool: str, total: int
) -> None:
    raw = adapter(device_id=0x1586, dedicated_bytes=dedicated, shared_bytes=shared)
    found = parse_adapters(snapshot(raw), host=HOST)
    assert (found.pools[0].id, found.pools[0].total_bytes) == (pool, total)


def test_heaps_that_a_driver_splits_are_summed_and_each_shown() -> None:
    """ggml-org/llama.cpp#16832: 96 GB shown as heaps of 32 and 64 GiB."""
    raw = adapter(device_id=0x1586, dedicated_bytes=64 * GIB, heaps=[32 * GIB, 64 * GIB])
    found = parse_adapters(snapshot(raw), host=HOST)
    assert found.pools[0].total_bytes == 96 * GIB
    heaps = [e.value for e in found.evidence if e.key == "pools.vram0.heap_bytes"]
    assert heaps == [32 * GIB, 64 * GIB]


@pytest.mark.parametrize("answer", [{"error": "garbled"}, None, 7, "none", [[]]])
def test_a_list_that_is_none_lists_nothing(answer: object) -> None:
    found = parse_adapters({"adapters": answer})
    assert found.devices == ()


def test_a_list_that_failed_is_said() -> None:
    found = parse_adapters({"adapters": {"error": "garbled"}})
    assert [finding.code for finding in found.findings] == ["windows_adapters_unread"]
