"""`whatfits serve`: text, JSON and exit codes, and refusals in one line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from whatfits.sizing import serve

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MODEL = ("serve", "llama-3.1-8b", "--machine", "rtx-4090 + 64gb", "--context", "4096")


def test_json_is_what_the_library_says_and_what_the_schema_allows(
    say: Callable[..., Any], is_valid: Callable[[str, object], None]
) -> None:
    said = say(*MODEL, "--users", "6", "--rate", "60", "--output", "128", "--json")
    is_valid("serve", said.json)
    found = serve(
        "llama-3.1-8b",
        users=6,
        machine="rtx-4090 + 64gb",
        workload={"context_tokens": 4096},
        load={"output": {"median_tokens": 128}, "requests_per_hour": 60.0},
    )
    assert said.code == 0
    assert said.json["most_users"] == {
        "low": found.most_users.low,
        "mid": found.most_users.mid,
        "high": found.most_users.high,
    }
    assert said.json["at_users"]["ttft_p95_s"]["mid"] == found.at_users.ttft_p95_s.mid


@pytest.mark.parametrize(
    ("runtime", "flag"),
    [
        ("llama.cpp", "-np 6 "),
        ("ollama", "OLLAMA_NUM_PARALLEL=6 "),
        ("vllm", "--max-num-seqs 256 "),
    ],
)
def test_text_says_who_is_served_what_holds_back_and_what_to_type(
    say: Callable[..., Any], runtime: str, flag: str
) -> None:
    said = say(*MODEL, "--users", "6", "--runtime", runtime, "--plain")
    assert said.code == 0
    assert said.lines[0].startswith("Served: 6 users; ")
    assert flag in said.out
    assert "Held back by: " in said.out
    assert "The knee is at " in said.out
    assert "users: 6; first token, half: " in said.out


def test_users_that_are_not_served_end_with_1_and_no_command(say: Callable[..., Any]) -> None:
    said = say(*MODEL, "--users", "64", "--min-speed", "1000", "--plain")
    assert said.code == 1
    assert said.lines[0].startswith("Not served: 64 users; no user is served")
    assert "llama-server" not in said.out
    assert "llama-server" in say(*MODEL, "--users", "64", "--min-speed", "1000", "--force").out


def test_what_does_not_fit_ends_with_1_and_says_what_is_short(say: Callable[..., Any]) -> None:
    said = say("serve", "llama-3.3-70b", "--machine", "rtx-3060 12gb + 16gb", "--plain")
    assert said.code == 1
    assert said.lines[0].startswith("Not served: 1 user; ")
    assert "Held back by: memory" in said.out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--users", "0"), "number of users"),
        (("--users", "99999"), "at most|1 to 4,096"),
        (("--users", "many"), "--users"),
        (("--runtime", "mlx"), "runtime for serve"),
        (("--runtime", "jan"), "llama.cpp, ollama, vllm"),
        (("--prompt", "4000", "--output", "200"), "prompt and output together"),
        (("--prompt", "100", "--prompt-p95", "50"), "95th percentile"),
        (("--prompt", "100", "--shared-prefix", "100"), "shared prefix"),
        (("--prompt", "0"), "prompt_tokens"),
        (("--output", "0"), "output length"),
        (("--output-p95", "0"), "output length|95th percentile"),
        (("--rate", "-1"), "--rate"),
        (("--rate", "nan"), "--rate"),
        (("--rate", "60", "--think", "5"), "think time with a rate"),
        (("--ttft-limit", "0"), "--ttft-limit"),
        (("--min-speed", "x"), "--min-speed"),
        (("--seed", "-1"), "seed"),
        (("--parallel", "300"), "parallel"),
        (("--runtime", "vllm", "--context", "999999"), "context_tokens for vllm"),
    ],
)
def test_bad_input_is_refused_in_one_line(
    say: Callable[..., Any], options: tuple[str, ...], words: str
) -> None:
    said = say(*MODEL, *options)
    assert said.code == 2
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert any(word in said.err for word in words.split("|"))


def test_an_encoder_writes_nothing(say: Callable[..., Any]) -> None:
    said = say("serve", "bge-m3", "--machine", "64gb")
    assert said.code == 2
    assert "one that writes" in said.err


def test_batch_answers_serve_beside_check(
    say: Callable[..., Any], is_valid: Callable[[str, object], None], tmp_path: Path
) -> None:
    common = {"model": "qwen3-0.6b", "machine": "rtx-4090 + 64gb"}
    asked = [
        {"id": 1, **common},
        {"id": 2, **common, "question": "serve", "users": 3, "limits": {"ttft_p95_s": 2.0}},
        {"id": 3, **common, "users": 3},
        {"id": 4, **common, "question": "serve", "load": {"prompt": {"median": 3}}},
        {"id": 5, **common, "question": "nothing"},
    ]
    file = tmp_path / "requests.jsonl"
    file.write_text("\n".join(map(json.dumps, asked)), "utf-8")
    answers = [json.loads(line) for line in say("batch", str(file)).lines]
    for answer in answers:
        is_valid("batch", answer)
    assert [answer["id"] for answer in answers] == [1, 2, 3, 4, 5]
    assert "curve" not in answers[0]
    assert answers[1]["users"] == 3
    assert answers[1]["at_users"]["users"] == 3
    assert '"question": "serve"' in answers[2]["error"]["allowed"]
    assert answers[3]["error"]["code"] == answers[4]["error"]["code"] == "invalid_request"


def test_help_says_what_k_means_of_tokens(spawn: Callable[..., Any]) -> None:
    """Of a context it is a power of two, of a bill a thousand."""
    served = " ".join(spawn("serve", "--help").out.split())
    assert "of tokens, k is 1,024" in served
    assert "8192, 32k, …: k is 1,024" in served
    billed = " ".join(spawn("cost", "--help").out.split())
    assert "of these tokens k is 1,000 and M 1,000,000; of --context k is 1,024" in billed


def test_a_figure_whose_ends_look_the_same_is_one_number(say: Callable[..., Any]) -> None:
    said = say(*MODEL, "--users", "1", "--rate", "1", "--plain")
    row = next(line for line in said.lines if line.startswith("users: 1;"))
    together = row.partition("tokens/s together: ")[2].partition(";")[0]
    assert together.replace(".", "").isdigit()


def test_the_version_of_vllm_is_asked_for_and_said(say: Callable[..., Any]) -> None:
    asked = ("serve", "llama-3.1-8b", "--machine", "rtx-4090 + 64gb", "--runtime", "vllm")
    answer = say(*asked, "--context", "4k", "--engine-version", "0.7.3", "--json").json
    assert answer["engine_version"] == "0.7.3"
    refused = say(*asked, "--engine-version", "newest")
    assert refused.code == 2
    assert "version of vLLM" in refused.err


def test_a_server_that_may_not_start_serves_nobody_at_its_least(say: Callable[..., Any]) -> None:
    # 16 bits of Gemma 3 27B over three cards of 24 GB: room for 1.3 requests, or for none at all
    asked = ("serve", "gemma-3-27b", "--runtime", "vllm", "--machine", "3x rtx 3090 + 64gb")
    told = say(*asked, "--users", "2", "-c", "4k", "--json")
    assert told.code == 0
    answer = told.json
    assert answer["verdict"] == answer["plan"]["verdict"] == "tight"
    assert answer["most_users"]["low"] == 0 < answer["most_users"]["mid"]
    assert not any(point["keeps_limits"] for point in answer["curve"])
    assert answer["plan"]["verdict_reason"] in answer["verdict_reason"]
