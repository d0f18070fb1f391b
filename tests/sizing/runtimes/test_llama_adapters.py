"""Programs that start llama.cpp: what they ask it for, and what they print."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from whatfits.sizing import check, load_model
from whatfits.sizing.api import load_machine
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.runtimes.llama_cpp_fit import fit_to_memory
from whatfits.sizing.runtimes.ollama import default_context_tokens
from whatfits.sizing.runtimes.ollama_guess import automatic_batch, chosen_cards, guessed_bytes
from whatfits.sizing.units import GIB, MIB
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from whatfits.sizing.estimate import Plan

# keys that the programs' own sources and documents name
MODELFILE = {"num_ctx", "num_gpu", "num_batch", "num_thread", "main_gpu", "use_mmap"}
OLLAMA_VARIABLES = {"OLLAMA_KV_CACHE_TYPE", "OLLAMA_FLASH_ATTENTION", "OLLAMA_NUM_PARALLEL"}
LMS_LOAD = {"--gpu", "--context-length", "--parallel", "--ttl", "--identifier", "-y"}
MODEL_YML = {
    "name",
    "model_path",
    "mmproj_path",
    "mmproj_offload",
    "override_tensor",
    "embedding",
    "ctx_size",
    "n_gpu_layers",
    "n_cpu_moe",
    "no_kv_offload",
    "cache_type_k",
    "cache_type_v",
    "flash_attn",
    "parallel",
    "batch_size",
    "ubatch_size",
}


def lines(runtime: str, workload: dict[str, Any], **placement: int) -> tuple[str, ...]:
    plan = check(
        "qwen3-8b",
        runtime=runtime,
        machine="rtx-4090 + 64gb",
        workload=workload,
        placement=placement,
    )
    return plan.commands[runtime]


def test_ollama_asks_for_the_context_of_each_slot() -> None:
    workload = {"context_tokens": 8192, "parallel": 3}
    plan = check("qwen3-8b", runtime="ollama", machine="rtx-4090 + 64gb", workload=workload)
    same = {"context_tokens": 3 * 8192, "parallel": 3, "batch": 1024, "micro_batch": 1024}
    alone = check("qwen3-8b", machine="rtx-4090 + 64gb", workload=same)
    assert plan.workload.context_tokens == 8192
    assert plan.memory == alone.memory
    assert plan.largest_context_tokens == (alone.largest_context_tokens or 0) // 3


@pytest.mark.parametrize(
    ("machine", "tokens"),
    [
        ("8gb", 4096),
        ("rtx 3060 12gb + 16gb", 4096),
        ("rtx-4090 + 64gb", 32_768),
        ("2x rtx-3090 + 64gb", 131_072),  # 262,144, but trained for less
    ],
)
def test_ollamas_own_context_follows_the_memory_of_all_cards(machine: str, tokens: int) -> None:
    assert default_context_tokens(load_model("llama-3.1-8b"), load_machine(machine)) == tokens


def test_ollamas_guess_counts_a_full_cache_in_every_layer() -> None:
    spec = load_model("llama-3.1-8b", file_type="Q4_K_M")
    cache = 2 * 32 * 8 * 128 * 4096 * 2
    assert guessed_bytes(spec, tokens=4096) == (spec.file_bytes or spec.tensor_bytes) + cache


@pytest.mark.parametrize(
    ("tokens", "guess_gib", "free_gib", "batch"),
    [
        (4096, 5, 22, 512),
        (8192, 5, 22, 1024),
        (65_536, 5, 22, 2048),
        (65_536, 14, 22, 1024),  # above 60 % of what is free
        (65_536, 17, 22, 512),  # above 75 %
        (65_536, 3, 6, 1024),  # 2 GiB on top of it are too much
    ],
)
def test_ollamas_batch_shrinks_until_it_has_room(
    tokens: int, guess_gib: int, free_gib: int, batch: int
) -> None:
    machine = load_machine("rtx-4090 + 64gb")
    found = automatic_batch(
        load_model("llama-3.1-8b"),
        tokens=tokens,
        guess_bytes=guess_gib * GIB,
        available_bytes=free_gib * GIB,
        cards=machine.accelerators,
        flash_attention="auto",
        machine=machine,
    )
    assert found == batch


def test_ollama_takes_one_card_while_its_guess_leaves_a_fifth_free() -> None:
    machine = load_machine("2x rtx-3090 + 64gb")
    free = max(machine.pool(card.pool).free_bytes or 0 for card in machine.accelerators)
    one = chosen_cards(machine, free * 80 // 100 - MIB, devices=None)
    both = chosen_cards(machine, free * 80 // 100 + MIB, devices=None)
    assert len(one) == 1
    assert both == machine.accelerators


def test_ollama_leaves_the_layers_to_the_fitting_step() -> None:
    workload = {"context_tokens": 8192}
    plan = check("llama-3.3-70b", runtime="ollama", machine="rtx-4090 + 64gb", workload=workload)
    decided = fit_to_memory(
        load_model("llama-3.3-70b"),
        load_machine("rtx-4090 + 64gb"),
        Workload(context_tokens=8192, batch=512, micro_batch=512),
        PlacementRequest(),
    )
    assert plan.placement.gpu_layers == decided.request.gpu_layers
    assert plan.workload.batch == 512  # the guess leaves no room for more
    assert plan.verdict == "slow"
    assert not any("num_gpu" in line for line in plan.commands["ollama"])


def test_a_modelfile_has_documented_keys_only() -> None:
    printed = lines(
        "ollama",
        workload={
            "context_tokens": 8192,
            "batch": 256,
            "parallel": 2,
            "kv_type_k": "q8_0",
            "kv_type_v": "q8_0",
            "flash_attention": "on",
        },
        gpu_layers=20,
    )
    keys = {line.split()[1] for line in printed if line.startswith("PARAMETER")}
    assert keys == {"num_ctx", "num_gpu", "num_batch"}
    assert keys <= MODELFILE
    (served,) = [line for line in printed if line.endswith("ollama serve")]
    assert set(re.findall(r"(\w+)=", served)) == OLLAMA_VARIABLES
    assert "PARAMETER num_ctx 8192" in printed


def test_lms_load_has_documented_flags_only() -> None:
    printed = lines("lm-studio", workload={"context_tokens": 8192, "parallel": 4})
    (load,) = [line for line in printed if line.startswith("lms load")]
    assert set(re.findall(r"(?<= )-[-\w]+", load)) <= LMS_LOAD
    assert "--gpu max" in load


def test_lm_studio_moves_whole_layers_only() -> None:
    plan = check("qwen3-30b-a3b", runtime="lm-studio", machine="rtx 3060 12gb + 32gb")
    placed = plan.placement
    assert placed.cpu_moe_layers == 0
    share = float(re.search(r"--gpu ([\d.]+)", plan.commands["lm-studio"][1])[1])  # type: ignore[index]
    assert int(share * 48) == placed.gpu_layers or int(share * 48) + 1 == placed.gpu_layers


def test_a_model_yml_has_documented_keys_only_and_two_slots_more() -> None:
    workload = {"context_tokens": 8192, "parallel": 2, "kv_type_k": "q8_0", "kv_type_v": "q8_0"}
    plan = check("qwen3-8b", runtime="jan", machine="rtx-4090 + 64gb", workload=workload)
    values = dict(line.split(": ", 1) for line in plan.commands["jan"][1:])
    assert set(values) <= MODEL_YML
    assert json.loads(values["parallel"]) == 2
    assert plan.workload.parallel == 4
    assert plan.workload.kv_unified


@pytest.mark.parametrize("runtime", ["ollama", "lm-studio", "jan"])
@pytest.mark.parametrize(
    "request_",
    [
        {"workload": {"swa_full": True}},
        {"workload": {"program": "api"}},
        {"placement": {"tensor_split": [1, 2]}},
        {"placement": {"split_mode": "none"}},
    ],
)
def test_what_a_program_cannot_set_is_refused(runtime: str, request_: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError, match=r"with (Ollama|LM Studio|Jan)"):
        check("qwen3-8b", runtime=runtime, machine="rtx-4090 + 64gb", **request_)


@pytest.mark.parametrize("asked", [{"model_draft": "qwen3-0.6b"}, {"spec_type": "draft-mtp"}])
def test_ollama_has_drafts_and_says_that_they_are_not_sized(asked: dict[str, str]) -> None:
    # ollama/ollama (2026-08-21) parser/parser.go has DRAFT, llm/llama_server.go starts it as one
    # of two kinds: draft-mtp or draft-dflash
    with pytest.raises(InvalidRequestError) as refused:
        check("qwen3-8b", runtime="ollama", machine="rtx-4090 + 64gb", workload=asked)
    assert "no such setting" not in str(refused.value)
    assert "DRAFT and draft_num_predict" in refused.value.allowed
    assert "not sized here" in refused.value.allowed


def test_ollama_has_one_type_for_keys_and_values() -> None:
    with pytest.raises(InvalidRequestError, match="same type"):
        check("qwen3-8b", runtime="ollama", machine="64gb", workload={"kv_type_k": "q8_0"})


def test_a_command_is_withheld_where_nothing_fits() -> None:
    for runtime in ("ollama", "lm-studio", "jan"):
        assert check("llama-3.1-70b", runtime=runtime, machine="8gb").commands == {}
        forced = check("llama-3.1-70b", runtime=runtime, machine="8gb", force=True)
        assert list(forced.commands) == [runtime]


def test_a_remedy_is_in_the_programs_own_terms_and_holds_by_its_own_rules() -> None:
    asked = {"parallel": 7, "kv_type_k": "q8_0", "kv_type_v": "q8_0", "context_tokens": 32_768}
    machine = "rtx-4090 + 32gb"
    plan = check("gemma-3-27b", runtime="ollama", machine=machine, workload=asked)
    assert plan.verdict != "fits"
    offered = [remedy for remedy in plan.remedies if remedy.key == "context"]
    assert offered
    for remedy in offered:
        shorter = remedy.change["workload"]["context_tokens"]
        assert shorter < 32_768
        changed = {**asked, "context_tokens": shorter}
        after = check("gemma-3-27b", runtime="ollama", machine=machine, workload=changed)
        assert after.verdict == remedy.verdict
        assert after.memory.total_bytes == remedy.needs_bytes


def test_a_context_beyond_training_is_said() -> None:
    machine = "rtx-4090 + 64gb"
    longer = check("qwen3-8b", machine=machine, workload={"context_tokens": 65_536})
    assert any("trained for 40,960 tokens" in note for note in longer.notes)
    usual = check("qwen3-8b", machine=machine, workload={"context_tokens": 32_768})
    assert not any("trained for" in note for note in usual.notes)
    slots = check("qwen3-8b", machine=machine, workload={"context_tokens": 65_536, "parallel": 2})
    assert not any("trained for" in note for note in slots.notes)


@pytest.mark.parametrize("parallel", [1, 2])
def test_ollama_cuts_a_context_to_what_the_model_was_trained_for(parallel: int) -> None:
    def asked(tokens: int) -> Plan:
        workload = {"context_tokens": tokens, "parallel": parallel}
        return check("qwen3-8b", runtime="ollama", machine="rtx-4090 + 64gb", workload=workload)

    trained, longer = asked(40_960), asked(131_072)
    assert longer.workload.context_tokens == 40_960
    assert (longer.memory, longer.commands) == (trained.memory, trained.commands)
    assert any(note.startswith("Ollama cuts a context to") for note in longer.notes)
    assert not any(note.startswith("Ollama cuts") for note in trained.notes)
