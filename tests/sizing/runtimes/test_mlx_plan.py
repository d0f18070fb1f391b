"""`--runtime mlx`: the bill, the verdict, the longest context, the speed."""

from __future__ import annotations

import re

import pytest
from mlx_requests import MAC, mac, planned

from whatfits.sizing import check
from whatfits.sizing.api import load_model
from whatfits.sizing.errors import UnknownFileTypeError
from whatfits.sizing.units import GIB


def test_the_rows_add_up_and_the_models_bytes_lie_on_the_gpu() -> None:
    plan = planned()
    gpu, host = plan.memory.devices
    assert (gpu.device, host.device, gpu.pool) == ("metal", "cpu", host.pool)
    assert gpu.weights_bytes == load_model("qwen3-8b", runtime="mlx").tensor_bytes
    assert gpu.kv_cache_bytes == 36 * 8192 * 2 * 1024 * 2
    assert host.weights_bytes == host.kv_cache_bytes == host.compute_bytes == 0
    assert plan.memory.total_bytes == gpu.total_bytes + host.total_bytes
    assert plan.memory.low_bytes < plan.memory.total_bytes < plan.memory.high_bytes
    assert plan.memory.mapped_bytes == plan.memory.output_bytes == 0


def test_a_page_an_array_is_in_the_upper_end_of_a_gpu_only() -> None:
    exact = planned().memory.devices[0].weights_bytes
    basis = {reason.key: reason for reason in planned().basis}["memory.weights_bytes"]
    assert basis.inputs["arrays"] == (36 * 7 + 2) * 3 + 36 * 4 + 1  # matrices, and norms
    assert "16 KiB" in basis.error
    assert exact == sum(basis.inputs["bytes_by_type"].values())


def test_every_figure_has_a_basis() -> None:
    keys = [reason.key for reason in planned().basis]
    assert keys == [
        "memory.weights_bytes",
        "memory.kv_cache_bytes",
        "memory.compute_bytes",
        "memory.overhead_bytes",
        "memory.devices.free_bytes",
        "memory.growth_limit_bytes",
        "speed.decode_tokens_per_s",
        "speed.prefill_tokens_per_s",
    ]


def test_without_a_file_type_it_is_4bit_and_the_notes_say_so() -> None:
    plan = planned()
    assert plan.model.file_type == "4bit"
    assert "No file type was asked for: 4bit, the usual balance." in plan.notes
    assert not any("GGUF" in note or "llama.cpp" in note for note in plan.notes)


def test_gpt_oss_runs_as_it_was_published() -> None:
    plan = planned("gpt-oss-20b")
    assert plan.model.file_type == "as published"
    (line,) = plan.commands["mlx"]
    assert line.startswith("mlx_lm.server --model openai/gpt-oss-20b ")


def test_the_notes_say_that_there_is_no_context_flag() -> None:
    (said,) = (note for note in planned(workload={"context_tokens": 4096}).notes if "flag" in note)
    assert "under 4,096 tokens together" in said


def test_more_sequences_take_more_caches_of_the_whole_context() -> None:
    one, four = planned(), planned(workload={"parallel": 4})
    assert four.memory.kv_cache_bytes == 4 * one.memory.kv_cache_bytes
    assert four.workload.context_tokens == one.workload.context_tokens
    assert "--decode-concurrency 4 --prompt-concurrency 4" in four.commands["mlx"][-1]


def test_caches_of_earlier_prompts_are_the_growth_limit() -> None:
    plan = planned()
    assert plan.memory.growth_limit_bytes == 10 * plan.memory.kv_cache_bytes
    assert planned(workload={"program": "api"}).memory.growth_limit_bytes == 0
    asked = planned(workload={"cache_ram_mib": 1000})
    assert asked.memory.growth_limit_bytes == 1000 * 2**20
    in_use = asked.memory.kv_cache_bytes
    flag = f"--prompt-cache-bytes {(in_use + 1000 * 2**20) // 10**6}MB"
    assert asked.commands["mlx"][-1].endswith(flag)


def test_what_is_left_caps_the_caches_of_earlier_prompts() -> None:
    roomy, narrow = planned(), planned(machine=mac(10))
    assert "--prompt-cache-bytes" not in roomy.commands["mlx"][-1]
    size = re.search(r"--prompt-cache-bytes (\d+)MB", narrow.commands["mlx"][-1])
    assert size is not None
    room = 10 * GIB - narrow.memory.high_bytes + narrow.memory.kv_cache_bytes
    assert int(size[1]) == room // 10**6


