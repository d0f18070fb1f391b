"""`whatfits check`: the verdict on one model, as text, as plain facts and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from whatfits.sizing import check
from whatfits.sizing.json_values import to_json_value

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BIG = "rtx-4090 + 64gb"


@pytest.mark.parametrize(
    "case",
    [
        ("llama-3.1-8b", BIG, "fits", 0),
        ("llama-3.3-70b", BIG, "slow", 0),
        ("llama-3.1-405b", BIG, "no", 1),
        ("llama-3.1-8b", "16gb", "fits", 0),
        ("qwen3-30b-a3b", "m4 max 64gb", "fits", 0),
    ],
)
def test_the_exit_code_follows_the_verdict(
    say: Callable[..., Any],
    is_valid: Callable[[str, object], None],
    case: tuple[str, str, str, int],
) -> None:
    model, machine, verdict, code = case
    said = say("check", model, "--machine", machine, "--json")
    assert (said.json["verdict"], said.code, said.err) == (verdict, code, "")
    is_valid("check", said.json)


def test_an_unknown_memory_size_is_answered_with_unknown_and_one(
    say: Callable[..., Any], tmp_path: Path
) -> None:
    path = tmp_path / "machine.json"
    path.write_text(
        '{"pools": [{"id": "ram", "kind": "ram", "total_bytes": null}],'
        ' "devices": [{"id": "cpu", "kind": "cpu", "name": "a CPU", "pool": "ram"}]}'
    )
    said = say("check", "llama-3.1-8b", "--machine", str(path), "--json")
    assert (said.json["verdict"], said.code) == ("unknown", 1)
    assert "size of ram is not known" in said.json["verdict_reason"]


@pytest.mark.parametrize("card", ["rtx-4090", "rtx-3060 12gb"])
def test_a_card_without_a_word_on_its_ram_has_the_context_that_it_has_with_much_ram(
    card: str,
) -> None:
    alone, beside = (
        check("llama-3.1-8b", machine=card),
        check("llama-3.1-8b", machine=f"{card} + 64gb"),
    )
    assert (alone.verdict, beside.verdict) == ("fits", "fits")
    assert alone.largest_context_tokens == beside.largest_context_tokens
    assert alone.largest_context_tokens is not None


def test_an_encoder_is_said_to_write_nothing(say: Callable[..., Any]) -> None:
    said = say("check", "bge-m3", "--machine", BIG)
    labels = {line.partition(":")[0] for line in said.lines}
    assert "Reads" in labels
    assert "Writes" not in labels


def test_reading_is_slower_while_experts_lie_on_the_host() -> None:
    experts = check("qwen3-30b-a3b", machine="rtx-3060 12gb + 64gb")
    assert experts.placement.cpu_moe_layers
    whole = check("qwen3-30b-a3b", machine="rtx-3090 + 64gb")
    assert not whole.placement.cpu_moe_layers
    for plan in (experts, whole):
        assert plan.speed is not None
        assert plan.speed.decode_tokens_per_s is not None
    slow, fast = experts.speed.prefill_tokens_per_s, whole.speed.prefill_tokens_per_s
    assert slow is not None
    assert fast is not None
    assert slow.mid < fast.mid / 3


TWO = "rtx-3090 + rtx 3060 12gb + 64gb"


def _command(*options: str, say: Callable[..., Any]) -> str:
    (line,) = say("check", *options, "--machine", TWO, "--json").json["commands"]["llama.cpp"]
    assert isinstance(line, str)
    return line


def test_the_command_shares_layers_out_as_the_plan_does(say: Callable[..., Any]) -> None:
    line = _command("qwen3-14b", say=say)
    split = line.partition(" -ts ")[2].split()[0]
    planned = check("qwen3-14b", machine=TWO)
    pinned = check("qwen3-14b", machine=TWO, placement={"tensor_split": split})
    assert sum(map(int, split.split(","))) == planned.placement.gpu_layers
    assert pinned.memory == planned.memory


def test_the_command_names_devices_as_llama_cpp_does(say: Callable[..., Any]) -> None:
    assert " --device CUDA1" in _command("llama-3.1-8b", "--device", "cuda1", say=say)
    overridden = _command("qwen3-30b-a3b", "-ot", "up_exps=cuda1,down_exps=cpu", say=say)
    assert " -ot up_exps=CUDA1,down_exps=CPU" in overridden


def test_the_contract_has_its_keys_and_they_add_up(say: Callable[..., Any]) -> None:
    answer = say("check", "llama-3.1-8b", "--machine", BIG, "-c", "32k", "--json").json
    assert answer["schema_version"] == "1"
    assert answer["workload"]["context_tokens"] == 32_768
    memory = answer["memory"]
    parts = ("weights", "kv_cache", "compute", "output", "overhead")
    for row in (memory, *memory["devices"]):
        assert row["total_bytes"] == sum(row[f"{part}_bytes"] for part in parts)
        assert row["low_bytes"] <= row["total_bytes"] <= row["high_bytes"]
    for key in ("total_bytes", "low_bytes", "high_bytes"):
        assert memory[key] == sum(row[key] for row in memory["devices"])
    assert memory["devices"][-1]["device"] == "cpu"
    assert {basis["key"] for basis in answer["basis"]} >= {"memory.weights_bytes"}


def test_the_library_the_command_and_its_options_give_one_answer(say: Callable[..., Any]) -> None:
    said = say(
        *("check", "qwen3-8b", "--machine", BIG, "--file-type", "q6_k", "-c", "16k", "-np", "2"),
        *("--kv-type", "q8_0", "-ub", "256", "-ngl", "20", "--no-mmap", "--json"),
    )
    plan = check(
        "qwen3-8b",
        file_type="Q6_K",
        machine=BIG,
        workload={
            "context_tokens": 16_384,
            "parallel": 2,
            "kv_type_k": "q8_0",
            "kv_type_v": "q8_0",
            "micro_batch": 256,
        },
        placement={"gpu_layers": 20, "mmap": False},
    )
    assert said.json == to_json_value(plan)


def test_text_states_verdict_bytes_largest_context_speed_and_command(
    say: Callable[..., Any],
) -> None:
    said = say("check", "llama-3.1-8b", "--machine", BIG)
    assert said.lines[0].startswith("Fits: llama-3.1-8b Q4_K_M with 8,192 tokens of context takes")
    labels = {line.partition(":")[0] for line in said.lines}
    assert {"Model", "Machine", "Request", "Largest context", "Writes", "Reads"} <= labels
    command = next(line for line in said.lines if line.startswith("llama-server"))
    assert "-c 8192" in command
    assert "Start it (llama.cpp):" in said.lines


def test_what_does_not_fit_comes_with_the_shortfall_and_remedies_that_say_their_price(
    say: Callable[..., Any],
) -> None:
    said = say("check", "llama-3.1-8b", "--machine", "rtx 3060 12gb", "--file-type", "F16")
    assert said.code == 1
    assert "short" in said.lines[0]
    remedy = next(line for line in said.lines if line.startswith("- use Q8_0"))
    assert "perplexity" in remedy
    assert "llama-server" not in said.out


@pytest.mark.parametrize(
    ("model", "machine"), [("llama-3.1-405b", "16gb"), ("qwen3-235b-a22b", "m4 max 36gb")]
)
def test_what_is_far_too_big_comes_with_the_nearest_of_its_family_that_runs(
    say: Callable[..., Any], model: str, machine: str
) -> None:
    plan = say("check", model, "--machine", machine, "--json").json
    (remedy,) = [remedy for remedy in plan["remedies"] if remedy["key"] == "model"]
    assert remedy["verdict"] in ("fits", "slow")
    other = remedy["change"]["model"]
    said = say("check", other, "--machine", machine, "--json")
    assert (said.json["verdict"], said.code) == (remedy["verdict"], 0)


def test_force_prints_the_command_all_the_same(say: Callable[..., Any]) -> None:
    arguments = ("check", "llama-3.1-405b", "--machine", "16gb", "--json")
    assert say(*arguments).json["commands"] == {}
    assert say(*arguments, "--force").json["commands"]["llama.cpp"]


def test_this_machine_is_answered_for_when_none_is_named(
    say: Callable[..., Any], is_valid: Callable[[str, object], None]
) -> None:
    said = say("check", "smollm2-135m", "--json")
    assert said.code in (0, 1)
    is_valid("check", said.json)


def test_layers_are_named_as_llama_server_names_them(say: Callable[..., Any]) -> None:
    base = ("check", "qwen3-30b-a3b", "--machine", "rtx-4060 + 64gb", "--json")
    unsaid, auto = say(*base).json, say(*base, "-ngl", "auto").json
    assert auto == unsaid
    every = say(*base, "-ngl", "all").json
    assert every["placement"]["gpu_layers"] == 49
    experts = say(*base, "--cpu-moe").json
    assert experts == say(*base, "--n-cpu-moe", "48").json
    assert "--n-cpu-moe 48" in experts["commands"]["llama.cpp"][0]
    wrong = say(*base[:-1], "-ngl", "most")
    assert wrong.code == 2
    assert "'most'; allowed: a whole number, all or auto" in wrong.err


def test_a_runtime_may_be_written_as_it_writes_itself(say: Callable[..., Any]) -> None:
    base = ("check", "qwen3-8b", "--machine", "rtx-4090", "--json", "--runtime")
    assert say(*base, "vLLM").json == say(*base, "vllm").json


def test_no_context_is_said_not_to_fit_into_memory_of_unknown_size(say: Callable[..., Any]) -> None:
    shown = say("check", "llama-3.1-8b", "--machine", "ryzen 9 7950x").out
    assert shown.startswith("Cannot be told")
    assert "Largest context: unknown" in shown
