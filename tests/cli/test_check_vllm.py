"""`whatfits check --runtime vllm` and requests of a batch for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from whatfits.sizing.cli.schema import answer_schema

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ASK = ("check", "qwen3-8b", "--runtime", "vllm", "--machine", "rtx-4090 + 64gb")


def test_the_json_answer_is_what_the_schema_says(
    say: Callable[..., Any], closed: Callable[[Any], Any]
) -> None:
    said = say(*ASK, "--json")
    assert said.code == 0
    schema = closed({"$ref": "#/answers/check", **answer_schema()})
    Draft202012Validator(schema).validate(said.json)
    assert said.json["runtime"] == "vllm"
    assert said.json["verdict"] == "fits"
    assert said.json["model"]["file_type"] == "bf16"
    assert set(said.json["commands"]) == {"vllm"}


def test_the_text_says_what_vllm_will_print(say: Callable[..., Any]) -> None:
    said = say(*ASK, "--plain")
    assert said.code == 0
    assert "Request: vllm server, 8,192 tokens, 256 sequences, cache auto/auto" in said.lines
    assert "Placement: all on cuda0" in said.lines
    assert any(line.startswith("GPU KV cache size: ") for line in said.lines)
    assert any(line.startswith("Maximum concurrency for 8,192 tokens") for line in said.lines)
    assert any(line.startswith("vllm serve Qwen/Qwen3-8B ") for line in said.lines)
    assert "None" not in said.out


def test_what_does_not_fit_ends_with_1(say: Callable[..., Any]) -> None:
    said = say("check", "llama-3.3-70b", *ASK[2:], "--json")
    assert said.code == 1
    assert said.json["verdict"] == "no"
    assert said.json["commands"] == {}


@pytest.mark.parametrize(
    "more",
    [
        ("--file-type", "Q4_K_M"),
        ("--kv-type", "q8_0"),
        ("--ubatch", "512"),
        ("--gpu-layers", "20"),
        ("--exact",),
        ("--lora", "adapter.gguf"),
    ],
)
def test_what_means_nothing_to_vllm_is_one_line(
    say: Callable[..., Any], more: tuple[str, ...]
) -> None:
    said = say(*ASK, *more)
    assert said.code == 2
    assert said.out == ""
    assert len(said.err.splitlines()) == 1


def test_a_batch_loads_each_model_as_its_runtime_reads_it(
    say: Callable[..., Any], tmp_path: Path
) -> None:
    requests = [
        {"id": runtime, "model": "qwen3-8b", "runtime": runtime, "machine": "rtx-4090 + 64gb"}
        for runtime in ("vllm", "llama.cpp", "vllm")
    ]
    path = tmp_path / "requests.jsonl"
    path.write_text("\n".join(map(json.dumps, requests)), encoding="utf-8")
    answers = [json.loads(line) for line in say("batch", str(path)).lines]
    assert [answer["id"] for answer in answers] == ["vllm", "llama.cpp", "vllm"]
    assert [answer["model"]["file_type"] for answer in answers] == ["bf16", "Q4_K_M", "bf16"]
    assert answers[0] == answers[2]
