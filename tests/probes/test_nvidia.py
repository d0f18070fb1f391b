"""Snapshots of NVIDIA's driver: what is a size, what is not, and what is said about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatfits.probes.meminfo import HostRam
from whatfits.probes.nvidia import is_integrated_name, parse_nvml, probe
from whatfits.probes.nvidia_smi import parse_smi
from whatfits.probes.pci import GpuFunction
from whatfits.probes.replay import ReplaySystem
from whatfits.sizing.units import GIB, MIB

if TYPE_CHECKING:
    from collections.abc import Mapping

if TYPE_CHECKING:
    from whatfits.probes.report import Partial

HOST = HostRam(64 * GIB, 50 * GIB, "/proc/meminfo", "reported")


def card(**changes: object) -> dict[str, Any]:
    return {
        "index": 0,
        "handle": None,
        "name": "NVIDIA Imaginary 1",
        "uuid": "GPU-8957c40c-ccda-23ec-9b28-f0ec12f25f2a",
        "compute_capability": [8, 9],
        "pci_bus_id": "00000000:01:00.0",
        "memory": {"version": 2, "total": 8 * GIB, "reserved": 256 * MIB, "used": GIB},
        "processes": [],
        "mig_mode": {"error": "NotSupported"},
        **changes,
    }


def snapshot(*cards: Mapping[str, Any], **changes: object) -> dict[str, Any]:
    return {"init": None, "devices": list(cards), "count": len(cards), **changes}


def function_at(address: str) -> GpuFunction:
    return GpuFunction(address, 0x030000, 0x10DE, 0x2684, 0xA1, "nvidia", "", ())


def codes(found: Partial) -> set[str]:
    return {finding.code for finding in found.findings}


def test_what_the_driver_reserves_is_no_allowance() -> None:
    (pool,) = parse_nvml(snapshot(card())).pools
    assert (pool.total_bytes, pool.limit_bytes) == (8 * GIB, 8 * GIB - 256 * MIB)
    assert pool.free_bytes == 8 * GIB - 256 * MIB - GIB


def test_version_1_tells_no_reserve_so_there_is_no_limit_below_the_total() -> None:
    memory = {"version": 1, "total": 8 * GIB, "used": GIB}
    (pool,) = parse_nvml(snapshot(card(memory=memory))).pools
    assert (pool.limit_bytes, pool.free_bytes) == (None, 7 * GIB)


@pytest.mark.parametrize(
    "memory",
    [
        {"error": "NotSupported"},
        {"error": "GpuIsLost"},
        {"version": 2, "total": 0, "reserved": 0, "used": 0},
        {"version": 2, "total": -1, "reserved": 0, "used": 0},
        {"version": 2, "total": 2**64 - 1, "reserved": 0, "used": 0},
        {"version": 2, "total": "24 GiB"},
        {},
        None,
        [],
        7,
    ],
)
def test_a_card_without_a_sane_size_has_an_unknown_one_and_is_never_unified(memory: object) -> None:
    found = parse_nvml(snapshot(card(memory=memory)), host=HOST)
    (pool,) = found.pools
    assert (pool.kind, pool.total_bytes, pool.used_bytes) == ("vram", None, None)
    assert "nvidia_memory_unknown" in codes(found)


def test_use_beyond_the_total_is_unknown() -> None:
    memory = {"version": 2, "total": 8 * GIB, "reserved": 0, "used": 9 * GIB}
    assert parse_nvml(snapshot(card(memory=memory))).pools[0].used_bytes is None


@pytest.mark.parametrize(
    "name", ["NVIDIA GB10", "Orin (nvgpu)", "NVIDIA Thor", "Xavier", "NVIDIA-GB10", "Tegra X2"]
)
def test_parts_that_share_the_ram_are_known_by_name(name: str) -> None:
    assert is_integrated_name(name)


@pytest.mark.parametrize(
    "name", ["NVIDIA GeForce RTX 4090", "NVIDIA GB200", "NVIDIA GH200 480GB", "Thora", "GB1030"]
)
def test_cards_are_not_taken_for_parts_that_share_the_ram(name: str) -> None:
    assert not is_integrated_name(name)


@pytest.mark.parametrize(
    "memory",
    [{"error": "NotSupported"}, {"version": 1, "total": 64 * GIB, "used": 40 * GIB}, {"total": 0}],
)
def test_a_gb10_is_the_ram_whatever_its_driver_answers(memory: object) -> None:
    (pool,) = parse_nvml(snapshot(card(name="NVIDIA GB10", memory=memory)), host=HOST).pools
    assert (pool.id, pool.total_bytes, pool.free_bytes) == ("unified", 64 * GIB, 50 * GIB)


def test_bandwidth_of_a_card_the_catalog_does_not_know_comes_from_clock_and_bus() -> None:
    """2 × 9,751 MHz × 384 bit / 8 = 936 GB/s: what an RTX 3090 is sold with."""
    found = parse_nvml(snapshot(card(max_memory_clock_mhz=9751, bus_width_bits=384)))
    assert found.devices[0].bandwidth_bytes_per_s == 936_096_000_000
    (evidence,) = [e for e in found.evidence if e.key == "devices.cuda0.bandwidth_bytes_per_s"]
    assert evidence.kind == "derived"


def test_without_clock_or_bus_the_bandwidth_is_unknown() -> None:
    found = parse_nvml(snapshot(card(max_memory_clock_mhz={"error": "NotSupported"})))
    assert found.devices[0].bandwidth_bytes_per_s is None
    assert found.devices[0].fp16_flops_per_s is None


def test_the_serial_number_of_a_card_is_not_told() -> None:
    found = parse_nvml(snapshot(card()))
    assert "8957c40c" not in repr(found)


def test_a_lost_card_does_not_take_the_others_with_it() -> None:
    lost = {"index": 1, "handle": {"error": "GpuIsLost"}}
    cards = [card(index=i, pci_bus_id=f"00000000:0{i}:00.0") for i in (0, 2, 3)]
    found = parse_nvml(
        snapshot(cards[0], lost, *cards[1:]),
        functions=[function_at(f"0000:0{i}:00.0") for i in range(4)],
    )
    assert [device.id for device in found.devices] == ["cuda0", "cuda1", "cuda2"]
    assert {"nvidia_gpu_lost", "nvidia_gpu_missing"} <= codes(found)
    assert any("0000:01:00.0" in finding.text for finding in found.findings)


def test_a_card_in_mig_mode_is_its_instances_and_not_counted_itself() -> None:
    instance = {
        "index": 0,
        "name": "NVIDIA Imaginary 1 MIG 1g.1gb",
        "memory": {"version": 2, "total": GIB, "reserved": 0, "used": 0},
        "processes": [],
        "compute_slices": 1,
    }
    found = parse_nvml(
        snapshot(
            card(mig_mode=1, mig=[instance] * 2, max_memory_clock_mhz=1000, bus_width_bits=512)
        )
    )
    assert [pool.total_bytes for pool in found.pools] == [GIB, GIB]
    assert all("mig" in device.features for device in found.devices)
    # An eighth of the memory has an eighth of 128 GB/s.
    assert [d.bandwidth_bytes_per_s for d in found.devices] == [16_000_000_000] * 2


def test_a_card_in_mig_mode_without_an_instance_runs_nothing() -> None:
    found = parse_nvml(snapshot(card(mig_mode=1, mig=[])))
    assert (found.pools, found.devices) == ((), ())
    assert "nvidia_mig" in codes(found)


def test_instances_that_could_not_be_asked_for_are_not_taken_for_none() -> None:
    found = parse_nvml(snapshot(card(mig_mode=1, mig={"error": "NoPermission"})))
    assert "nvidia_mig_unread" in codes(found)
    assert "nvidia_mig" not in codes(found)


def test_a_slot_narrower_than_the_card_bounds_the_link() -> None:
    found = parse_nvml(snapshot(card(pcie_generation=4, pcie_lanes=16, pcie_lanes_now=4)))
    assert found.links[0].bandwidth_bytes_per_s == 4 * 1_969_200_000


def test_cards_on_a_switch_are_linked_pair_by_pair() -> None:
    switch = [{"version": 4, "remote_type": 2, "remote": "00000000:05:00.0"}] * 18
    cards = [
        card(index=i, pci_bus_id=f"00000000:1{i}:00.0", nvlink=switch, nvlink_mb_per_s=26562)
        for i in range(3)
    ]
    links = parse_nvml(snapshot(*cards)).links
    assert [(link.from_, link.to) for link in links] == [
        ("cuda0", "cuda1"),
        ("cuda0", "cuda2"),
        ("cuda1", "cuda2"),
    ]
    assert {link.bandwidth_bytes_per_s for link in links} == {18 * 26_562_000_000}


def test_programs_that_hold_memory_come_most_first_without_path_or_arguments() -> None:
    processes = [
        {"pid": 1, "name": "/opt/google/chrome/chrome --type=gpu --dir=/home/me", "used": 10 * MIB},
        {"pid": 2, "name": "C:\\Program Files\\A Game\\the game.exe", "used": 3 * GIB},
        {"pid": 3, "name": {"error": "NotFound"}, "used": 5 * MIB},
        {"pid": 4, "name": "explorer.exe", "used": None},
    ]
    holders = parse_nvml(snapshot(card(processes=processes))).holders
    assert [(h.name, h.pid) for h in holders] == [
        ("the game.exe", 2),
        ("chrome", 1),
        ("process 3", 3),
    ]


def test_cuda_visible_devices_may_name_a_card_by_the_start_of_its_uuid() -> None:
    found = parse_nvml(
        snapshot(card(), card(index=1, uuid="GPU-ffff0000")),
        environment={"CUDA_VISIBLE_DEVICES": "GPU-8957c40c"},
    )
    seen = {e.key: e.value for e in found.evidence if e.key.endswith("visible_to_runtimes")}
    assert seen == {
        "devices.cuda0.visible_to_runtimes": True,
        "devices.cuda1.visible_to_runtimes": False,
    }


def test_a_failure_that_passes_is_asked_once_more() -> None:
    class Flaky(ReplaySystem):
        asked = 0

        def query(self, name: str) -> Mapping[str, object]:
            assert name == "nvml"
            self.asked += 1
            return snapshot(card()) if self.asked > 1 else {"init": {"error": "Unknown"}}

    system = Flaky(
        {
            "format": "whatfits-machine-recording",
            "version": 1,
            "platform": "linux",
            "directories": {"/dev": ["nvidiactl"]},
        }
    )
    assert [pool.total_bytes for pool in probe(system).pools] == [8 * GIB]
    assert system.asked == 2


def test_a_machine_without_a_sign_of_nvidia_is_not_asked() -> None:
    class Untouched(ReplaySystem):
        def query(self, name: str) -> Mapping[str, object]:
            raise AssertionError(name)

    recording = {"format": "whatfits-machine-recording", "version": 1, "platform": "linux"}
    found = probe(Untouched(recording))
    assert (found.devices, found.findings) == ((), ())


def test_nvidia_smi_writes_what_it_does_not_know_in_brackets() -> None:
    """Field by field as printed: vllm-cli pull request 11 (Jetson), gpustat (broken sensors)."""
    fields = ("index", "name", "uuid", "pci.bus_id", "memory.total", "memory.used")
    text = (
        "0, NVIDIA GeForce RTX 2060, GPU-1, 00000000:01:00.0, 6144, 209\n"
        "1, Orin (nvgpu), [N/A], [N/A], [N/A], [N/A]\n"
        "2, NVIDIA A40, GPU-2, 00000000:02:00.0, [Unknown Error], [Not Supported]\n"
        "3, [GPU is lost], [GPU is lost], [GPU is lost], [GPU is lost], [GPU is lost]\n"
    )
    found = parse_nvml(parse_smi(text, fields) or {}, host=HOST)
    assert {p.id: p.total_bytes for p in found.pools} == {
        "vram0": 6 * GIB,
        "unified": 64 * GIB,
        "vram2": None,
    }
    assert "nvidia_gpu_lost" in codes(found)


@pytest.mark.parametrize(
    "text", ["", "No devices were found\n", "\x00\x01", 'Field "memory.reserved" is not valid\n']
)
def test_output_without_a_row_is_no_snapshot(text: str) -> None:
    assert parse_smi(text) is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["error", "total", "used", "pid"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(sorted(card())), _JSON), _JSON)
def test_no_answer_of_a_driver_breaks_the_parser(row: dict[str, Any], devices: object) -> None:
    for answer in (snapshot({**card(), **row}), {"init": None, "devices": devices}):
        for pool in parse_nvml(answer, host=HOST).pools:
            assert pool.total_bytes is None or 0 < pool.total_bytes <= 2**46
