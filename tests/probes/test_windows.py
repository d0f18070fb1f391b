"""What Windows says: 64-bit sizes, real core counts, and the name people know."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatfits.probes.system import SourceGarbledError, SourceMissingError
from whatfits.probes.windows import merge_adapters, parse_memory, parse_version
from whatfits.probes.windows_api import read_windows
from whatfits.probes.windows_cpu import parse_processor_information
from whatfits.sizing.units import GIB, MIB


def core(efficiency_class: int, mask: int, groups: int = 1) -> bytes:
    body = struct.pack("<BB20xH", 0, efficiency_class, groups)
    body += struct.pack("<QH6x", mask, 0) * groups
    return struct.pack("<II", 0, 8 + len(body)) + body


def cache(level: int, size: int) -> bytes:
    body = struct.pack("<BBHII20xH", level, 8, 64, size, 0, 0)
    return struct.pack("<II", 2, 8 + len(body)) + body


def test_cores_threads_and_kinds_are_counted_over_the_table() -> None:
    table = core(1, 0b11) * 8 + core(0, 0b1) * 16 + cache(2, MIB) + cache(3, 36 * MIB)
    assert parse_processor_information(table) == {
        "physical_cores": 24,
        "logical_cores": 32,
        "performance_cores": 8,
        "l3_bytes": 36 * MIB,
    }


def test_more_than_64_threads_lie_in_several_groups() -> None:
    told = parse_processor_information(core(0, 0b11) * 96)
    assert (told["physical_cores"], told["logical_cores"]) == (96, 192)


@given(table=st.binary(max_size=200))
def test_no_table_is_an_error(table: bytes) -> None:
    parse_processor_information(table)
    parse_processor_information(core(0, 1) + table)


def test_a_cut_table_counts_what_is_whole() -> None:
    table = core(0, 0b11) * 3
    assert parse_processor_information(table[:-1])["physical_cores"] == 2


def test_what_can_be_had_is_bounded_by_what_may_be_committed() -> None:
    snapshot = {
        "memory": {
            "total_bytes": 64 * GIB,
            "available_bytes": 40 * GIB,
            "commit_available_bytes": 10 * GIB,
            "installed_bytes": 64 * GIB,
        }
    }
    assert parse_memory(snapshot).available_bytes == 10 * GIB


@pytest.mark.parametrize("memory", [{}, None, [], {"total_bytes": 0}, {"total_bytes": "64"}])
def test_no_total_is_an_error_and_no_guess(memory: object) -> None:
    with pytest.raises(SourceGarbledError):
        parse_memory({"memory": memory})


@pytest.mark.parametrize(
    ("version", "shown"),
    [
        (
            {"product": "Windows 10 Pro", "display": "24H2", "build": "26100"},
            "Windows 11 Pro 24H2 (26100)",
        ),
        (
            {"product": "Windows 10 Pro", "display": "22H2", "build": "19045"},
            "Windows 10 Pro 22H2 (19045)",
        ),
        ({"product": "Windows Server 2022"}, "Windows Server 2022"),
        ({}, None),
    ],
)
def test_windows_11_is_called_by_its_name(version: dict[str, str], shown: str | None) -> None:
    assert parse_version({"version": version}) == shown


KEY = {
    "DriverDesc": "NVIDIA GeForce RTX 4090",
    "MatchingDeviceId": "PCI\\VEN_10DE&DEV_2684&SUBSYS_00000000",
    "HardwareInformation.qwMemorySize": 24 * GIB,
    "HardwareInformation.MemorySize": 4 * GIB - MIB,
    "DriverVersion": "32.0.15.6094",
}


def test_the_registry_completes_what_dxgi_lists() -> None:
    listed = [{"name": "NVIDIA GeForce RTX 4090", "vendor_id": 0x10DE, "device_id": 0x2684}]
    (adapter,) = merge_adapters(listed, [KEY])
    assert adapter["registry_bytes"] == 24 * GIB
    assert adapter["driver_version"] == "32.0.15.6094"


def test_without_dxgi_the_64_bit_figure_of_the_registry_is_the_size() -> None:
    (adapter,) = merge_adapters([], [KEY, {"DriverDesc": "A virtual display"}])
    assert adapter["dedicated_bytes"] == 24 * GIB
    assert adapter["adapter_ram_bytes"] == 4 * GIB - MIB
    assert (adapter["vendor_id"], adapter["device_id"]) == (0x10DE, 0x2684)


def test_the_snapshot_is_for_windows_only() -> None:
    with pytest.raises(SourceMissingError):
        read_windows()
