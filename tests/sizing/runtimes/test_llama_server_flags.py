"""A command line of llama-server, read back: what was written by a plan, and what anybody types."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from whatfits.sizing.api import check
from whatfits.sizing.runtimes.llama_server_flags import read_flags
from whatfits.sizing.workload import PlacementRequest, Workload

MACHINES = ["rtx 3060 12gb + 32gb", "2x rtx 3090 + 64gb", "64gb", "mac-m4-max-64gb"]

WORKLOADS: list[dict[str, Any]] = [
    {},
    {"context_tokens": 16_384, "parallel": 4},
    {"parallel": 2, "kv_unified": True, "context_tokens": 8192},
    {"kv_type_k": "q8_0", "kv_type_v": "q8_0"},
    {"batch": 1024, "micro_batch": 256, "flash_attention": "off"},
    {"swa_full": True},
]


@pytest.mark.parametrize("model", ["llama-3.1-8b", "gemma-3-27b", "qwen3-30b-a3b"])
@pytest.mark.parametrize("workload", WORKLOADS, ids=str)
@pytest.mark.parametrize("machine", MACHINES)
def test_the_command_of_a_plan_leads_to_the_same_memory(
    machine: str, workload: dict[str, Any], model: str
) -> None:
    plan = check(model, machine=machine, workload=workload, force=True)
    (line,) = plan.commands["llama.cpp"]
    flags = read_flags(shlex.split(line))
    assert flags.left_out == ()
    again = check(model, machine=machine, workload=flags.workload, placement=flags.request)
    assert again.memory.devices == plan.memory.devices
    assert again.memory.mapped_bytes == plan.memory.mapped_bytes
    assert again.memory.growth_limit_bytes <= plan.memory.growth_limit_bytes  # the line caps it


def test_long_names_and_equals_signs_are_the_same_flags() -> None:
    short = "llama-server -m a.gguf -c 4096 -np 2 -ub 256 -ctk q8_0 -ngl 10 -ts 3,1 -fa on -kvu"
    long = (
        "/usr/bin/llama-server --model a.gguf --ctx-size=4096 --parallel 2 --ubatch-size 256 "
        "--cache-type-k q8_0 --n-gpu-layers 10 --tensor-split 3/1 --flash-attn on --kv-unified"
    )
    assert read_flags(shlex.split(short)) == read_flags(shlex.split(long))
    found = read_flags(shlex.split(short))
    assert found.model_file == "a.gguf"
    assert found.request == PlacementRequest(gpu_layers=10, tensor_split=(3.0, 1.0))


def test_flags_that_change_no_memory_are_passed_over() -> None:
    line = "llama-server -m a.gguf --host 0.0.0.0 --port 8081 -t 8 --api-key -c --temp 0.2 --jinja"
    found = read_flags(shlex.split(line))
    assert found.request == PlacementRequest()
    assert found.model_file == "a.gguf"


@pytest.mark.parametrize("value", ["auto", "-1"])
def test_layers_that_the_program_chooses_are_left_open(value: str) -> None:
    found = read_flags(["llama-server", "-ngl", value, "-c", "0", "-np", "-1"])
    assert (found.workload, found.request, found.left_out) == (Workload(), PlacementRequest(), ())


def test_a_switch_of_older_builds_stands_alone() -> None:
    found = read_flags(["llama-server", "-fa", "-ngl", "7"])
    assert found.workload.flash_attention == "on"
    assert found.request.gpu_layers == 7


def test_devices_have_their_names_here() -> None:
    line = ["llama-server", "-dev", "CUDA0,CUDA1", "-ot", r"ffn_.*_exps=CPU,blk\.1=CUDA1"]
    found = read_flags(line).request
    assert found.devices == ("cuda0", "cuda1")
    assert found.overrides == ((r"ffn_.*_exps", "cpu"), (r"blk\.1", "cuda1"))
    assert read_flags(["llama-server", "-dev", "MTL0"]).request.devices == ("metal",)
    assert read_flags(["llama-server", "-dev", "none"]).request.devices == ()


@pytest.mark.parametrize(
    "words",
    [
        ["-md", "b.gguf"],
        ["--lora", "c.gguf"],
        ["--cpu-moe"],
        ["-ngl", "many"],
        ["-c", "-7"],
        ["-ub", "9" * 40],
        ["-ub", "\u0663"],
        ["-ts", "a,b"],
        ["-sm", "diagonal"],
        ["-c"],
        ["-ot", ""],
    ],
    ids=lambda words: " ".join(words)[:20],
)
def test_what_is_not_understood_is_named(words: list[str]) -> None:
    found = read_flags(["llama-server", *words])
    assert found.left_out == (words[0],)
    assert found.workload == Workload()
    assert found.request == PlacementRequest()


def test_an_empty_command_line_says_nothing() -> None:
    assert read_flags([]) == read_flags(["llama-server"])
    assert read_flags([]).model_file is None
