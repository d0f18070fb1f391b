"""`whatfits plan`: file type and context by a stated rule, and what to type for each runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from whatfits.sizing.runtimes import RUNTIMES, find_runtime

if TYPE_CHECKING:
    from collections.abc import Callable

CARD = ("--machine", "rtx 3060 12gb + 32gb")


def planned(say: Callable[..., Any], *arguments: str) -> dict[str, Any]:
    answer: dict[str, Any] = say("plan", *arguments, "--json").json
    return answer


def test_an_answer_keeps_the_schema_and_names_every_runtime(
    say: Callable[..., Any], is_valid: Callable[[str, object], None]
) -> None:
    answer = planned(say, "llama-3.1-8b", *CARD)
    is_valid("plan", answer)
    assert [row["runtime"] for row in answer["runtimes"]] == [entry.id for entry in RUNTIMES]
    said = {row["runtime"]: row["commands"] for row in answer["runtimes"] if row["commands"]}
    assert answer["commands"] == said


def test_the_first_file_type_with_the_best_verdict_is_chosen(say: Callable[..., Any]) -> None:
    answer = planned(say, "llama-3.1-8b", *CARD)
    sizes = [row["weights_bytes"] for row in answer["file_types"]]
    assert sizes == sorted(sizes, reverse=True)
    best = next(row for row in answer["file_types"] if row["verdict"] == "fits")
    assert answer["model"]["file_type"] == best["file_type"]
    assert answer["workload"]["context_tokens"] == min(best["largest_context_tokens"], 32_768)
    assert answer["verdict"] == "fits"


def test_a_plan_is_the_check_of_what_it_chose(say: Callable[..., Any]) -> None:
    answer = planned(say, "qwen3-8b", *CARD)
    context = str(answer["workload"]["context_tokens"])
    file_type = answer["model"]["file_type"]
    asked = ("qwen3-8b", *CARD, "--context", context, "--json")
    gguf = (*asked, "--file-type", file_type)
    for row in answer["runtimes"]:
        if row["verdict"] is None:
            continue
        takes_gguf = find_runtime(row["runtime"]).loader is None
        words = gguf if takes_gguf else asked
        checked = say("check", *words, "--runtime", row["runtime"]).json
        assert checked["memory"]["total_bytes"] == row["total_bytes"]
        assert checked["commands"].get(row["runtime"], []) == row["commands"]
    assert say("check", *gguf).json["memory"] == answer["memory"]


def test_a_speed_floor_takes_the_best_file_type_that_is_fast_enough(
    say: Callable[..., Any],
) -> None:
    answer = planned(say, "llama-3.1-8b", *CARD, "--min-speed", "40")
    rates = {row["file_type"]: row["decode_tokens_per_s"]["mid"] for row in answer["file_types"]}
    quick = [name for name, rate in rates.items() if rate >= 40]
    assert answer["model"]["file_type"] == quick[0]
    assert next(iter(rates)) not in quick
    unreachable = planned(say, "llama-3.1-8b", *CARD, "--min-speed", "5000")
    assert unreachable["model"]["file_type"] == list(rates)[-1]
    assert any("5000 tokens/s" in rule for rule in unreachable["rules"])


def test_the_longest_context_runs_and_the_next_step_does_not(say: Callable[..., Any]) -> None:
    answer = planned(say, "llama-3.1-8b", *CARD, "--file-type", "Q4_K_M", "--longest")
    context = answer["workload"]["context_tokens"]
    assert context == answer["largest_context_tokens"] > 32_768
    longer = str(context + 256)
    asked = ("llama-3.1-8b", *CARD, "--file-type", "Q4_K_M", "--context", longer, "--json")
    assert say("check", *asked).json["verdict"] != "fits"


def test_a_file_type_that_was_asked_for_is_the_only_one(say: Callable[..., Any]) -> None:
    answer = planned(say, "llama-3.1-8b", *CARD, "--file-type", "Q5_K_M")
    assert [row["file_type"] for row in answer["file_types"]] == ["Q5_K_M"]
    assert answer["rules"][0] == "File type: as given."


def test_nothing_is_printed_to_type_where_nothing_fits(say: Callable[..., Any]) -> None:
    said = say("plan", "llama-3.1-405b", "--machine", "8gb", "--json")
    assert said.code == 1
    assert said.json["verdict"] == "no"
    assert said.json["commands"] == {}
    assert say("plan", "llama-3.1-405b", "--machine", "8gb").code == 1


def test_text_has_the_rules_and_the_commands(say: Callable[..., Any]) -> None:
    said = say("plan", "llama-3.1-8b", *CARD, "--plain")
    assert said.code == 0
    assert "File type: the best of Q8_0" in said.out
    for start in ("llama-server -m ", "ollama create ", "lms load ", "ctx_size: "):
        assert any(line.startswith(start) for line in said.lines), start


def test_what_llama_cpp_would_do_by_itself_is_said_where_it_differs(
    say: Callable[..., Any],
) -> None:
    asked = ("qwen3-30b-a3b", *CARD, "--file-type", "Q4_K_M", "--context", "8k")
    spilled = planned(say, *asked)
    (note,) = spilled["runtimes"][0]["notes"]
    moved = int(note.partition("parts of ")[2].partition(" ")[0])
    assert moved != spilled["placement"]["cpu_moe_layers"] > 0
    small = planned(say, "qwen3-0.6b", *CARD, "--context", "8k")
    assert small["runtimes"][0]["notes"] == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("no-such-model",),
        ("llama-3.1-8b", "--min-speed", "fast"),
        ("llama-3.1-8b", "--min-speed", "-1"),
        ("llama-3.1-8b", "--longest", "--context", "8k"),
        ("llama-3.1-8b", "--file-type", "Q9"),
    ],
)
def test_bad_input_is_one_line(say: Callable[..., Any], arguments: tuple[str, ...]) -> None:
    said = say("plan", *arguments, *CARD)
    assert said.code == 2
    assert said.out == ""
    assert said.err.count("\n") == 1


def test_a_runtime_that_does_not_run_it_is_told_what_would_help(say: Callable[..., Any]) -> None:
    asked = ("qwen3-8b", *CARD)
    (of_vllm,) = (row for row in planned(say, *asked)["runtimes"] if row["runtime"] == "vllm")
    remedy, _ = of_vllm["remedies"]
    line, card = [
        line for line in say("plan", *asked, "--plain").lines if line.startswith("vLLM, to make")
    ]
    assert line.startswith(f"vLLM, to make it fit: {remedy['text']} -> ")
    assert remedy["text"].startswith("use awq")
    assert card.startswith("vLLM, to make it fit: use a card of ")


@pytest.mark.parametrize("machine", ["rtx 4090 + 64gb", "m4 max 64gb"])
def test_a_runtime_that_counts_a_request_is_asked_for_one_slot(
    say: Callable[..., Any], machine: str
) -> None:
    answer = planned(say, "qwen3-8b", "--machine", machine, "-c", "80k", "-np", "4")
    contexts = {row["runtime"]: row["context_tokens"] for row in answer["runtimes"]}
    of_a_request = {"ollama", "mlx" if machine.startswith("m4") else "vllm"}
    assert {name for name, tokens in contexts.items() if tokens == 20_480} == of_a_request
    assert contexts["llama.cpp"] == 81_920


def test_what_a_runtime_says_of_commands_is_left_out_where_it_has_none(
    say: Callable[..., Any],
) -> None:
    asked = ("llama-3.1-8b", "--machine", "rtx 4060 + 16gb")
    answer = planned(say, *asked)
    (of_vllm,) = (row for row in answer["runtimes"] if row["runtime"] == "vllm")
    assert (of_vllm["commands"], bool(of_vllm["notes"])) == ([], True)
    lines = say("plan", *asked, "--plain").lines
    notes = lines[lines.index("Notes:") :]
    assert not any(line.startswith("vLLM: ") for line in notes)
    assert any(line.startswith("LM Studio: ") for line in notes)


def test_what_the_chosen_file_type_costs_is_said(say: Callable[..., Any]) -> None:
    asked = ("qwen3-8b", "--machine", "m2 8gb")
    answer = planned(say, *asked)
    name = answer["model"]["file_type"]
    (cost,) = (row["quality_cost"] for row in answer["file_types"] if row["file_type"] == name)
    assert f"{name}: {cost}." in say("plan", *asked, "--plain").lines
    assert "perplexity" in cost
