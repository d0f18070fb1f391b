"""Every source may be missing, denied, hung, garbled, junk or cut: an answer comes all the same.

The figures of all machines together: `python tests/probes/campaign.py`.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import pytest
from campaign import DEADLINE_S, Outcome, run, schema
from contradictions import Sound
from faults import NAMES, Fault, asked_of, broken, faults_of, recorded

from whatfits.probes import detect
from whatfits.probes.answers import ERROR_KINDS
from whatfits.probes.replay import ReplaySystem
from whatfits.probes.report import Finding
from whatfits.sizing.cli.hardware import _answer
from whatfits.sizing.json_values import to_json_value

VALIDATOR = schema()


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    """The machines that were tried so far: the last tests add them up."""
    return {}


@pytest.mark.parametrize("name", NAMES)
def test_every_fault_of_a_machine_is_answered_and_nothing_made_up(
    name: str, outcomes: dict[str, Outcome]
) -> None:
    outcome = run(name, VALIDATOR)
    outcomes[name] = outcome
    assert outcome.raised == []
    assert outcome.invalid == []
    assert outcome.contradicted == []
    assert outcome.guessed == []
    assert outcome.slowest_s < DEADLINE_S


def test_the_campaign_is_as_large_as_it_is_said_to_be(outcomes: dict[str, Outcome]) -> None:
    if len(outcomes) < len(NAMES):
        pytest.skip("counts what the tests before it have tried")
    faults = sum(outcome.faults for outcome in outcomes.values())
    slowest_s = max(outcome.slowest_s for outcome in outcomes.values())
    sys.stdout.write(f"{len(NAMES)} machines, {faults} faults, slowest {slowest_s:.2f} s\n")
    assert len(NAMES) >= 100
    assert faults >= 15_000


def test_gpu_sources_are_among_those_that_fail() -> None:
    sources = {key.split(" ")[0] for name in NAMES for _, key in asked_of(recorded(name))}
    for part in ("nvml", "windows", "/usr/bin/nvidia-smi", "/usr/sbin/system_profiler"):
        assert part in sources
    for part in ("mem_info_vram_total", "physical_vram_size_bytes", "/kfd/", "/usr/sbin/sysctl"):
        assert any(part in source for source in sources)


@pytest.mark.parametrize("name", NAMES)
def test_all_sources_broken_at_once_leave_an_answer(name: str) -> None:
    for fault in ERROR_KINDS:
        recording: dict[str, Any] = recorded(name)
        asked = asked_of(recording)
        for section, key in asked:
            recording = broken(recording, Fault(section, key, fault))
        report = detect(ReplaySystem(recording))
        assert report.machine.host is not None
        assert report.findings or not asked
        assert VALIDATOR.is_valid(to_json_value(_answer(report)))


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
            recording = broken(recording, Fault(section, shown, fault))
    report = detect(ReplaySystem(recording))
    pool = report.machine.host_pool
    assert pool is not None
    assert pool.total_bytes is None
    assert pool.used_bytes is None
    assert {"ram_source_failed", "ram_unknown"} <= {finding.code for finding in report.findings}


LIMITS = (
    ("docker-cgroup-v2-limit", "/sys/fs/cgroup/memory.max"),
    ("docker-cgroup-v2-limit", "/proc/self/cgroup"),
    ("docker-cgroup-v2-limit", "/proc/self/mountinfo"),
    ("docker-cgroup-v1-limit", "/sys/fs/cgroup/memory/memory.limit_in_bytes"),
    ("linux-cloud-vm-2-cores", "/proc/self/limits"),
)


@pytest.mark.parametrize("fault", ["denied", "hung", "junk"])
@pytest.mark.parametrize(("name", "key"), LIMITS)
def test_a_limit_that_cannot_be_read_is_a_warning(name: str, key: str, fault: str) -> None:
    recording = recorded(name)
    assert not [f for f in detect(ReplaySystem(recording)).findings if f.code == "ram_limit_unread"]
    report = detect(ReplaySystem(broken(recording, Fault("files", key, fault))))
    (finding,) = (one for one in report.findings if one.code == "ram_limit_unread")
    assert finding.severity == "warning"
    assert key in finding.text
    assert finding.next_step
    assert not [f for f in report.findings if f.code == "source_unread" and key in f.text]


def test_a_source_that_fails_is_named_with_what_happened_to_it() -> None:
    recording = recorded("linux-cloud-vm-2-cores")
    key = "/sys/devices/system/cpu/online"
    words = {"denied": "may not be read", "hung": "in time", "junk": "no usable answer"}
    for kind, said in words.items():
        report = detect(ReplaySystem(broken(recording, Fault("files", key, kind))))
        texts = [finding.text for finding in report.findings if finding.code == "source_unread"]
        assert len(texts) == 1
        assert key in texts[0]
        assert said in texts[0]


def test_many_sources_that_fail_are_one_line() -> None:
    recording = recorded("linux-server-2-sockets-numa")
    for section, key in asked_of(recording):
        recording = broken(recording, Fault(section, key, "denied"))
    texts = [f.text for f in detect(ReplaySystem(recording)).findings if f.code == "source_unread"]
    assert len(texts) == 1
    assert " more: may not be read" in texts[0]


def test_a_claim_against_the_machine_would_be_noticed() -> None:
    recording = recorded("gpu-rtx-4090-pair")
    report = detect(ReplaySystem(recording))
    sound = Sound.of(recording, report)
    assert not list(sound.contradicted_by(report))
    first, *others = report.machine.pools
    assert first.total_bytes is not None
    for change in ({"total_bytes": first.total_bytes + 1}, {"limit_bytes": 12_345}):
        pools = (replace(first, **change), *others)
        assert list(
            sound.contradicted_by(replace(report, machine=replace(report.machine, pools=pools)))
        )
    device = report.machine.devices[0]
    for device_change in (
        {"name": "NVIDIA GeForce RTX 5090"},
        {"features": (*device.features, "cc9.0")},
        {"bandwidth_bytes_per_s": 10**13},
    ):
        devices = (replace(device, **device_change), *report.machine.devices[1:])
        assert list(
            sound.contradicted_by(replace(report, machine=replace(report.machine, devices=devices)))
        )


def test_a_value_that_goes_without_a_word_would_be_noticed() -> None:
    recording = recorded("gpu-rtx-4090-pair")
    report = detect(ReplaySystem(recording))
    sound = Sound.of(recording, report)
    pools = (replace(report.machine.pools[0], total_bytes=None), *report.machine.pools[1:])
    lost = replace(report, machine=replace(report.machine, pools=pools))
    assert sound.is_guessed_by(lost)
    said = (*report.findings, Finding("said", "info", "It is not known."))
    assert not sound.is_guessed_by(replace(lost, findings=said))
    fewer = replace(report.machine, devices=report.machine.devices[1:])
    assert sound.has_lost_a_device_to(replace(report, machine=fewer))


def test_every_kind_of_fault_is_tried() -> None:
    kinds = {fault.kind for name in NAMES for fault in faults_of(recorded(name))}
    assert kinds >= {*ERROR_KINDS, "junk", "cut", "empty", "not supported", "negative", "all ones"}


def test_a_defect_in_one_source_costs_only_that_source(monkeypatch: pytest.MonkeyPatch) -> None:
    from whatfits.probes import cpu

    def fail(system: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(cpu, "probe", fail)
    report = detect(ReplaySystem(recorded("linux-cloud-vm-2-cores")))
    assert report.machine.pool("ram").total_bytes is not None
    assert report.machine.host is not None
    assert "cpu_failed" in {finding.code for finding in report.findings}
