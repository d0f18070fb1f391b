"""`--runtime mlx`: settings, machines, verdicts, what would help, and the commands."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from whatfits.sizing import check
from whatfits.sizing.api import load_model
from whatfits.sizing.errors import BadInputError, InvalidRequestError, UnknownFileTypeError
from whatfits.sizing.machine import Device, Machine, Pool
from whatfits.sizing.units import GIB

if TYPE_CHECKING:
    from whatfits.sizing.estimate import Plan

MAC = "mac-m4-max-64gb"
PROGRAMS: dict[str, set[str]] = {
    "mlx_lm.convert": {
        *("--hf-path", "--mlx-path", "-q", "--q-bits", "--q-group-size", "--q-mode"),
        *("--quant-predicate", "--dtype"),
    },
    "mlx_lm.generate": {
        *("--model", "--prompt", "--max-tokens", "--max-kv-size", "--kv-bits", "--kv-group-size"),
        *("--quantized-kv-start", "--prefill-step-size", "--draft-model", "--num-draft-tokens"),
        "--prompt-cache-file",
    },
    "mlx_lm.server": {
        *("--model", "--host", "--port", "--max-tokens", "--decode-concurrency"),
        *("--prompt-concurrency", "--prefill-step-size", "--prompt-cache-size"),
        *("--prompt-cache-bytes", "--kv-bits", "--kv-group-size", "--quantized-kv-start"),
        *("--draft-model", "--pipeline", "--adapter-path", "--chat-template-args"),
    },
}


def planned(model: str = "qwen3-8b", machine: str | Machine = MAC, **request: Any) -> Plan:  # noqa: ANN401 - as check takes it
    return check(model, machine=machine, runtime="mlx", **request)


def mac(limit_gib: float, *, total_gib: float = 24, used_gib: float = 0) -> Machine:
    pool = Pool(
        "unified",
        "unified",
        int(total_gib * GIB),
        limit_bytes=int(limit_gib * GIB),
        used_bytes=int(used_gib * GIB),
    )
    devices = (
        Device("metal", "metal", "Apple M4", "unified", 120 * 10**9),
        Device("cpu", "cpu", "Apple M4", "unified"),
    )
    return Machine((pool,), devices, os="macos")


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


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("gemma-3-27b", "NotImplementedError"),
        ("gpt-oss-20b", "NotImplementedError"),
        ("gemma-2-9b", "cannot read a quantised cache"),
        ("deepseek-v3", "latent"),
        ("falcon-h1-0.5b", "kind of cache"),
        ("mamba-2.8b", "no keys and values"),
        ("phi-2", "no multiple of the group"),
    ],
)
def test_a_cache_that_cannot_be_quantised_is_refused_with_the_reason(
    model: str, words: str
) -> None:
    with pytest.raises(InvalidRequestError, match=words):
        planned(model, workload={"kv_type_k": "q8_0", "kv_type_v": "q8_0"})


@pytest.mark.parametrize(
    "workload",
    [
        {"kv_type_k": "q5_1", "kv_type_v": "q5_1"},
        {"kv_type_k": "q8_0"},
        {"kv_type_k": "q8_0", "kv_type_v": "f16"},
        {"batch": 512},
        {"flash_attention": "on"},
        {"kv_unified": True},
        {"swa_full": True},
        {"outputs_max": 4},
        {"spec_type": "none"},
        {"ctx_checkpoints": 3},
        {"mmproj": "x.gguf"},
        {"lora": ["x.gguf"]},
        {"model_draft": "qwen3-0.6b"},
        {"program": "api", "parallel": 2},
        {"program": "api", "cache_ram_mib": 5},
        {"cache_ram_mib": -1},
        {"context_tokens": 0},
        {"parallel": 0},
        {"parallel": 1000},
        {"micro_batch": 0},
        {"context_tokens": 2**31 - 256},
        {"context_tokens": 70_000, "micro_batch": 1},
        {"output_tokens": -5},
        {"prompt_tokens": 0},
    ],
    ids=str,
)
def test_a_setting_that_mlx_lm_does_not_have_is_refused_in_one_line(
    workload: dict[str, Any],
) -> None:
    with pytest.raises(BadInputError) as caught:
        planned(workload=workload)
    assert str(caught.value).isprintable()
    assert caught.value.allowed


@pytest.mark.parametrize(
    "placement",
    [
        {"gpu_layers": 10},
        {"tensor_split": [1.0]},
        {"cpu_moe_layers": 1},
        {"overrides": [["ffn", "CPU"]]},
        {"kv_offload": False},
        {"op_offload": False},
        {"split_mode": "layer"},
        {"mmap": False},
        {"repack": "off"},
        {"devices": ["cuda0"]},
    ],
    ids=str,
)
def test_nothing_can_be_placed(placement: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        planned(placement=placement)
    assert str(caught.value).isprintable()


def test_a_larger_prompt_step_takes_more_and_is_written_into_the_command() -> None:
    small, usual = planned(workload={"micro_batch": 256}), planned()
    assert small.memory.high_bytes < usual.memory.high_bytes
    assert small.commands["mlx"][-1].endswith("--prefill-step-size 256")
    assert usual.workload.micro_batch == 2048
    assert "--prefill-step-size" not in usual.commands["mlx"][-1]


@pytest.mark.parametrize("machine", ["rtx-4090 + 64gb", "rx-7900-xtx + 64gb", "2x rtx-3090"])
def test_other_accelerators_are_refused_with_a_next_step(machine: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"--runtime llama\.cpp"):
        planned(machine=machine)


@pytest.mark.parametrize(
    ("os", "version", "host"),
    [
        ("windows", None, "AMD Ryzen 9"),
        ("macos", "13.6", "Apple M1"),
        ("macos", "15.1", "Intel(R) Core(TM) i9-8950HK CPU"),
    ],
)
def test_a_system_that_mlx_has_no_package_for_is_refused(
    os: str, version: str | None, host: str
) -> None:
    machine = Machine(
        (Pool("ram", "ram", 64 * GIB),),
        (Device("cpu", "cpu", host, "ram"),),
        os=os,
        os_version=version,
    )
    with pytest.raises(InvalidRequestError, match="device for MLX"):
        planned(machine=machine)
    assert planned(machine=replace(machine, os="linux")).verdict == "fits"


def test_a_gpu_whose_memory_is_not_known_is_not_planned_for() -> None:
    known = mac(16)
    unknown = replace(known.pools[0], total_bytes=None)
    assert planned(machine=replace(known, pools=(unknown,))).verdict == "unknown"


def test_a_cpu_runs_it_and_is_said_to_be_slow() -> None:
    alone = planned(machine="64gb")
    beside = planned(machine="rtx-4090 + 64gb", placement={"devices": []})
    assert (alone.verdict, beside.verdict) == ("fits", "slow")
    assert [row.device for row in alone.memory.devices] == ["cpu"]
    assert alone.memory.weights_bytes == planned().memory.weights_bytes
    assert any("mlx[cpu]" in note for note in alone.notes)


def test_a_cpu_does_not_run_experts_in_16_bits() -> None:
    with pytest.raises(InvalidRequestError, match="experts in 16 bits"):
        planned("qwen3-30b-a3b", machine="128gb", file_type="bf16")
    assert planned("qwen3-30b-a3b", machine="128gb", file_type="4bit").verdict == "fits"
    assert planned("qwen3-8b", machine="64gb", file_type="bf16").verdict == "fits"


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


def remedies(plan: Plan) -> dict[str, str]:
    return {remedy.key: remedy.text for remedy in plan.remedies}


def test_a_raised_limit_is_offered_with_the_command() -> None:
    found = remedies(planned(machine=mac(6, total_gib=16)))
    assert "sudo sysctl iogpu.wired_limit_mb=12288" in found["raise_limit"]


def test_closing_what_others_hold_is_offered() -> None:
    assert "9.0 GiB" in remedies(planned(machine=mac(14, used_gib=9)))["close"]


def test_a_shorter_context_a_smaller_step_and_a_smaller_type_are_offered() -> None:
    small = planned("gemma-2-9b", workload={"micro_batch": 512}).memory.high_bytes / GIB + 0.1
    found = remedies(planned("gemma-2-9b", machine=mac(small, total_gib=small)))
    assert "--prefill-step-size 512" in found["prefill_step"]
    assert "context" in found
    larger = planned(machine=mac(11, total_gib=11), file_type="8bit")
    found = remedies(larger)
    assert found["file_type"].startswith("use 6bit: ")


def test_a_smaller_model_is_offered_when_nothing_else_helps() -> None:
    plan = planned("llama-3.1-405b")
    (remedy,) = (one for one in plan.remedies if one.key == "model")
    changed = planned(remedy.change["model"], file_type=remedy.change["file_type"])
    assert changed.verdict == remedy.verdict == "fits"
    assert changed.memory.total_bytes == remedy.needs_bytes


def test_each_remedy_does_what_it_promises() -> None:
    machine = mac(8, total_gib=8)
    plan = planned(machine=machine, file_type="8bit")
    changes = [one for one in plan.remedies if one.change and one.key != "model"]
    assert changes
    for remedy in changes:
        request = {"file_type": "8bit", **remedy.change}
        again = planned(machine=machine, **request)
        assert again.verdict == remedy.verdict
        assert again.memory.total_bytes == remedy.needs_bytes


def test_weights_near_the_working_set_are_warned_of_as_mlx_lm_does() -> None:
    near = planned("llama-3.3-70b", machine=mac(40, total_gib=64))
    assert any("nine tenths" in note for note in near.notes)
    assert not any("nine tenths" in note for note in planned().notes)


@pytest.mark.parametrize("model", ["qwen3-8b", "gpt-oss-20b", "gemma-3-4b", "deepseek-v2-lite"])
@pytest.mark.parametrize("file_type", [None, "4bit", "8bit-g32", "mxfp4", "mixed_4_6", "bf16"])
@pytest.mark.parametrize(
    "workload",
    [
        {},
        {"program": "api", "output_tokens": 100},
        {"parallel": 4, "micro_batch": 512, "cache_ram_mib": 100},
    ],
    ids=str,
)
def test_only_flags_that_the_programs_have_are_written(
    model: str, file_type: str | None, workload: dict[str, Any]
) -> None:
    lines = planned(model, file_type=file_type, workload=workload, force=True).commands["mlx"]
    assert lines[-1].startswith(("mlx_lm.server ", "mlx_lm.generate "))
    for line in lines:
        program, *words = shlex.split(line)
        flags = {word for word in words if word.startswith("-") and word != "-"}
        assert flags <= PROGRAMS[program]


def test_a_model_is_converted_and_then_run_from_there() -> None:
    convert, serve = planned("llama-3.1-8b", file_type="8bit-g32").commands["mlx"]
    assert convert == (
        "mlx_lm.convert --hf-path meta-llama/Llama-3.1-8B-Instruct "
        "--mlx-path llama-3.1-8b-8bit-g32-mlx -q --q-bits 8 --q-group-size 32"
    )
    assert serve.startswith("mlx_lm.server --model llama-3.1-8b-8bit-g32-mlx ")


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
