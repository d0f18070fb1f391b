"""Families whose graphs have a shape of their own: to the byte as llama.cpp plans them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from comparison import Box, Oracle, asked_for, compare, without_nextn, write_model

from whatfits.bench.run_settings import RunSettings
from whatfits.sizing.graph.buffers import graph_buffers
from whatfits.sizing.sources.catalog_model import load_catalog_model

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.oracle

MODELS = (
    "gpt-oss-20b",
    "phi-2",
    "phi-3.5-mini",
    "phi-3.5-moe",
    "aya-23-8b",
    "command-r-plus",
    "command-r7b",
    "olmo-2-7b",
    "olmo-3-7b",
    "olmoe-1b-7b",
    "granite-3.1-2b",
    "granite-3.0-1b-a400m",
    "llama-4-scout",
    "llama-4-maverick",
    "gemma-2b",
    "gemma-3n-e4b",
    "gemma-4-e2b",
    "gemma-4-26b-a4b",
    "exaone-4.0-32b",
)
ON_CPU = (
    RunSettings(4096, flash_attention="on"),
    RunSettings(4096, flash_attention="off", swa_full=False),
    RunSettings(8192, flash_attention="off", parallel=3, outputs_max=3),
    RunSettings(8192, flash_attention="on", parallel=4, kv_unified=True, swa_full=False),
    RunSettings(8192, flash_attention="on", kv_type_k="f32", kv_type_v="f32", micro_batch=64),
    RunSettings(8192, flash_attention="on", kv_type_k="bf16", kv_type_v="bf16", outputs_max=1),
)
QUANTISED = RunSettings(8192, flash_attention="on", kv_type_k="q8_0", kv_type_v="q8_0")
ON_GPU = (
    RunSettings(8192, outputs_max=1, swa_full=False),
    RunSettings(8192, gpu_layers=7, flash_attention="off"),
    RunSettings(8192, host_overrides=("ffn_(up|gate|down)",)),
)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_takes_what_llama_cpp_plans(
    name: str, cpu: Oracle, gpu: Oracle, tmp_path: Path
) -> None:
    spec = without_nextn(load_catalog_model(name, file_type="Q4_K_M"))
    path = tmp_path / "model.gguf"
    write_model(spec, path)
    # heads that are no multiple of a block cannot be quantised
    whole_blocks = spec.layers[0].key_length % 32 == 0
    on_cpu = (*ON_CPU, QUANTISED) if whole_blocks else ON_CPU
    for oracle, grid in ((cpu, on_cpu), (gpu, ON_GPU)):
        for settings in grid:
            outcome = compare(spec, path, oracle, settings)
            assert outcome.error is None
            assert outcome.predicted == outcome.truth, settings


@pytest.mark.parametrize("name", MODELS)
def test_decisive_layers_say_as_much_as_all(name: str) -> None:
    spec = without_nextn(load_catalog_model(name, file_type="Q4_K_M"))
    settled_late = RunSettings(8192, kv_offload=False, swa_full=False)
    for box, grid in (
        (Box(0), ON_CPU[:4]),
        (Box(1), ON_GPU),
        (Box(1, flash=False), (settled_late,)),
        (Box(2), ON_GPU[:1]),
    ):
        for settings in grid:
            asked = asked_for(spec, box, settings)
            assert graph_buffers(spec, *asked) == graph_buffers(spec, *asked, whole=True), settings


@pytest.mark.parametrize("name", ["granite-3.1-2b", "granite-3.0-1b-a400m"])
def test_scaled_embeddings_and_residuals_cost_what_llama_cpp_plans(
    name: str, cpu: Oracle, tmp_path: Path
) -> None:
    spec = load_catalog_model(name, file_type="Q4_K_M")
    scales = {f"{spec.architecture}.{key}_scale": 0.5 for key in ("embedding", "residual")}
    spec = replace(spec, metadata={**spec.metadata, **scales})
    path = tmp_path / "model.gguf"
    write_model(spec, path)
    for settings in ON_CPU:
        outcome = compare(spec, path, cpu, settings)
        assert outcome.error is None
        assert outcome.predicted == outcome.truth, settings
