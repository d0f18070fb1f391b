"""Verdicts that other tools got wrong: what fits where, and what is left."""

from __future__ import annotations

from typing import Any

import pytest

from whatfits.sizing import check
from whatfits.sizing.errors import BadInputError
from whatfits.sizing.units import GIB


def host(total_gib: int, used_gib: int) -> dict[str, Any]:
    """Return a machine without a GPU of which something is in use."""
    ram = {"id": "ram", "kind": "ram", "total_bytes": total_gib * GIB, "used_bytes": used_gib * GIB}
    cpu = {"id": "cpu", "kind": "cpu", "name": "CPU", "pool": "ram", "features": ["avx2"]}
    return {"name": "a host", "pools": [ram], "devices": [cpu]}


def test_what_does_not_fit_the_host_is_refused_whatever_a_plan_leaves_out() -> None:
    """llama.cpp's fitting step left 7,342 MiB of 24,105 for a plan of 30,194 MiB on a CPU.

    ggml-org/llama.cpp#22592: its answer is no promise. That plan is Qwen3-30B-A3B with 131,072
    tokens, and the copies of its weights were not in the sum.
    """
    found = check(
        "qwen3-30b-a3b",
        file_type="Q4_K_M",
        machine="24gb",
        workload={"context_tokens": 131_072},
    )
    assert found.verdict == "no"
    assert found.memory.total_bytes / 2**20 == pytest.approx(30_194, rel=0.01)


def test_memory_that_others_hold_is_not_free() -> None:
    """ggml-org/llama.cpp#23603: total memory was compared with, not what is available."""
    asked: dict[str, Any] = {"file_type": "Q8_0", "workload": {"context_tokens": 8_192}}
    idle = check("qwen3-14b", machine=host(24, 0), **asked)
    busy = check("qwen3-14b", machine=host(24, 12), **asked)
    assert idle.verdict == "fits"
    assert busy.verdict != "fits"
    assert busy.memory.total_bytes > (24 - 12) * GIB


def test_a_long_context_of_experts_does_not_fit_a_24_gb_card() -> None:
    """llmfit 1.1.17 calls Qwen3-30B-A3B with 131,072 tokens good on a 24 GB card: 29.5 GiB."""
    asked = {"context_tokens": 131_072}
    found = check("qwen3-30b-a3b", file_type="Q4_K_M", machine="rtx-4090 + 64gb", workload=asked)
    assert found.verdict == "slow"
    assert found.memory.total_bytes > 29.5 * GIB


def test_two_cards_are_two_memories() -> None:
    """AlexsJones/llmfit#1018, #638 and #46: cards were summed up, or only one was counted.

    A model of 17.5 GiB runs on 12 and 8 GB, each holding what it has room for.
    """
    found = check("qwen2.5-14b", file_type="Q8_0", machine="rtx-4070 + rtx-3060-ti + 32gb")
    assert found.verdict == "fits"
    cards = [row for row in found.memory.devices if row.device != "cpu"]
    assert len(cards) == 2
    assert all(row.high_bytes <= (row.free_bytes or 0) for row in cards)


def test_a_smaller_card_gets_a_smaller_share() -> None:
    """ollama/ollama#17523 (and #7047): 12 and 8 GB were filled alike, 4.3 GB left on one."""
    found = check("qwen2.5-14b", file_type="Q8_0", machine="rtx-4070 + rtx-3060-ti + 32gb")
    large, small = (row.weights_bytes for row in found.memory.devices[:2])
    assert 1.2 < large / small < 1.7  # their memories are 1.5 to 1


def test_what_one_card_cannot_hold_is_no_matter_of_the_sum() -> None:
    """gpustack/gpustack#2101: a layer has to fit a card; four of 11 GB are no 44."""
    found = check("llama-3.3-70b", file_type="F16", machine="4x rtx-2080-ti + 256gb")
    cards = [row for row in found.memory.devices if row.device != "cpu"]
    assert found.verdict == "slow"
    assert all(row.high_bytes <= (row.free_bytes or 0) for row in cards)


def test_the_context_of_an_answer_is_not_that_of_the_training() -> None:
    """AlexsJones/llmfit#302: 26.3 GB for Qwen3.5 9B at its 262,144 tokens, which ran in 8 GB."""
    found = check("qwen3.5-9b", file_type="Q4_K_M", machine="rtx-4060 + 32gb")
    assert found.workload.context_tokens == 8_192
    assert found.verdict == "fits"
    assert found.memory.devices[0].total_bytes < 8e9


def test_a_hybrid_fits_the_card_it_runs_on() -> None:
    """AlexsJones/llmfit#203: Qwen3.5 9B in Q8_0 did not fit an RTX 4080 where it took 8.5 GB."""
    found = check("qwen3.5-9b", file_type="Q8_0", machine="rtx-4080 + 32gb")
    assert found.verdict == "fits"


def test_working_memory_is_part_of_the_bill() -> None:
    """ollama/ollama#17201: DeepSeek V2 Lite with 32,768 tokens needs more than weights and cache.

    The prediction before loading left the compute buffer out and a layer went to the CPU.
    """
    memory = check(
        "deepseek-v2-lite",
        file_type="Q4_K_M",
        machine="rtx-4070 + 32gb",
        workload={"context_tokens": 32_768},
    ).memory
    assert memory.compute_bytes > 0
    assert memory.total_bytes > memory.weights_bytes + memory.kv_cache_bytes + memory.compute_bytes


def test_qwen3_32b_takes_half_of_what_was_predicted_for_it() -> None:
    """ollama/ollama#10740: 67.3 GiB for Qwen3 32B in Q6_K with 32,768 tokens; 36 GiB were used."""
    memory = check(
        "qwen3-32b",
        file_type="Q6_K",
        machine="3x rtx-3090 + 64gb",
        workload={"context_tokens": 32_768},
    ).memory
    assert memory.total_bytes / GIB == pytest.approx(36, rel=0.05)


@pytest.mark.parametrize("machine", ["24xgb", "0gb", "99999tb", "-1gb", "rtx-4091"])
def test_a_memory_or_a_card_that_does_not_exist_is_refused(machine: str) -> None:
    """llmfit ignores `--memory 24X`, invents a card for 0G and takes 99999T.

    llm-checker takes a GPU that nobody knows without a word.
    """
    with pytest.raises(BadInputError) as refused:
        check("llama-3.1-8b", machine=machine)
    assert "allowed" in str(refused.value)


def test_a_machine_that_is_not_here_is_answered_for_with_its_card() -> None:
    """llmfit evaluates an RTX 4090 on a host without a GPU as that host: 0.6 tokens a second."""
    found = check("gemma-3-27b", file_type="Q4_K_M", machine="rtx-4090 + 64gb")
    assert found.verdict == "fits"
    assert found.speed.decode_tokens_per_s is not None
    assert found.speed.decode_tokens_per_s.low > 20