def test_a_quantised_cache_is_counted_from_its_start_on() -> None:
    plain, long = planned(), planned(workload={"kv_type_k": "q8_0", "kv_type_v": "q8_0"})
    short = planned(workload={"kv_type_k": "q8_0", "kv_type_v": "q8_0", "context_tokens": 4096})
    assert long.memory.kv_cache_bytes * 16 == plain.memory.kv_cache_bytes * 17 // 2
    assert short.memory.kv_cache_bytes == plain.memory.kv_cache_bytes // 2
    assert "--kv-bits 8 --kv-group-size 64" in long.commands["mlx"][-1]
    four = planned(workload={"kv_type_k": "q4_0", "kv_type_v": "q4_0"})
    assert "--kv-bits 4 --kv-group-size 64" in four.commands["mlx"][-1]
    assert (four.workload.kv_type_k, four.workload.kv_type_v) == ("q4_0", "q4_0")


def test_a_larger_prompt_step_takes_more_and_is_written_into_the_command() -> None:
    small, usual = planned(workload={"micro_batch": 256}), planned()
    assert small.memory.high_bytes < usual.memory.high_bytes
    assert small.commands["mlx"][-1].endswith("--prefill-step-size 256")
    assert usual.workload.micro_batch == 2048
    assert "--prefill-step-size" not in usual.commands["mlx"][-1]


def test_the_verdict_is_taken_from_the_upper_end() -> None:
    need = planned(machine=mac(20)).memory
    fits = planned(machine=mac(need.high_bytes / GIB + 0.001))
    tight = planned(machine=mac(need.high_bytes / GIB - 0.001))
    no = planned(machine=mac(need.total_bytes / GIB - 0.001))
    assert (fits.verdict, tight.verdict, no.verdict) == ("fits", "tight", "no")
    assert fits.commands
    assert tight.commands
    assert not no.commands
    assert planned(machine=mac(5), force=True).commands


def test_the_largest_context_fits_and_one_step_more_does_not() -> None:
    machine = mac(10)
    largest = planned(machine=machine).largest_context_tokens
    assert largest is not None
    assert 8192 < largest < 40_960
    assert planned(machine=machine, workload={"context_tokens": largest}).verdict == "fits"
    more = planned(machine=machine, workload={"context_tokens": largest + 256})
    assert more.verdict == "tight"


def test_the_largest_context_is_what_the_model_was_trained_for() -> None:
    assert planned().largest_context_tokens == 40_960
    assert planned(machine=mac(3)).largest_context_tokens is None


def test_weights_near_the_working_set_are_warned_of_as_mlx_lm_does() -> None:
    near = planned("llama-3.3-70b", machine=mac(40, total_gib=64))
    assert any("nine tenths" in note for note in near.notes)
    assert not any("nine tenths" in note for note in planned().notes)


def test_a_model_loaded_as_a_gguf_is_refused_unless_it_has_16_bits() -> None:
    with pytest.raises(UnknownFileTypeError, match="nearest is '4bit'"):
        check(load_model("qwen3-8b"), machine=MAC, runtime="mlx")
    plain = check(load_model("qwen3-8b", file_type="F16"), machine=MAC, runtime="mlx")
    assert plain.memory.weights_bytes == planned(file_type="f16").memory.weights_bytes


def test_decoding_reads_the_weights_and_the_cache() -> None:
    four, eight = planned().speed, planned(file_type="8bit").speed
    assert four is not None
    assert eight is not None
    assert four.decode_tokens_per_s is not None
    assert eight.decode_tokens_per_s is not None
    ratio = four.decode_tokens_per_s.mid / eight.decode_tokens_per_s.mid
    assert 1.3 < ratio < 1.9  # 4.5 bits against 8.5, and a constant a layer


def test_a_mixture_reads_the_experts_it_chooses() -> None:
    dense, mixture = planned("qwen3-32b").speed, planned("qwen3-30b-a3b").speed
    assert dense is not None
    assert mixture is not None
    assert dense.decode_tokens_per_s is not None
    assert mixture.decode_tokens_per_s is not None
    assert mixture.decode_tokens_per_s.mid > 4 * dense.decode_tokens_per_s.mid
