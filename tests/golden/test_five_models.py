"""Five models at three contexts against llama.cpp's own plan for them.

The printed table is an independent dry run of llama.cpp (0c1e57098, November 2026) over headers
rebuilt with the true tensor tables, checked against published file sizes: CPU, one sequence, f16
cache, flash attention auto, micro-batch 512, window caches not full, one row of logits. It is
printed to three decimals of a GiB, so half of the last digit is allowed where it is quoted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

from whatfits.sizing.api import answer
from whatfits.sizing.machine import Device, Machine, Pool
from whatfits.sizing.sources.catalog_model import load_catalog_model
from whatfits.sizing.units import GIB
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from whatfits.sizing.estimate import Memory
    from whatfits.sizing.model import ModelSpec

CONTEXTS = (8192, 32768, 131072)
HALF_A_DIGIT_GIB = 0.0005
WEIGHTS_WITHIN = 0.002
TOTAL_WITHIN = 0.02


class Printed(NamedTuple):
    """One row of the table, in GiB; tuples go with CONTEXTS."""

    model: str
    weights: float
    cache: tuple[float, float, float]
    compute: tuple[float, float, float]


TABLE = (
    Printed("llama-3.1-8b", 4.575, (1.000, 4.000, 16.000), (0.13, 0.15, 0.25)),
    Printed("qwen3-30b-a3b", 17.277, (0.750, 3.000, 12.000), (0.09, 0.12, 0.21)),
    Printed("gpt-oss-20b", 11.266, (0.205, 0.768, 3.018), (0.10, 0.13, 0.22)),
    Printed("gemma-3-27b", 15.404, (1.234, 3.109, 10.609), (0.18, 0.21, 0.30)),
    Printed("deepseek-v3", 377.24, (0.536, 2.145, 8.578), (0.40, 0.43, 0.52)),
)
F16 = 2
BOX = Machine(
    pools=(Pool("ram", "ram", 1024 * GIB),),
    devices=(Device("cpu", "cpu", "x86-64", "ram", features=("avx2",)),),
)


def cells(window: int, micro_batch: int = 512) -> int:
    """Tokens a window layer keeps: window and micro-batch, padded to 256."""
    return -(-(window + micro_batch) // 256) * 256


def cache_bytes(model: str, context: int) -> int:
    """The cache worked out from each model's published configuration, by hand.

    Keys and values are F16; heads x length a layer.
    """
    match model:
        case "llama-3.1-8b":  # 32 layers, 8 heads of 128
            return 32 * context * 2 * 8 * 128 * F16
        case "qwen3-30b-a3b":  # 48 layers, 4 heads of 128
            return 48 * context * 2 * 4 * 128 * F16
        case "gpt-oss-20b":  # 24 layers, 8 heads of 64, every other one a window of 128
            return (12 * context + 12 * cells(128)) * 2 * 8 * 64 * F16
        case "gemma-3-27b":  # 62 layers, 16 heads of 128, every sixth one sees everything
            return (10 * context + 52 * cells(1024)) * 2 * 16 * 128 * F16
        case _:  # DeepSeek V3: 61 layers of one latent row: 512 + 64 for the positions
            return 61 * context * (512 + 64) * F16


def memory_of(spec: ModelSpec, workload: Workload) -> Memory:
    return answer(spec, machine=BOX, workload=workload, request=PlacementRequest()).memory


@pytest.mark.parametrize("row", TABLE, ids=[row.model for row in TABLE])
def test_the_printed_table_is_met(row: Printed) -> None:
    spec = load_catalog_model(row.model)
    for index, context in enumerate(CONTEXTS):
        memory = memory_of(spec, Workload(context_tokens=context))
        assert memory.weights_bytes / GIB == pytest.approx(row.weights, rel=WEIGHTS_WITHIN)
        assert memory.kv_cache_bytes == cache_bytes(row.model, context)
        assert memory.kv_cache_bytes / GIB == pytest.approx(row.cache[index], abs=HALF_A_DIGIT_GIB)
        total = row.weights + row.cache[index] + row.compute[index]
        assert memory.total_bytes / GIB == pytest.approx(total, rel=TOTAL_WITHIN)


@pytest.mark.oracle
@pytest.mark.parametrize("program", ["api", "server"])
@pytest.mark.parametrize("model", [row.model for row in TABLE])
def test_a_dry_run_of_llama_cpp_gives_the_same(
    model: str, program: str, synthetic_file: Callable[[ModelSpec], Path]
) -> None:
    from whatfits.bench.llama_cpp import dry_run

    spec = load_catalog_model(model)
    path = synthetic_file(spec)
    server = program == "server"
    for context in CONTEXTS:
        truth = dry_run(
            path,
            context_tokens=context,
            swa_full=not server,
            outputs_max=1 if server else 0,
            repack=False,  # which weights are rearranged depends on the CPU of this machine
        )
        workload = Workload(program="server" if server else "api", context_tokens=context)
        memory = memory_of(spec, workload)
        whole = truth.model + truth.context + truth.compute + memory.output_bytes
        assert memory.weights_bytes == truth.model_bytes == truth.model
        assert memory.kv_cache_bytes == truth.context
        assert memory.total_bytes == pytest.approx(whole, rel=TOTAL_WITHIN)
        assert memory.low_bytes <= whole <= memory.high_bytes
        print(
            f"\n{model} {program} {context:,}: weights and cache equal, compute "
            f"{memory.compute_bytes:,} of {truth.compute:,}, "
            f"total {memory.total_bytes / whole - 1:+.3%}",
            end="",
        )
