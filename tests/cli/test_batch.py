"""`whatfits batch`: a line in, a line out, whatever the line."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import pytest

from whatfits.sizing import check, cost, fleet
from whatfits.sizing.json_values import to_json_value

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GOOD = {
    "id": "a",
    "model": "qwen3-8b",
    "file_type": "Q5_K_M",
    "machine": "2x rtx-3090 + 64gb",
    "workload": {"context_tokens": 16_384, "parallel": 2, "kv_type_k": "q8_0"},
    "placement": {"tensor_split": [3, 1]},
}
BAD_LINES = {
    "no JSON": "nope",
    "cut off": '{"model": "qwen3-8b"',
    "an array": "[1]",
    "a number": "7",
    "not a number": '{"id": NaN, "model": "qwen3-8b"}',
    "an infinite id": '{"id": 1e999, "model": "qwen3-8b"}',
    "half a character": '{"id": "\\ud800", "model": "qwen3-8b"}',
    "deep": "[" * 100_000,
    "no model": "{}",
    "empty model": '{"model": ""}',
    "model of the wrong type": '{"model": 5}',
    "unknown model": '{"model": "lama-3.1-8b"}',
    "unknown key": '{"model": "qwen3-8b", "modle": 1}',
    "unknown key of workload": '{"model": "qwen3-8b", "workload": {"contxt": 1}}',
    "workload is a list": '{"model": "qwen3-8b", "workload": []}',
    "true is no number": '{"model": "qwen3-8b", "workload": {"context_tokens": true}}',
    "text is no number": '{"model": "qwen3-8b", "workload": {"parallel": "4"}}',
    "negative": '{"model": "qwen3-8b", "machine": "24gb", "workload": {"context_tokens": -1}}',
    "machine of the wrong type": '{"model": "qwen3-8b", "machine": 7}',
    "machine without a CPU": '{"model": "qwen3-8b", "machine": {"pools": [], "devices": []}}',
    "machine without devices": '{"model": "qwen3-8b", "machine": {"pools": []}}',
    "unknown machine": '{"model": "qwen3-8b", "machine": "rtx 9999"}',
    "unknown runtime": '{"model": "qwen3-8b", "runtime": "abacus"}',
    "unknown device": '{"model": "qwen3-8b", "machine": "24gb", "placement": {"devices": ["x"]}}',
    "unknown question": '{"model": "qwen3-8b", "question": "why"}',
    "cost without its question": '{"model": "qwen3-8b", "cost": {}}',
    "unknown key of cost": '{"model": "qwen3-8b", "question": "cost", "cost": {"price": 1}}',
    "unknown key of usage": (
        '{"model": "qwen3-8b", "question": "cost", "cost": {"usage": {"tokens": 1}}}'
    ),
    "usage that no day has": (
        '{"model": "qwen3-8b", "question": "cost", "cost": {"usage": {"cached_share": 2}}}'
    ),
    "machines without their question": '{"model": "qwen3-8b", "machines": ["24gb"]}',
    "network without its question": '{"model": "qwen3-8b", "network": "10gbe"}',
    "fleet without machines": '{"model": "qwen3-8b", "question": "fleet"}',
    "fleet of none": '{"model": "qwen3-8b", "question": "fleet", "machines": []}',
    "fleet of a text": '{"model": "qwen3-8b", "question": "fleet", "machines": "24gb"}',
    "fleet with null for a machine": (
        '{"model": "qwen3-8b", "question": "fleet", "machines": [null]}'
    ),
    "fleet with a machine beside": (
        '{"model": "qwen3-8b", "question": "fleet", "machines": ["24gb"], "machine": "24gb"}'
    ),
    "fleet with a placement": (
        '{"model": "qwen3-8b", "question": "fleet", "machines": ["24gb"],'
        ' "placement": {"gpu_layers": 1}}'
    ),
    "fleet on no network": (
        '{"model": "qwen3-8b", "question": "fleet", "machines": ["24gb"], "network": "string"}'
    ),
    "fleet under no runtime": (
        '{"model": "qwen3-8b", "question": "fleet", "machines": ["24gb"], "runtime": "abacus"}'
    ),
    "fleet of a report that is none": (
        '{"model": "qwen3-8b", "question": "fleet", "machines": [{"node": "pc"}]}'
    ),
    "fleet of a node with a bad address": (
        '{"model": "qwen3-8b", "question": "fleet", "machines":'
        ' [{"address": "a b", "pools": [], "devices": []}]}'
    ),
    "fleet of a node with a bad interface": (
        '{"model": "qwen3-8b", "question": "fleet", "machines":'
        ' [{"interface": "=eth0", "pools": [], "devices": []}]}'
    ),
    "split of words": '{"model": "qwen3-8b", "placement": {"tensor_split": "a"}}',
}


def _answers(lines: list[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines]


def test_an_answer_is_the_librarys_with_the_id(
    say: Callable[..., Any], tmp_path: Path, is_valid: Callable[[str, object], None]
) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_text(json.dumps(GOOD) + "\n\n" + json.dumps({**GOOD, "id": [1, {"b": None}]}) + "\n")
    said = say("batch", str(path))
    first, second = _answers(said.lines)
    assert (said.code, said.err) == (0, "")
    is_valid("batch", first)
    plan = check(**{key: value for key, value in GOOD.items() if key != "id"})  # type: ignore[arg-type]
    assert first == {"id": "a", **to_json_value(plan)}
    assert second == {**first, "id": [1, {"b": None}]}


def test_a_bad_line_is_answered_on_its_own_line_and_the_rest_goes_on(
    say: Callable[..., Any], tmp_path: Path, is_valid: Callable[[str, object], None]
) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_text("\n".join([*BAD_LINES.values(), json.dumps(GOOD)]) + "\n")
    said = say("batch", str(path))
    *bad, good = _answers(said.lines)
    assert (said.code, said.err) == (0, "")
    assert good["verdict"] == "fits"
    for name, answer in zip(BAD_LINES, bad, strict=True):
        is_valid("batch", answer)
        assert not answer["error"]["message"].startswith("internal error"), name
        assert "\n" not in answer["error"]["message"], name


def test_the_id_comes_back_with_an_error_too(say: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_text('{"id": 17, "model": "no-such-model"}\n')
    (answer,) = _answers(say("batch", str(path)).lines)
    assert (answer["id"], answer["error"]["code"]) == (17, "unknown_model")


def test_an_unknown_field_names_those_there_are(say: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_text('{"model": "qwen3-8b", "workload": {"contxt": 1}}\n')
    (answer,) = _answers(say("batch", str(path)).lines)
    assert answer["error"]["got"] == "contxt"
    assert "context_tokens" in answer["error"]["allowed"]
    assert "__" not in answer["error"]["allowed"]


def test_a_line_can_ask_what_a_model_costs(
    say: Callable[..., Any], tmp_path: Path, is_valid: Callable[[str, object], None]
) -> None:
    asked: dict[str, Any] = {
        "id": 7,
        "question": "cost",
        "model": "qwen3-8b",
        "machine": "rtx-4090 + 64gb",
        "cost": {
            "usage": {"output_tokens_per_day": 5_000_000, "cached_share": 0.5},
            "ownership": {"usd_per_kwh": 0.25, "life_years": 3},
            "against": ["claude-haiku-4-5"],
        },
    }
    path = tmp_path / "requests.jsonl"
    path.write_text(f"{json.dumps(asked)}\n")
    (answer,) = _answers(say("batch", str(path)).lines)
    is_valid("batch", answer)
    assert answer.pop("id") == 7
    assert answer["usage"]["cached_share"] == 0.5
    today = dt.date.fromisoformat(answer["today"])
    whole = cost("qwen3-8b", machine="rtx-4090 + 64gb", today=today, **asked["cost"])
    assert answer == to_json_value(whole)


def test_a_line_can_ask_how_a_model_runs_on_several_machines(
    say: Callable[..., Any], tmp_path: Path, is_valid: Callable[[str, object], None]
) -> None:
    report = say("hardware", "--machine", "rtx-3090 + 32gb", "--json").json
    machines = [
        "rtx-4090 + 64gb",
        {**report, "node": "attic", "address": "10.0.0.7", "interface": "eth1"},
    ]
    asked: dict[str, Any] = {
        "model": "llama-3.1-70b",
        "machines": machines,
        "network": "10gbe",
        "runtime": "llama.cpp",
        "workload": {"context_tokens": 4096},
    }
    path = tmp_path / "requests.jsonl"
    path.write_text(f"{json.dumps({'id': 3, 'question': 'fleet', **asked})}\n")
    (answer,) = _answers(say("batch", str(path)).lines)
    is_valid("batch", answer)
    assert answer.pop("id") == 3
    _, attic = answer["nodes"]
    told = (attic["node"], attic["address"], attic["interface"])
    assert told == ("attic", "10.0.0.7", "eth1")
    assert answer["plans"][0]["strategy"] == "pipeline"
    assert answer == to_json_value(fleet(**asked))
    nodes = tmp_path / "nodes.jsonl"
    nodes.write_text("".join(f"{json.dumps(node)}\n" for node in answer["nodes"]))
    typed = ("llama-3.1-70b", "--runtime", "llama.cpp", "--context", "4096", "--json")
    assert answer == say("fleet", str(nodes), *typed).json


def test_a_fleet_without_a_runtime_is_planned_under_all_of_them(
    say: Callable[..., Any], tmp_path: Path
) -> None:
    path = tmp_path / "requests.jsonl"
    asked = {"question": "fleet", "model": "qwen3-0.6b", "machines": ["rtx-4090 + 64gb"]}
    path.write_text(f"{json.dumps(asked)}\n")
    (answer,) = _answers(say("batch", str(path)).lines)
    assert {plan["runtime"] for plan in answer["plans"]} == {"llama.cpp", "vllm"}


@pytest.mark.parametrize("place", ["missing", "folder"])
def test_a_file_that_cannot_be_read_is_bad_input(
    say: Callable[..., Any], tmp_path: Path, place: str
) -> None:
    path = tmp_path if place == "folder" else tmp_path / "missing"
    said = say("batch", str(path))
    assert said.code == 2
    assert said.json["error"]["code"] == "unreadable_file"


def test_requests_are_read_from_standard_input_whatever_its_bytes(
    spawn: Callable[..., Any],
) -> None:
    request = json.dumps({"model": "qwen3-8b", "machine": "24gb"}).encode()
    said = spawn("batch", stdin=b"\xff\xfe\n" + request + b"\n")
    bad, good = _answers(said.lines)
    assert said.code == 0
    assert bad["error"]["code"] == "invalid_request"
    assert good["verdict"] == "fits"


@pytest.mark.parametrize("by_name", [True, False])
def test_the_mark_that_windows_puts_before_the_first_line_is_not_part_of_it(
    spawn: Callable[..., Any], tmp_path: Path, *, by_name: bool
) -> None:
    marked = b"\xef\xbb\xbf" + json.dumps(GOOD).encode() + b"\r\n"
    path = tmp_path / "requests.jsonl"
    path.write_bytes(marked)
    done = spawn("batch", str(path)) if by_name else spawn("batch", stdin=marked)
    (answer,) = _answers(done.lines)
    assert (answer["id"], answer["verdict"]) == ("a", "fits")


def test_a_line_without_end_is_refused_and_the_next_is_answered(spawn: Callable[..., Any]) -> None:
    request = json.dumps({"model": "qwen3-8b", "machine": "24gb"}).encode()
    said = spawn("batch", stdin=b"[" * 9_000_000 + b"\n" + request)
    bad, good = _answers(said.lines)
    assert "4,000,000 characters" in bad["error"]["message"]
    assert good["verdict"] == "fits"
