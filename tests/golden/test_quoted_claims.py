"""What everybody quotes, worked out: the arithmetic first, then the engine's answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from whatfits.sizing.api import check
from whatfits.sizing.sources.catalog_model import load_catalog_model
from whatfits.sizing.units import GB, GIB

if TYPE_CHECKING:
    from whatfits.sizing.estimate import Plan

# Published sizes of these very files, less their headers of a few megabytes (Hugging Face, seen
# November 2026): 4.08 GB, 4.37 GB, 4.68 GB, 42.52 GB.
SEVENS = {"llama-2-7b": 4.08, "mistral-7b-v0.3": 4.37, "qwen2.5-7b": 4.68}
MAC = "mac-m4-24gb"


def asked(model: str, file_type: str, machine: str, context: int) -> Plan:
    workload = {"context_tokens": context}
    return check(model, file_type=file_type, machine=machine, workload=workload)


def test_sixteen_bits_are_two_bytes_a_weight() -> None:
    spec = load_catalog_model("llama-3.1-8b", file_type="F16")
    assert spec.parameters == 8_030_261_312
    # only the norms (266,240 weights in F32) take more
    assert spec.tensor_bytes == 2 * spec.parameters + 2 * (32 * 2 + 1) * 4096 + 2 * 64


def test_four_bits_are_about_half_a_byte_a_weight() -> None:
    for model in SEVENS:
        spec = load_catalog_model(model, file_type="Q4_K_M")
        assert spec.parameters is not None
        assert 0.5 < spec.tensor_bytes / spec.parameters < 0.625


@pytest.mark.parametrize("model", SEVENS)
def test_a_7b_at_4_bit_has_about_4_gb_of_weights(model: str) -> None:
    spec = load_catalog_model(model, file_type="Q4_K_M")
    assert spec.tensor_bytes / GB == pytest.approx(SEVENS[model], abs=0.006)
    # 7 x 10^9 weights x 4.85 bits / 8 = 4.2 GB; these have 6.7, 7.2 and 7.6 x 10^9
    assert spec.parameters is not None
    assert spec.tensor_bytes == pytest.approx(spec.parameters * 4.87 / 8, rel=0.01)


@pytest.mark.parametrize("model", SEVENS)
def test_an_8_gb_card_runs_a_7b_at_4_bit(model: str) -> None:
    plan = asked(model, "Q4_K_M", "rtx-4060 + 32gb", 4096)
    assert plan.verdict == "fits"
    assert plan.memory.devices[0].high_bytes < 8 * GIB


def test_an_8_gb_card_does_not_hold_a_7b_at_16_bit() -> None:
    plan = asked("mistral-7b-v0.3", "F16", "rtx-4060 + 32gb", 4096)
    assert plan.memory.weights_bytes > 14 * GB
    assert plan.verdict == "slow"


def test_16_gb_reach_a_13b_and_8_gb_do_not() -> None:
    # 13.0 x 10^9 weights: 7.9 GB at Q4_K_M, and 0.8 MiB of cache a token (no grouped heads):
    # 2 x 40 layers x 5,120 elements x 2 bytes x 4,096 tokens = 3.1 GiB
    plan = asked("llama-2-13b", "Q4_K_M", "rtx-4080 + 32gb", 4096)
    assert plan.memory.kv_cache_bytes == 2 * 40 * 5120 * 2 * 4096
    assert plan.verdict == "fits"
    assert asked("llama-2-13b", "Q4_K_M", "rtx-4060 + 32gb", 4096).verdict == "slow"


def test_a_70b_at_4_bit_is_about_42_gb_and_wants_48_gb_of_cards() -> None:
    spec = load_catalog_model("llama-3.3-70b", file_type="Q4_K_M")
    assert spec.parameters == 70_553_706_560
    # 70.6 x 10^9 x 4.82 bits / 8
    assert spec.tensor_bytes / GB == pytest.approx(42.5, abs=0.05)
    assert asked("llama-3.3-70b", "Q4_K_M", "2x rtx-3090 + 64gb", 8192).verdict == "fits"
    assert asked("llama-3.3-70b", "Q4_K_M", "rtx-4090 + 64gb", 8192).verdict == "slow"


def test_what_spills_is_slow() -> None:
    held = asked("llama-3.3-70b", "Q4_K_M", "2x rtx-3090 + 64gb ddr5-6000", 8192).speed
    spilled = asked("llama-3.3-70b", "Q4_K_M", "rtx-4090 + 64gb ddr5-6000", 8192).speed
    assert held is not None
    assert spilled is not None
    assert held.decode_tokens_per_s is not None
    assert spilled.decode_tokens_per_s is not None
    # 18 GB of 42 from memory a tenth as fast
    assert held.decode_tokens_per_s.mid > 3 * spilled.decode_tokens_per_s.mid


def test_corrected_a_24_gb_mac_holds_an_8b_at_16_bit_within_18_gb_if_macos_lets_it() -> None:
    plan = asked("llama-3.1-8b", "F16", MAC, 8192)
    # 16.06 GB of weights + 1.07 GB of cache + 0.16 GB of buffers
    assert 17.0 < plan.memory.total_bytes / GB < 18.0
    # Newer systems allow the GPU 17.8 GiB of 24, older ones 16: not promised without the version.
    pool = plan.machine.pools[0]
    assert pool.limit_low_bytes == 16 * GIB
    assert pool.limit_bytes is not None
    assert plan.memory.high_bytes < pool.limit_bytes
    assert plan.verdict == "tight"
    raised = next(remedy for remedy in plan.remedies if remedy.key == "raise_limit")
    assert raised.verdict == "fits"
    assert "sysctl iogpu.wired_limit_mb=20480" in raised.text


def test_corrected_a_30b_mixture_of_experts_at_4_bit_takes_more_than_18_gb() -> None:
    plan = asked("qwen3-30b-a3b", "Q4_K_M", MAC, 8192)
    # 30.5 x 10^9 weights x 4.86 bits / 8 are 18.6 GB before a single token is kept
    assert plan.memory.weights_bytes > 18 * GB
    assert plan.memory.total_bytes / GB == pytest.approx(19.5, abs=0.1)
    assert plan.verdict == "no"
    raised = next(remedy for remedy in plan.remedies if remedy.key == "raise_limit")
    assert raised.verdict == "fits"
    # ... while 3 bits make the claim true
    smaller = asked("qwen3-30b-a3b", "Q3_K_M", MAC, 8192)
    assert smaller.verdict == "fits"
    assert smaller.memory.high_bytes / GB < 18


def test_a_30b_mixture_of_experts_decodes_faster_than_an_8b_at_the_same_bits() -> None:
    moe = asked("qwen3-30b-a3b", "Q4_K_M", "rtx-4090 + 64gb", 8192).speed
    dense = asked("qwen3-8b", "Q4_K_M", "rtx-4090 + 64gb", 8192).speed
    assert moe is not None
    assert dense is not None
    assert moe.decode_tokens_per_s is not None
    assert dense.decode_tokens_per_s is not None
    assert moe.decode_tokens_per_s.mid > dense.decode_tokens_per_s.mid
