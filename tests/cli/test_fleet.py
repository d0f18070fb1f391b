"""`whatfits fleet`: machines in, plans and what starts them out."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CARDS = ("--machine", "rtx-4090 + 64gb", "--machine", "rtx-3090 + 32gb")


@pytest.fixture
def reports(say: Callable[..., Any], tmp_path: Path) -> list[str]:
    """Save the reports of two machines, as a person would."""
    paths = []
    for name, machine in (("left", "rtx-4090 + 64gb"), ("right", "rtx-3090 + 32gb")):
        path = tmp_path / f"{name}.json"
        path.write_text(say("hardware", "--machine", machine, "--json").out, encoding="utf-8")
        paths.append(str(path))
    return paths


def test_saved_reports_are_planned_over(
    say: Callable[..., Any], is_valid: Callable[[str, object], None], reports: list[str]
) -> None:
    said = say("fleet", *reports, "llama-3.1-70b", "--network", "10gbe", "--json")
    assert said.code == 0
    answer = said.json
    is_valid("fleet", answer)
    assert [node["node"] for node in answer["nodes"]] == ["left", "right"]
    best = answer["plans"][0]
    assert (best["strategy"], best["runtime"], best["verdict"]) == ("pipeline", "llama.cpp", "fits")
    assert best["nodes"] == ["left", "right"] or best["nodes"] == ["right", "left"]
    memory = best["memory"]
    assert sum(row["total_bytes"] for row in memory["devices"]) == memory["total_bytes"]
    assert sum(share["total_bytes"] for share in best["shares"]) == memory["total_bytes"]


def test_a_model_may_come_first_and_a_folder_is_its_reports(
    say: Callable[..., Any], reports: list[str], tmp_path: Path
) -> None:
    first = say("fleet", "qwen3-8b", *reports, "--json")
    folder = say("fleet", str(tmp_path), "qwen3-8b", "--json")
    assert first.json == folder.json


def test_without_a_model_the_machines_are_shown(
    say: Callable[..., Any], is_valid: Callable[[str, object], None], reports: list[str]
) -> None:
    said = say("fleet", *reports, "--json")
    assert said.code == 0
    is_valid("fleet", said.json)
    assert said.json["plans"] == []
    assert said.json["model"] is None
    text = say("fleet", *reports, "--plain")
    assert "2 machines" in text.out
    assert "left" in text.out


def test_lines_go_in_and_come_out_again(
    say: Callable[..., Any], reports: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = say("fleet", *reports, "--network", "25gbe", "--lines").out
    assert len(lines.splitlines()) == 2
    monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
    assert say("fleet", "-", "--lines").out == lines
    monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
    piped = say("fleet", "-", "llama-3.1-70b", "--json").json
    direct = say("fleet", *reports, "--network", "25gbe", "llama-3.1-70b", "--json").json
    assert piped == direct


def test_the_network_a_node_names_counts_before_the_option(
    say: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = say("fleet", *CARDS, "--network", "1gbe", "--lines").out
    monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
    nodes = say("fleet", "-", "--network", "100gbe", "--json").json["nodes"]
    assert {node["network"] for node in nodes} == {"1gbe"}


def test_a_machine_that_is_taken_for_a_model_is_told_its_option(say: Callable[..., Any]) -> None:
    said = say("fleet", "qwen3-8b", "rtx 3090 + 64gb")
    assert said.code == 2
    assert "a machine by its name is --machine 'rtx 3090 + 64gb'" in said.err


def test_what_holds_no_model_answers_no(say: Callable[..., Any]) -> None:
    said = say("fleet", "--machine", "8gb", "--machine", "16gb", "llama-3.1-405b", "--json")
    assert said.code == 1
    assert not any(plan["commands"] for plan in said.json["plans"])
    text = say("fleet", "--machine", "8gb", "--machine", "16gb", "llama-3.1-405b", "--plain")
    assert text.code == 1
    assert "does not run on these machines" in text.out
    assert "short" in text.out


def test_text_says_where_layers_lie_and_what_to_type(say: Callable[..., Any]) -> None:
    out = say("fleet", *CARDS, "llama-3.1-70b", "--network", "10gbe", "--plain").out
    assert "cut over nodes" in out
    assert "rpc-server -H " in out
    assert "--rpc " in out
    assert "bytes a token" in out
    assert "password" in out
    cut, alone = out.split(": one node (")
    assert " on all nodes together" in cut
    assert " on all nodes together" not in alone


def test_an_unknown_network_is_told_where_the_speed_would_stand(say: Callable[..., Any]) -> None:
    out = say("fleet", *CARDS, "llama-3.1-70b", "--plain").out
    assert "name it with --network" in out


def test_plans_are_written_once_and_over_others_only_by_force(
    say: Callable[..., Any], tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    asked = ("fleet", *CARDS, "qwen3-8b", "--runtime", "llama.cpp", "--write", str(folder))
    assert say(*asked, "--json").code == 0
    written = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))
    assert [name for name in written if name.endswith(".txt")] == [
        "1-single-llama.cpp/commands.txt",
        "2-replicas-llama.cpp/commands.txt",
    ]
    assert "2-replicas-llama.cpp/nginx.conf" in written
    commands = folder / "1-single-llama.cpp" / "commands.txt"
    assert "llama-server -m qwen3-8b" in commands.read_text(encoding="utf-8")
    commands.write_text("mine", encoding="utf-8")
    refused = say(*asked)
    assert refused.code == 2
    assert "--force" in refused.err
    assert commands.read_text(encoding="utf-8") == "mine"
    assert say(*asked, "--force", "--json").code == 0
    assert "llama-server" in commands.read_text(encoding="utf-8")


def test_idle_machines_have_everything_free(say: Callable[..., Any], tmp_path: Path) -> None:
    report = say("hardware", "--machine", "rtx-4090 + 64gb", "--json").json
    for pool in report["machine"]["pools"]:
        pool["used_bytes"] = pool["total_bytes"] // 2
    path = tmp_path / "busy.json"
    path.write_text(json.dumps(report), encoding="utf-8")
    (node,) = say("fleet", str(path), "--idle", "--json").json["nodes"]
    assert [pool["used_bytes"] for pool in node["machine"]["pools"]] == [0, 0]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((), "hardware --json"),
        (("qwen3-8b",), "nodes"),
        (("qwen3-8b", "llama-3.1-8b", *CARDS), "models"),
        (("nothing.json", "qwen3-8b"), "nothing.json"),
        (("nothing.jsonl", "qwen3-8b"), "nothing.jsonl"),
        ((*CARDS, "qwen3-8b", "--network", "string"), "network"),
        ((*CARDS, "qwen3-8b", "--runtime", "ollama"), "runtime"),
        ((*CARDS, "qwen3-8b", "--context", "0"), "context"),
        ((*CARDS, "qwen99"), "qwen99"),
        (("--machine", "rtx-nothing", "qwen3-8b"), "rtx-nothing"),
        ((*CARDS, "--write", "folder"), "--write"),
        ((*CARDS, "qwen3-8b", "--lines"), "--lines"),
        ((*CARDS, "--ray-timeout", "0"), "--ray-timeout"),
        ((*CARDS, "--nodes"), "--nodes"),
        ((*CARDS, "qwen3-8b", "--force"), "only with --write"),
        ((*CARDS, "qwen3-8b", "--ray-timeout", "5"), "only with --ray"),
    ],
)
def test_bad_input_is_one_line_and_code_two(
    say: Callable[..., Any], arguments: tuple[str, ...], named: str
) -> None:
    said = say("fleet", *arguments)
    assert said.code == 2
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert named in said.err
    as_json = say("fleet", *arguments, "--json")
    assert as_json.code == 2
    assert as_json.json["error"]["message"]


def test_a_folder_that_cannot_be_written_is_bad_input(
    say: Callable[..., Any], tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("", encoding="utf-8")
    said = say("fleet", *CARDS, "qwen3-8b", "--write", str(blocked / "under"))
    assert said.code == 2
    assert said.err.count("\n") == 1


def test_names_of_a_report_cannot_steer_the_terminal_or_a_command(
    say: Callable[..., Any], tmp_path: Path
) -> None:
    report = say("hardware", "--machine", "rtx-4090 + 64gb", "--json").json
    device, pool = report["machine"]["devices"][0], report["machine"]["pools"][0]
    device["name"] = "\x1b[31mred"
    device["pool"] = pool["id"] = "vram\nreboot\n"
    path = tmp_path / "a; reboot #.json"
    path.write_text(json.dumps({**report, "node": "$(reboot)\n\x1b[31m"}), encoding="utf-8")
    folder = tmp_path / "out"
    said = say("fleet", str(path), *CARDS, "qwen3-8b", "--plain", "--write", str(folder))
    written = [path.read_text(encoding="utf-8") for path in folder.rglob("*.*") if path.is_file()]
    assert len(written) > 3
    for text in (said.out, *written):
        assert "\x1b" not in text
        assert "$(" not in text
        assert "reboot" not in text.splitlines()
