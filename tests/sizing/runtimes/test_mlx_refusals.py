"""What `--runtime mlx` refuses, and where: settings, placements, machines."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from mlx_requests import mac, planned

from whatfits.sizing.errors import BadInputError, InvalidRequestError
from whatfits.sizing.machine import Device, Machine, Pool
from whatfits.sizing.units import GIB


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
