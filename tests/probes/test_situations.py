"""Each of the 39 situations is recorded, and its machine is answered as the row demands."""

from __future__ import annotations

import pytest
from faults import NAMES, recorded
from peer_bugs import PEER_BUGS
from situations import NO_MACHINE, SITUATIONS, Shown

from whatfits.probes import detect
from whatfits.probes.replay import ReplaySystem

CASES = [(row, shown) for row, machines in SITUATIONS.items() for shown in machines]


@pytest.mark.parametrize(
    ("row", "shown"), CASES, ids=[f"{row}-{shown.machine}" for row, shown in CASES]
)
def test_a_situation_is_answered_as_its_row_demands(row: int, shown: Shown) -> None:
    hold(row, shown)


@pytest.mark.parametrize("bug", PEER_BUGS)
def test_a_bug_of_a_peer_is_none_of_ours(bug: str) -> None:
    row = PEER_BUGS[bug]
    for shown in SITUATIONS[row]:
        hold(row, shown)


def test_bugs_of_peers_are_known_for_most_situations() -> None:
    assert len(PEER_BUGS) >= 80
    assert len(set(PEER_BUGS.values())) >= 30


def hold(row: int, shown: Shown) -> None:
    """Hold the report of a machine to what its row demands."""
    recording = recorded(shown.machine)
    report = detect(ReplaySystem(recording))
    machine = report.machine
    assert row in recording["situations"]
    assert set(shown.says) <= {finding.code for finding in report.findings}
    told: dict[str, object] = {item.key: item.value for item in report.evidence}
    for pool in machine.pools:
        for name in ("total_bytes", "limit_bytes"):
            told[f"pools.{pool.id}.{name}"] = getattr(pool, name)
    assert {name: told[name] for name in shown.shows} == shown.shows
    devices = {device.id: device for device in machine.devices}
    for device, feature in shown.marks.items():
        assert feature in devices[device].features
    assert not set(shown.not_pools) & {pool.id for pool in machine.pools}


@pytest.mark.parametrize(
    ("row", "shown"), CASES, ids=[f"{row}-{shown.machine}" for row, shown in CASES]
)
def test_each_value_of_it_says_where_it_is_from_and_how_sure_it_is(row: int, shown: Shown) -> None:
    report = detect(ReplaySystem(recorded(shown.machine)))
    kinds = {item.key: item.kind for item in report.evidence}
    sources = {item.key: item.source for item in report.evidence}
    for name, value in shown.shows.items():
        # a limit stands beside its pool in words; what has evidence has a kind that fits it
        if name in kinds:
            assert (kinds[name] == "unknown") == (value is None), (row, name)
            assert sources[name]


def test_every_row_has_a_machine_or_a_reason_for_none() -> None:
    assert set(SITUATIONS) | NO_MACHINE == set(range(1, 40))
    assert not set(SITUATIONS) & NO_MACHINE


def test_the_rows_a_recording_names_are_rows_that_are_held_to_something() -> None:
    for name in NAMES:
        assert set(recorded(name).get("situations", ())) <= set(SITUATIONS), name


def test_no_vulkan_program_is_ever_run() -> None:
    """Row 29: vulkaninfo hangs or takes seconds; what lies on the bus is read instead."""
    from pathlib import Path

    from whatfits import probes

    folder = Path(str(probes.__file__)).parent
    assert not [path for path in folder.glob("*.py") if "vulkaninfo" in path.read_text("utf-8")]
