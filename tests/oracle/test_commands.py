"""Every printed `llama-server` line, read back: llama.cpp plans with it what the plan says."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from comparison import Box, Column, Oracle, columns
from server_line import settings_of

from whatfits.bench.synthetic import write_catalog_model
from whatfits.sizing import check
from whatfits.sizing.units import MIB

if TYPE_CHECKING:
    from pathlib import Path

    from whatfits.sizing.estimate import Plan
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec

pytestmark = pytest.mark.oracle


@dataclass(frozen=True)
class Case:
    """What is asked for, and of which machine; `cards` are GiB of each GPU."""

    model: str
    cards: tuple[float, ...] = ()
    workload: dict[str, Any] = field(default_factory=dict)
    placement: dict[str, Any] = field(default_factory=dict)
    file_type: str = "Q4_K_M"


def _box(case: Case) -> Box:
    sizes = tuple(int(gib * 1024) * MIB for gib in case.cards)
    return Box(len(sizes), memory_bytes=sizes)


def _machine(box: Box) -> Machine:
    """Return the box's machine with devices by the names that probes give them."""
    machine = box.machine
    devices = [
        replace(device, id=device.id.replace("gpu", "cuda"), bandwidth_bytes_per_s=5 * 10**11)
        for device in machine.devices
    ]
    return replace(machine, devices=tuple(devices))


def _pretend(name: str) -> str:
    return name.replace("CUDA", "PRETEND")


def _predicted(plan: Plan, count: int) -> tuple[Column, ...]:
    """Return the plan's columns of every GPU of the box, used or not, the host last."""
    rows = {row.device: row for row in plan.memory.devices}
    found = [rows.get(f"cuda{index}") for index in range(count)] + [plan.memory.devices[-1]]
    return tuple(
        Column(0, 0, 0)
        if row is None
        else Column(row.weights_bytes, row.kv_cache_bytes, row.compute_bytes)
        for row in found
    )


def _compared(
    case: Case, spec: ModelSpec, path: Path, oracle: Oracle
) -> tuple[str, tuple[Column, ...], tuple[Column, ...]]:
    """Return the line, what llama.cpp plans with it, and what the plan says."""
    plan = check(
        spec,
        machine=_machine(oracle.box),
        workload=case.workload,
        placement=case.placement,
        force=True,
    )
    (line,) = plan.commands["llama.cpp"]
    said = oracle.ask(path, settings_of(line, device_name=_pretend))
    assert "error" not in said, (line, said)
    gpus = oracle.box.gpus
    return line, columns(said["buffers"], gpus), _predicted(plan, gpus)


CASES = [
    Case("llama-3.1-8b"),
    Case("llama-3.1-8b", workload={"context_tokens": 5000, "parallel": 3}),
    Case("llama-3.1-8b", placement={"repack": "off"}),
    Case("gemma-3-4b", workload={"context_tokens": 32768, "swa_full": True}),
    Case("gemma-3-4b", workload={"kv_type_k": "q8_0", "kv_type_v": "q4_0"}),
    Case("nomic-embed-text-v1.5", workload={"context_tokens": 2048}),
    Case("bge-m3", (6,), workload={"context_tokens": 8192, "parallel": 2}),
    Case("bge-m3", workload={"context_tokens": 8192}),
    Case("bge-reranker-v2-m3", (6,), workload={"context_tokens": 8192}),
    Case("bge-m3", (6,), workload={"context_tokens": 6000, "parallel": 5}),
    Case("bge-m3", (6,), workload={"context_tokens": 8192, "micro_batch": 1024}),
    Case("qwen3-embedding-0.6b"),
    Case("qwen3-embedding-0.6b", (6,), workload={"parallel": 2, "micro_batch": 4096}),
    Case("llama-3.1-8b", (24,)),
    Case("llama-3.1-8b", (4,)),
    Case("llama-3.1-8b", (4,), workload={"flash_attention": "off", "micro_batch": 64}),
    Case("llama-3.1-8b", (1,)),
    Case("llama-3.1-8b", (4,), placement={"devices": ()}),
    Case("llama-3.1-8b", (8,), placement={"kv_offload": False}),
    Case("llama-3.1-8b", (4,), placement={"op_offload": False}),
    Case("llama-3.1-8b", (8,), placement={"overrides": (("ffn_(up|gate)", "CPU"),)}),
    Case("qwen3-30b-a3b", (12,)),
    Case("qwen3-30b-a3b", (6, 6)),
    Case("qwen3-30b-a3b", (24,), placement={"cpu_moe_layers": 12}),
    Case(
        "qwen3-30b-a3b",
        (12, 12),
        placement={"cpu_moe_layers": 12, "overrides": ((r"blk\.[0-5]\.ffn_.*_exps", "cuda1"),)},
    ),
    Case("gpt-oss-20b", (24,), placement={"cpu_moe_layers": 5}),
    Case("gpt-oss-20b", (8, 12), file_type="MXFP4_MOE"),
    Case("deepseek-v2-lite", (6, 4), workload={"context_tokens": 16384}),
    Case("falcon-mamba-7b", (4,), workload={"parallel": 4}),
    Case("llama-3.1-8b", (3, 8)),
    Case("llama-3.1-8b", (4, 4), placement={"tensor_split": (0.123456789, 0.987654321)}),
    Case("llama-3.1-8b", (8, 8), placement={"tensor_split": (17.00001, 15.99999)}),
    Case("llama-3.1-8b", (8, 8, 8), placement={"devices": ("cuda2", "cuda0")}),
    Case("llama-3.1-8b", (8, 8), placement={"devices": ("cuda1",)}),
    Case("llama-3.1-8b", (8, 8), placement={"split_mode": "none"}),
    Case("llama-3.3-70b", (24, 11, 8)),
    Case("llama-3.3-70b", (24, 16, 11, 8), workload={"kv_unified": True, "parallel": 4}),
    Case("gemma-3-27b", (8, 8, 6, 4), workload={"context_tokens": 16384, "batch": 128}),
    # another split than llama.cpp's own
    Case("nemotron-super-49b-v1", (23.5, 23.5), workload={"context_tokens": 32768}),
    Case("gemma-3-27b", (11.6, 8)),
    Case("ling-mini-2.0", (5, 3, 2.5)),
    Case("gpt-oss-120b", (23, 23), file_type="MXFP4_MOE"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.model} on {case.cards}")
def test_llama_cpp_plans_with_the_printed_line_what_the_plan_says(
    case: Case, tmp_path: Path
) -> None:
    path = tmp_path / "model.gguf"
    spec = write_catalog_model(path, case.model, file_type=case.file_type)
    with Oracle(_box(case)) as oracle:
        line, truth, predicted = _compared(case, spec, path, oracle)
    assert truth == predicted, line
