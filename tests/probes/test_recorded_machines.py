"""Every recorded machine is answered: in time, with nothing raised, and as a person reads it."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from whatfits.probes import detect
from whatfits.probes.doctor import record
from whatfits.probes.redact import redact
from whatfits.probes.replay import ReplaySystem
from whatfits.probes.report import ProbeReport

FOLDER = Path(__file__).parent.parent / "recorded" / "machines"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))
ORIGINS = ("recorded on a real machine", "rebuilt from", "built from documented formats")
Machine = tuple[dict[str, Any], ProbeReport, float]
KINDS = {"measured", "reported", "derived", "unknown"}


@pytest.fixture(scope="module", params=NAMES)
def machine(request: pytest.FixtureRequest) -> Machine:
    recording = json.loads((FOLDER / f"{request.param}.json").read_text("utf-8"))
    started_s = time.perf_counter()
    report = detect(ReplaySystem(recording))
    return recording, report, time.perf_counter() - started_s


def test_there_are_recordings_of_many_machines() -> None:
    assert len(NAMES) >= 40


def test_every_situation_is_shown_by_some_machine() -> None:
    recordings = [json.loads((FOLDER / f"{name}.json").read_text("utf-8")) for name in NAMES]
    shown = {row for recording in recordings for row in recording.get("situations", ())}
    # 29: no Vulkan program is run at all. 39: a live test puts fake programs in the way.
    assert shown >= set(range(1, 40)) - {29, 39}


def test_it_says_where_it_comes_from(machine: Machine) -> None:
    recording, _, _ = machine
    assert recording["provenance"].startswith(ORIGINS)


def test_it_is_answered_within_a_second(machine: Machine) -> None:
    _, _, took_s = machine
    assert took_s < 1


def test_the_answer_fits_the_schema(machine: Machine) -> None:
    _, report, _ = machine
    adapter = TypeAdapter(ProbeReport)
    assert adapter.validate_json(adapter.dump_json(report)) == report


def test_the_machine_holds_together(machine: Machine) -> None:
    _, report, _ = machine
    built = report.machine
    pools = [pool.id for pool in built.pools]
    devices = [device.id for device in built.devices]
    assert len(set(pools)) == len(pools)
    assert len(set(devices)) == len(devices)
    assert all(device.pool in pools for device in built.devices)
    assert built.devices[-1].kind == "cpu"
    assert built.host is not None
    assert {end for link in built.links for end in (link.from_, link.to)} <= {*devices, *pools}
    for pool in built.pools:
        sizes = (pool.total_bytes, pool.limit_bytes, pool.used_bytes, pool.reserve_bytes)
        assert all(size is None or size >= 0 for size in sizes)
        if pool.total_bytes is not None and pool.used_bytes is not None:
            assert pool.used_bytes <= pool.total_bytes
            assert pool.free_bytes is not None


def test_unified_memory_stands_in_for_the_ram(machine: Machine) -> None:
    _, report, _ = machine
    pools = {pool.id for pool in report.machine.pools}
    assert not {"ram", "unified"} <= pools


def test_every_piece_of_evidence_says_how_sure_it_is(machine: Machine) -> None:
    _, report, _ = machine
    for item in report.evidence:
        assert item.kind in KINDS
        assert (item.value is None) == (item.kind == "unknown")
        assert item.source


def test_findings_are_sentences_of_one_line_with_a_name(machine: Machine) -> None:
    _, report, _ = machine
    for finding in report.findings:
        assert finding.code.replace("_", "").isalnum()
        assert "\n" not in finding.text + finding.next_step
        assert finding.text


def test_what_a_person_expects_holds(machine: Machine) -> None:
    recording, report, _ = machine
    expected = recording["expected"]
    pools = {pool.id: pool for pool in report.machine.pools}
    devices = {device.id: device for device in report.machine.devices}
    evidence = {item.key: item.value for item in report.evidence}
    codes = {finding.code for finding in report.findings}
    for pool, fields in expected.get("pools", {}).items():
        assert _chosen(pools[pool], fields) == fields, pool
    if expected.get("pools_are_all"):
        assert set(pools) == set(expected["pools"])
    for device, wanted in expected.get("devices", {}).items():
        fields = {k: v for k, v in wanted.items() if k not in ("features", "no_features")}
        assert _chosen(devices[device], fields) == fields, device
        assert set(wanted.get("features", ())) <= set(devices[device].features)
        assert not set(wanted.get("no_features", ())) & set(devices[device].features)
    if "device_order" in expected:
        assert [device.id for device in report.machine.devices] == expected["device_order"]
    links = [[link.from_, link.to] for link in report.machine.links]
    assert all(link in links for link in expected.get("links", ()))
    wanted_evidence = expected.get("evidence", {})
    assert {key: evidence.get(key) for key in wanted_evidence} == wanted_evidence
    assert set(expected.get("findings", ())) <= codes
    assert not set(expected.get("no_findings", ())) & codes
    if "holders" in expected:
        assert [holder.name for holder in report.holders] == expected["holders"]
    if "free_disk_bytes" in expected:
        assert report.free_disk_bytes == expected["free_disk_bytes"]


def _chosen(value: object, fields: dict[str, Any]) -> dict[str, Any]:
    return {name: getattr(value, name) for name in fields}


def test_a_doctors_recording_of_it_gives_the_same_report(machine: Machine) -> None:
    recording, _, _ = machine
    shown = redact(recording)
    again = record(ReplaySystem(shown))
    assert json.loads(json.dumps(again)) == again
    first, second = detect(ReplaySystem(shown)), detect(ReplaySystem(again))
    assert dataclasses.asdict(first) == dataclasses.asdict(second)
