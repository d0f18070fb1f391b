"""Nothing that was asked for is left out of what is printed: it is said there, or refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from whatfits.sizing import check, load_model
from whatfits.sizing.api import load_machine
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.runtimes.ollama import asked as asked_of_ollama
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from whatfits.sizing.estimate import Plan

CARDS = "2x rtx 3090 + 64gb"
ASKED: tuple[dict[str, Any], ...] = (
    {"workload": {"context_tokens": 5000}},
    {"workload": {"parallel": 3}},
    {"workload": {"kv_type_k": "q8_0", "kv_type_v": "q8_0"}},
    {"workload": {"batch": 300, "micro_batch": 300}},
    {"workload": {"flash_attention": "off"}},
    {"workload": {"kv_unified": True}},
    {"workload": {"swa_full": True}},
    {"workload": {"outputs_max": 7}},
    {"workload": {"model_draft": "qwen3-0.6b"}},
    {"workload": {"model_draft": "qwen3-0.6b", "kv_type_k_draft": "q8_0"}},
    {"workload": {"cache_ram_mib": 777}},
    {"placement": {"gpu_layers": 7}},
    {"placement": {"tensor_split": (1.0, 4.0)}},
    {"placement": {"cpu_moe_layers": 7}},
    {"placement": {"overrides": (("blk.1.", "CPU"),)}},
    {"placement": {"kv_offload": False}},
    {"placement": {"op_offload": False}},
    {"placement": {"split_mode": "none"}},
    {"placement": {"devices": ("cuda1",)}},
    {"placement": {"devices": ()}},
    {"placement": {"mmap": False}},
    {"placement": {"repack": "off"}},
)
STARTERS = ("llama.cpp", "ollama", "lm-studio", "jan")


def plan_of(runtime: str, **asked: Any) -> Plan:  # noqa: ANN401 - as `check` takes it
    return check("qwen3-30b-a3b", machine=CARDS, runtime=runtime, **asked)


@pytest.mark.parametrize("runtime", STARTERS)
@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: str(asked)[:60])
def test_a_setting_changes_the_commands_or_is_refused(runtime: str, asked: dict[str, Any]) -> None:
    if runtime == "llama.cpp" and "outputs_max" in asked.get("workload", {}):
        pytest.skip("what a caller of the C API sets: no flag of the server")
    usual = plan_of(runtime).commands[runtime]
    try:
        told = plan_of(runtime, **asked).commands[runtime]
    except InvalidRequestError:
        return
    assert told != usual


@pytest.mark.parametrize(
    ("machine", "placement", "line"),
    [
        (CARDS, {"mmap": False}, "PARAMETER use_mmap false"),
        (CARDS, {"devices": ()}, "PARAMETER num_gpu 0"),
        (CARDS, {"devices": ("cuda1",)}, "CUDA_VISIBLE_DEVICES=1 ollama serve"),
        (
            "rtx 3060 12gb + rtx 4090 + 64gb",  # CUDA by itself counts the faster one first
            {"devices": ("cuda1",)},
            "CUDA_VISIBLE_DEVICES=1 CUDA_DEVICE_ORDER=PCI_BUS_ID ollama serve",
        ),
        (
            "rtx 3090 + 7900 xtx + 64gb",
            {"devices": ("cuda0",)},
            "ROCR_VISIBLE_DEVICES=-1 ollama serve",
        ),
    ],
)
def test_ollama_is_told_which_cards_it_may_see(
    machine: str, placement: dict[str, Any], line: str
) -> None:
    plan = check("qwen3-8b", machine=machine, runtime="ollama", placement=placement)
    assert line in plan.commands["ollama"]


def test_a_model_yml_tells_where_single_tensors_lie() -> None:
    printed = plan_of("jan", placement={"overrides": (("blk.1.", "CPU"), ("exps", "cuda1"))})
    assert 'override_tensor: "blk.1.=CPU,exps=CUDA1"' in printed.commands["jan"]


@pytest.mark.parametrize(
    ("source", "fetched", "file"),
    [
        (
            "hf:org/repo:sub/x-Q4_K_M.gguf",
            "hf download org/repo sub/x-Q4_K_M.gguf --local-dir .",
            "sub/x-Q4_K_M.gguf",
        ),
        (
            "hf:org/repo@v1:x.gguf",
            "hf download org/repo x.gguf --revision v1 --local-dir .",
            "x.gguf",
        ),
        (
            "https://host/x.gguf?download=true",
            "curl -L -o x.gguf 'https://host/x.gguf?download=true'",
            "x.gguf",
        ),
    ],
)
def test_a_program_that_takes_files_of_the_disk_gets_one_there_first(
    source: str, fetched: str, file: str
) -> None:
    spec = replace(load_model("smollm2-135m"), name="x", source=source)

    def printed(runtime: str) -> tuple[str, ...]:
        return check(spec, machine=CARDS, runtime=runtime).commands[runtime]

    assert printed("ollama")[0] == fetched
    # a bare name would be looked up in the registry
    assert f"FROM {file if '/' in file else f'./{file}'}" in printed("ollama")
    assert printed("lm-studio")[:2] == (fetched, f"lms import {file}")
    jan = printed("jan")
    assert jan[0] == fetched
    assert f'model_path: "llamacpp/models/x/{Path(file).name}"' in jan


def test_a_model_of_ollamas_own_store_is_taken_by_its_name() -> None:
    # its blob alone would leave template and projector behind
    blob = f"/home/x/.ollama/models/blobs/sha256-{'0a' * 32}"
    spec = replace(load_model("smollm2-135m"), name="smollm2:135m", source=blob)
    assert "FROM smollm2:135m" in check(spec, machine=CARDS, runtime="ollama").commands["ollama"]


def test_of_several_adapters_ollama_would_take_the_last() -> None:
    two = Workload(lora=("a.gguf", "b.gguf"))
    with pytest.raises(InvalidRequestError, match="one adapter"):
        asked_of_ollama(load_model("qwen3-8b"), load_machine(CARDS), two, PlacementRequest())
