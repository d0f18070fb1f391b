"""`whatfits hardware`: the machine, and a report that can be given back as `--machine`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MACHINES = ("rtx-4090 + 64gb", "2x rtx-3090 + 64gb", "m4 max 64gb", "64gb", "rx 7900 xtx + 32gb")


@pytest.mark.parametrize("machine", MACHINES)
def test_a_saved_report_stands_for_the_machine(
    say: Callable[..., Any],
    is_valid: Callable[[str, object], None],
    tmp_path: Path,
    machine: str,
) -> None:
    said = say("hardware", "--machine", machine, "--json")
    is_valid("hardware", said.json)
    path = tmp_path / "report.json"
    path.write_text(said.out)
    again = say("hardware", "--machine", str(path), "--json")
    assert again.json["machine"] == said.json["machine"]
    checked = say("check", "llama-3.1-8b", "--machine", str(path), "--json").json
    assert checked == say("check", "llama-3.1-8b", "--machine", machine, "--json").json


def test_this_machine_is_read_with_evidence(
    say: Callable[..., Any], is_valid: Callable[[str, object], None]
) -> None:
    said = say("hardware", "--json")
    assert (said.code, said.err) == (0, "")
    is_valid("hardware", said.json)
    assert said.json["machine"]["pools"]
    assert said.json["evidence"]


def test_the_doctors_report_is_json_alone(say: Callable[..., Any]) -> None:
    said = say("hardware", "--doctor")
    assert (said.code, said.err) == (0, "")
    assert isinstance(said.json, dict)


def test_the_doctors_report_can_be_given_back_as_the_machine(
    say: Callable[..., Any], tmp_path: Path
) -> None:
    path = tmp_path / "recording.json"
    path.write_text(say("hardware", "--doctor").out)
    here = say("hardware", "--json").json["machine"]
    again = say("hardware", "--machine", str(path), "--json").json["machine"]
    totals = [[pool["total_bytes"] for pool in machine["pools"]] for machine in (here, again)]
    assert totals[0] == totals[1]
    assert [device["name"] for device in again["devices"]] == [
        device["name"] for device in here["devices"]
    ]


def test_the_doctor_records_this_machine_alone(say: Callable[..., Any]) -> None:
    said = say("hardware", "--doctor", "--machine", "rtx-4090")
    assert (said.code, said.out) == (2, "")
    assert "what is recorded is this machine" in said.err


def test_text_shows_pools_and_devices(say: Callable[..., Any]) -> None:
    said = say("hardware", "--machine", "2x rtx-3090 + 64gb")
    pools = [line for line in said.lines if line.startswith("pool: ")]
    devices = [line for line in said.lines if line.startswith("device: ")]
    assert [line.split(";")[0] for line in pools] == ["pool: vram0", "pool: vram1", "pool: ram"]
    assert [line.split(";")[1] for line in devices] == [" kind: cuda", " kind: cuda", " kind: cpu"]
    assert "bandwidth: 936 GB/s" in devices[0]
