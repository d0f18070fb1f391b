"""Speeds that other tools got wrong."""

from __future__ import annotations

import pytest

from whatfits.sizing import check


def written(model: str, machine: str, file_type: str, context_tokens: int = 8_192) -> float:
    """Return tokens a second while writing."""
    found = check(
        model,
        file_type=file_type,
        machine=machine,
        workload={"context_tokens": context_tokens, "prompt_tokens": context_tokens - 512},
    )
    assert found.speed.decode_tokens_per_s is not None
    return found.speed.decode_tokens_per_s.mid


def test_writing_of_a_mixture_reads_the_experts_of_a_token_alone() -> None:
    """AlexsJones/llmfit#474: 34.7 tokens a second by all 35 billion parameters, 77.6 measured.

    On an RX 6900 XT, about Q2_K.
    """
    found = written("qwen3.5-35b-a3b", "rx-6900-xt + 32gb", "Q2_K", 1_024)
    assert found == pytest.approx(77.6, rel=0.3)


def test_a_hybrid_writes_as_fast_as_it_was_measured() -> None:
    """AlexsJones/llmfit#203: 40.9 tokens a second for Qwen3.5 9B Q8_0 on an RTX 4080, true 67."""
    assert written("qwen3.5-9b", "rtx-4080 + 32gb", "Q8_0", 1_024) == pytest.approx(67, rel=0.2)


def test_writing_slows_down_with_a_long_context() -> None:
    """llmfit 1.1.17 says the same at 8,192 and at 131,072 tokens.

    Sixteen GiB of cache are read for each token beside 4.6 GiB of weights.
    """
    short = written("llama-3.1-8b", "rtx-4090 + 64gb", "Q4_K_M", 8_192)
    long = written("llama-3.1-8b", "rtx-4090 + 64gb", "Q4_K_M", 131_072)
    assert long < short / 2
