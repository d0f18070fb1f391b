"""Every recorded GPU machine comes out as a person would read its recording."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from whatfits.probes import gpus
from whatfits.probes.replay import ReplaySystem
from whatfits.probes.report import Evidence, Partial
from whatfits.sizing.machine import Device, Link, Pool

RECORDINGS = sorted((Path(__file__).parents[1] / "recorded" / "machines").glob("gpu-*.json"))


def found_on(path: Path) -> tuple[Partial, dict[str, Any]]:
    recording = json.loads(path.read_text(encoding="utf-8"))
    return gpus.probe(ReplaySystem(recording)), recording["expected"]


@pytest.fixture(params=RECORDINGS, ids=lambda path: path.stem)
def machine_path(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


@pytest.fixture
def machine(machine_path: Path) -> tuple[Partial, dict[str, Any]]:
    return found_on(machine_path)


def test_at_least_forty_gpu_machines_are_recorded() -> None:
    assert len(RECORDINGS) >= 40


def test_pools_are_as_recorded(machine: tuple[Partial, dict[str, Any]]) -> None:
    found, expected = machine
    pools = {pool.id: asdict(pool) for pool in found.pools}
    wanted = {k: v for k, v in expected.get("pools", {}).items() if k != "ram"}
    assert set(wanted) == set(pools) or "pools" not in expected
    for pool_id, fields in wanted.items():
        assert fields == {name: pools[pool_id][name] for name in fields}, pool_id


def test_devices_are_as_recorded(machine: tuple[Partial, dict[str, Any]]) -> None:
    found, expected = machine
    devices = {device.id: asdict(device) for device in found.devices}
    if expected.get("devices") == {}:
        assert devices == {}
    for device_id, fields in expected.get("devices", {}).items():
        device = devices[device_id]
        features = set(device["features"])
        assert set(fields.get("features", ())) <= features, device_id
        assert features.isdisjoint(fields.get("no_features", ())), device_id
        plain = {k: v for k, v in fields.items() if "features" not in k}
        assert plain == {name: device[name] for name in plain}, device_id


def test_links_evidence_findings_and_holders_are_as_recorded(
    machine: tuple[Partial, dict[str, Any]],
) -> None:
    found, expected = machine
    pairs = [[link.from_, link.to] for link in found.links]
    assert all(pair in pairs for pair in expected.get("links", ()))
    values = {evidence.key: evidence.value for evidence in found.evidence}
    wanted = expected.get("evidence", {})
    assert wanted == {key: values[key] for key in wanted}
    codes = {finding.code for finding in found.findings}
    assert set(expected.get("findings", ())) <= codes
    assert codes.isdisjoint(expected.get("no_findings", ()))
    assert (
        expected.get("holders", []) == [h.name for h in found.holders] or "holders" not in expected
    )


def test_no_recorded_machine_breaks_a_probe(machine: tuple[Partial, dict[str, Any]]) -> None:
    found, _ = machine
    assert "gpu_probe_failed" not in {finding.code for finding in found.findings}


def test_every_device_has_a_pool_and_every_id_is_given_once(
    machine: tuple[Partial, dict[str, Any]],
) -> None:
    found, _ = machine
    pools = [pool.id for pool in found.pools]
    devices = [device.id for device in found.devices]
    assert len(set(pools)) == len(pools)
    assert len(set(devices)) == len(devices)
    assert {device.pool for device in found.devices} <= {*pools, "ram"}
    assert {link.to for link in found.links} <= set(devices)
    assert {holder.pool for holder in found.holders} <= set(pools)


def test_no_pool_is_larger_than_what_the_driver_reports(
    machine: tuple[Partial, dict[str, Any]],
) -> None:
    found, _ = machine
    for pool in found.pools:
        if pool.total_bytes is not None:
            assert (pool.limit_bytes or 0) <= pool.total_bytes
            assert (pool.used_bytes or 0) <= pool.total_bytes
        assert pool.limit_low_bytes is None or pool.limit_low_bytes <= (pool.limit_bytes or 0)


def test_a_card_that_two_sources_list_is_kept_once_by_its_place_on_the_bus() -> None:
    first = Partial(
        pools=(Pool("vram0", "vram", 8),),
        devices=(Device("cuda0", "cuda", "A", "vram0", features=("pci:0000:01:00.0",)),),
    )
    again = Partial(
        pools=(Pool("vram0", "vram", 7), Pool("vram1", "vram", 16)),
        devices=(
            Device("vulkan0", "vulkan", "A", "vram0", features=("pci:0000:01:00.0",)),
            Device("vulkan1", "vulkan", "B", "vram1", features=("pci:0000:02:00.0",)),
        ),
        links=(Link("cpu", "vulkan0", 1), Link("cpu", "vulkan1", 2)),
        evidence=(Evidence("pools.vram1.total_bytes", 16, "bytes", "", "reported"),),
    )
    merged = gpus.merge([first, again])
    assert [(d.id, d.pool) for d in merged.devices] == [("cuda0", "vram0"), ("vulkan0", "vram1")]
    assert [(p.id, p.total_bytes) for p in merged.pools] == [("vram0", 8), ("vram1", 16)]
    assert [(x.to, x.bandwidth_bytes_per_s) for x in merged.links] == [("vulkan0", 2)]
    assert merged.evidence[0].key == "pools.vram1.total_bytes"


def test_a_probe_that_fails_costs_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    path = next(path for path in RECORDINGS if path.stem == "gpu-hybrid-laptop-linux")

    def fail(*_arguments: object) -> Partial:
        raise ZeroDivisionError

    monkeypatch.setattr("whatfits.probes.nvidia.probe", fail)
    found, _ = found_on(path)
    assert [device.id for device in found.devices] == ["vulkan0"]
    assert "gpu_probe_failed" in {finding.code for finding in found.findings}


def test_programs_are_started_by_their_place_in_the_system_and_few(
    machine_path: Path,
) -> None:
    """No vulkaninfo (6-12 s), rocm-smi or lspci, and nothing from the search path."""
    started: list[str] = []

    class Watched(ReplaySystem):
        def run(self, command: tuple[str, ...]) -> str:
            started.append(command[0])
            return super().run(command)

    gpus.probe(Watched(json.loads(machine_path.read_text(encoding="utf-8"))))
    assert set(started) <= {
        "/usr/sbin/sysctl",
        "/usr/bin/arch",
        "/usr/bin/vm_stat",
        "/usr/sbin/system_profiler",
        "/usr/bin/nvidia-smi",
        "/usr/lib/wsl/lib/nvidia-smi",
        "/run/current-system/sw/bin/nvidia-smi",
    }


JUNK: tuple[object, ...] = (
    "",
    "\x00\x01",
    "-1",
    "9" * 9000,
    "[N/A]",
    "[]",
    "0x",
    "1e999",
    {"error": "denied"},
    {"error": "hung"},
    {"error": "garbled"},
)


@pytest.mark.parametrize("junk", JUNK, ids=lambda junk: str(junk)[:20])
def test_no_broken_source_breaks_a_probe(machine_path: Path, junk: object) -> None:
    """Each file, command and link in turn is replaced; what is left is still answered."""
    recording = json.loads(machine_path.read_text(encoding="utf-8"))
    for section in ("files", "commands", "links"):
        for key in recording.get(section, {}):
            broken = {**recording, section: {**recording[section], key: junk}}
            found = gpus.probe(ReplaySystem(broken))
            assert "gpu_probe_failed" not in {finding.code for finding in found.findings}, key
