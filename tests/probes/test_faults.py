"""Every source may be missing, denied, hung, garbled, junk or cut: an answer comes all the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from whatfits.probes import detect
from whatfits.probes.answers import ERROR_KINDS
from whatfits.probes.once import OnceSystem
from whatfits.probes.replay import ReplaySystem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from whatfits.probes.report import ProbeReport

FOLDER = Path(__file__).parent.parent / "recorded" / "machines"
# One machine of each kind, with most of the sources that there are.
MACHINES = (
    "linux-cloud-vm-2-cores",
    "kubernetes-pod-cpu-quota",
    "linux-server-2-sockets-numa",
    "lxc-with-lxcfs",
    "linux-rock-5b-rk3588",
    "mac-m4-pro-24gb",
    "mac-rosetta-virtualapple",
    "windows-11-desktop-p-and-e-cores",
    "freebsd-by-psutil",
)
JUNK = "\ufffd\x00\x1b[31m\x7f" * 40 + "99999999999999999999999999 kB\n:::\n"
SECTIONS = ("files", "directories", "links", "commands", "queries")


def recorded(name: str) -> dict[str, Any]:
    recording: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    return recording


def asked_of(recording: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the sources that the probes ask and the machine answers."""
    system = OnceSystem(ReplaySystem(recording))
    detect(system)
    asked = []
    for section, key in system.answers:
        shown = " ".join(key) if isinstance(key, tuple) else key
        if shown in recording.get(section, {}):
            asked.append((section, shown))
    return asked


def faults() -> Iterator[tuple[str, str, str, str]]:
    for name in MACHINES:
        for section, key in asked_of(recorded(name)):
            for kind in ERROR_KINDS:
                yield name, section, key, kind
            if section in ("files", "commands"):
                yield name, section, key, "junk"
                yield name, section, key, "cut"
                yield name, section, key, "empty"
            if section == "queries":
                yield name, section, key, "junk"


CASES = sorted(faults())


def broken(recording: dict[str, Any], section: str, key: str, fault: str) -> dict[str, Any]:
    answer = recording[section][key]
    text = "\n".join(answer) if isinstance(answer, list) else str(answer)
    if fault in ERROR_KINDS:
        wrong: Any = {"error": fault, "text": f"{key} failed"}
    elif section == "queries":
        wrong = {"memory": [1], "cpu": JUNK, "adapters": {"0": None}, "home": [JUNK], "version": 3}
    else:
        wrong = {"junk": JUNK, "cut": text[: len(text) // 2], "empty": ""}[fault]
    changed = {name: dict(recording.get(name, {})) for name in SECTIONS}
    changed[section][key] = wrong
    return {**recording, **changed}


def assert_sound(report: ProbeReport) -> None:
    machine = report.machine
    assert machine.host is not None
    assert machine.host_pool is not None
    assert {device.pool for device in machine.devices} <= {pool.id for pool in machine.pools}
    for pool in machine.pools:
        assert pool.used_bytes is None or pool.used_bytes >= 0
        if pool.total_bytes is not None and pool.used_bytes is not None:
            assert pool.used_bytes <= pool.total_bytes
    for finding in report.findings:
        assert "\n" not in finding.text
        # A defect of ours shows as the name of a Python error: there must be none.
        assert "Error:" not in finding.text


def test_there_are_hundreds_of_cases() -> None:
    assert len(CASES) >= 500


@pytest.mark.parametrize(("name", "section", "key", "fault"), CASES)
def test_one_broken_source_leaves_an_answer(name: str, section: str, key: str, fault: str) -> None:
    assert_sound(detect(ReplaySystem(broken(recorded(name), section, key, fault))))


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize("fault", ERROR_KINDS)
def test_all_sources_broken_at_once_leave_an_answer(name: str, fault: str) -> None:
    recording = recorded(name)
    for section, key in asked_of(recording):
        recording = broken(recording, section, key, fault)
    report = detect(ReplaySystem(recording))
    assert_sound(report)
    assert report.findings


VITAL = (
    ("linux-cloud-vm-2-cores", "files", "/proc/meminfo"),
    ("mac-m4-pro-24gb", "commands", "sysctl"),
    ("windows-11-desktop-p-and-e-cores", "queries", "windows"),
    ("freebsd-by-psutil", "queries", "psutil"),
)


@pytest.mark.parametrize("fault", ERROR_KINDS)
@pytest.mark.parametrize(("name", "section", "key"), VITAL)
def test_a_vital_source_that_fails_is_a_finding_and_not_a_guess(
    name: str, section: str, key: str, fault: str
) -> None:
    recording = recorded(name)
    for shown in recording[section]:
        if key in shown:
            recording = broken(recording, section, shown, fault)
    report = detect(ReplaySystem(recording))
    pool = report.machine.host_pool
    assert pool is not None
    assert pool.total_bytes is None
    assert pool.used_bytes is None
    assert {"ram_source_failed", "ram_unknown"} <= {finding.code for finding in report.findings}


def test_a_defect_in_one_source_costs_only_that_source(monkeypatch: pytest.MonkeyPatch) -> None:
    from whatfits.probes import cpu

    def fail(system: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(cpu, "probe", fail)
    report = detect(ReplaySystem(recorded("linux-cloud-vm-2-cores")))
    assert report.machine.pool("ram").total_bytes is not None
    assert report.machine.host is not None
    assert "cpu_failed" in {finding.code for finding in report.findings}
