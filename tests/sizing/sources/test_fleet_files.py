"""Machines of a fleet from files: what is read, and that nothing hostile gets further."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from whatfits.sizing.api import load_machine
from whatfits.sizing.api.loading import replayed
from whatfits.sizing.errors import (
    BadInputError,
    InvalidRequestError,
    UnknownMachineError,
    UnreadableFileError,
)
from whatfits.sizing.json_values import dump_json, to_json_value
from whatfits.sizing.sources.fleet_files import (
    is_nodes_file,
    node_from_document,
    nodes_of_lines,
    read_nodes,
)

if TYPE_CHECKING:
    from whatfits.sizing.fleets.inventory import Node

MACHINE = load_machine("rtx-4090 + 64gb")
REPORT: dict[str, Any] = {"schema_version": "1", "machine": to_json_value(MACHINE)}


def node(**beside: object) -> Node:
    return node_from_document({**REPORT, **beside}, name="file", replay=replayed)


def test_a_saved_report_is_a_node_named_after_its_file(tmp_path: Path) -> None:
    path = tmp_path / "my pc.json"
    path.write_text(dump_json(REPORT), encoding="utf-8")
    (found,) = read_nodes(path, replay=replayed)
    assert (found.node, found.address, found.network) == ("my-pc", "my-pc", None)
    assert found.machine == MACHINE


def test_a_report_may_say_its_name_address_and_network() -> None:
    found = node(node="left", address="10.0.0.7", network="10gbe")
    assert (found.node, found.address, found.network) == ("left", "10.0.0.7", "10gbe")


def test_a_machine_alone_and_a_recording_are_read_too(tmp_path: Path) -> None:
    path = tmp_path / "plain.json"
    path.write_text(dump_json(MACHINE), encoding="utf-8")
    assert read_nodes(path, replay=replayed)[0].machine == MACHINE
    recordings = sorted((Path(__file__).parents[2] / "recorded" / "machines").rglob("*.json"))
    recording = json.loads(recordings[0].read_text(encoding="utf-8"))
    assert "format" in recording
    found = node_from_document(recording, name="old", replay=replayed)
    assert found.machine.pools


def test_a_folder_is_all_of_its_reports_in_order(tmp_path: Path) -> None:
    for name in ("b.json", "a.json"):
        (tmp_path / name).write_text(dump_json(REPORT), encoding="utf-8")
    lines = f"{dump_json(REPORT)}\n\n{dump_json(REPORT)}\n"
    (tmp_path / "c.jsonl").write_text(lines, "utf-8-sig")  # with the mark that Windows puts first
    (tmp_path / "notes.txt").write_text("no report", encoding="utf-8")
    found = [one.node for one in read_nodes(tmp_path, replay=replayed)]
    assert found == ["a", "b", "c-1", "c-3"]


def test_lines_that_are_written_are_read_again() -> None:
    first = node(node="left", address="10.0.0.7", network="10gbe")
    (again,) = nodes_of_lines([dump_json(first)], name="x", replay=replayed)
    assert again == first


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "[]",
        "3",
        '{"machine": {}}',
        '{"machine": {"pools": 3, "devices": []}}',
        "[" * 100_000,
        '{"machine": NaN}',
        '{"node": "\\ud800"}',
        "x" * 5_000_000,
    ],
    ids=range(9),
)
def test_a_line_that_is_no_report_is_refused_in_one_line_with_its_number(line: str) -> None:
    with pytest.raises(BadInputError) as caught:
        list(nodes_of_lines(["", line], name="lines", replay=replayed))
    text = str(caught.value)
    assert "line 2 of lines" in text
    assert "\n" not in text
    assert len(text) < 1000


@pytest.mark.parametrize("key", ["node", "address", "network"])
@pytest.mark.parametrize("value", [3, "", [], {"a": 1}, True])
def test_a_name_that_is_no_text_is_refused(key: str, value: object) -> None:
    with pytest.raises(InvalidRequestError, match=key):
        node(**{key: value})


@pytest.mark.parametrize("address", ["a b", "a;b", "$(reboot)", "a\nb", "-x"])
def test_an_address_that_a_shell_could_take_for_more_is_refused(address: str) -> None:
    with pytest.raises(InvalidRequestError, match="address"):
        node(address=address)


def test_a_field_that_no_machine_has_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="unknown field"):
        node_from_document(
            {"machine": {**REPORT["machine"], "colour": "red"}}, name="x", replay=replayed
        )


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownMachineError):
        read_nodes(tmp_path / "nothing.json", replay=replayed)
    with pytest.raises(UnreadableFileError):
        read_nodes(tmp_path / "nothing.jsonl", replay=replayed)
    large = tmp_path / "large.json"
    large.write_bytes(b" " * 4_000_001)
    with pytest.raises(UnreadableFileError, match="4,000,000"):
        read_nodes(large, replay=replayed)
    text = tmp_path / "text.json"
    text.write_bytes(b"\xff\xfe")
    with pytest.raises(UnreadableFileError):
        read_nodes(text, replay=replayed)


@pytest.mark.parametrize("broken", [{"a": 1}, {**REPORT, "address": "a b"}])
def test_of_several_files_the_one_that_is_no_report_is_named(
    tmp_path: Path, broken: dict[str, Any]
) -> None:
    (tmp_path / "good.json").write_text(dump_json(REPORT), encoding="utf-8")
    (tmp_path / "broken.json").write_text(dump_json(broken), encoding="utf-8")
    with pytest.raises(InvalidRequestError, match=r"^broken\.json: "):
        read_nodes(tmp_path, replay=replayed)


def test_files_of_machines_are_told_from_models(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "config.json").write_text("{}", encoding="utf-8")
    assert is_nodes_file(str(tmp_path))
    assert is_nodes_file("a/b.json")
    assert is_nodes_file("b.jsonl")
    for model in (str(checkpoint), str(checkpoint / "config.json"), "qwen3-8b", "a.gguf", "hf:a/b"):
        assert not is_nodes_file(model)
