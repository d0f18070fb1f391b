"""Latent attention (also with an indexer) and delta nets: to the byte as llama.cpp plans them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from comparison import Box, Oracle, asked_for, compare, without_nextn, write_model
from sparse_models import MADE_UP, made_up

from whatfits.bench.run_settings import RunSettings
from whatfits.sizing.graph.buffers import graph_buffers
from whatfits.sizing.sources.catalog_model import load_catalog_model

if TYPE_CHECKING:
    from pathlib import Path

    from whatfits.sizing.model import ModelSpec

pytestmark = pytest.mark.oracle

MODELS = (
    "deepseek-v2-lite",
    "deepseek-v3",
    "glm-4.7-flash",
    "mistral-small-4-119b-2603",
    "qwen3.5-4b",
    "qwen3.5-35b-a3b",
    "qwen3-coder-next",
    "kimi-linear-48b-a3b",
)
ON_CPU = (
    RunSettings(4096, flash_attention="on"),
    RunSettings(4096, flash_attention="off", outputs_max=1),
    RunSettings(8192, flash_attention="off", parallel=4, outputs_max=4),
    RunSettings(8192, flash_attention="on", micro_batch=64),
    RunSettings(8192, flash_attention="on", parallel=4, kv_unified=True),
    RunSettings(8192, flash_attention="on", kv_type_k="q8_0", kv_type_v="q8_0"),
    RunSettings(8192, flash_attention="off", kv_type_k="f32", kv_type_v="f32"),
)
ON_GPU = (
    RunSettings(8192, outputs_max=1),
    RunSettings(8192, gpu_layers=16),
    RunSettings(8192, kv_type_k="q8_0", kv_type_v="q8_0"),
)
ON_TWO_GPUS = (RunSettings(8192), RunSettings(8192, flash_attention="off", gpu_layers=16))


@pytest.fixture(params=[*MODELS, *MADE_UP])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[ModelSpec, Path]:
    path = tmp_path / "model.gguf"
    if request.param in MADE_UP:
        return made_up(request.param, path), path
    spec = without_nextn(load_catalog_model(request.param, file_type="Q4_K_M"))
    write_model(spec, path)
    return spec, path


def test_a_model_takes_what_llama_cpp_plans(
    model: tuple[ModelSpec, Path], cpu: Oracle, gpu: Oracle, gpus: Oracle
) -> None:
    for oracle, grid in ((cpu, ON_CPU), (gpu, ON_GPU), (gpus, ON_TWO_GPUS)):
        for settings in grid:
            outcome = compare(*model, oracle, settings)
            assert outcome.error is None
            assert outcome.predicted == outcome.truth, settings


def test_decisive_layers_say_as_much_as_all(model: tuple[ModelSpec, Path]) -> None:
    spec, _ = model
    for box, grid in ((Box(0), ON_CPU[:3]), (Box(1), ON_GPU), (Box(2), ON_TWO_GPUS)):
        for settings in grid:
            resolved, placement = asked_for(spec, box, settings)
            reduced = graph_buffers(spec, resolved, placement)
            assert reduced is not None
            assert reduced == graph_buffers(spec, resolved, placement, whole=True), settings
