"""Models with recurrent states, alone or beside attention: to the byte as llama.cpp plans them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from comparison import Box, Oracle, compare, without_nextn, write_model
from state_models import MADE_UP, made_up

from whatfits.bench.requests import placement_request, workload
from whatfits.bench.run_settings import RunSettings
from whatfits.sizing.graph.buffers import graph_buffers
from whatfits.sizing.placement import resolve_placement
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.sources.catalog_model import load_catalog_model

if TYPE_CHECKING:
    from pathlib import Path

    from whatfits.sizing.model import ModelSpec

pytestmark = pytest.mark.oracle

CATALOG = (
    "falcon-mamba-7b",
    "mamba2-2.7b",
    "jamba-1.5-mini",
    "granite-4.0-h-350m",
    "granite-4.0-h-tiny",
    "nemotron-h-4b-base-8k",
    "nemotron-3-nano-30b-a3b",
    "nemotron-3-super-120b-a12b",
    "falcon-h1-0.5b",
    "lfm2-350m",
    "lfm2-8b-a1b",
    "rwkv7-0.4b-world",
)
ON_CPU = (
    RunSettings(4096, flash_attention="on"),
    RunSettings(4096, flash_attention="off", outputs_max=1),
    RunSettings(8192, flash_attention="off", parallel=3, outputs_max=3),
    RunSettings(8192, flash_attention="on", micro_batch=64),
    RunSettings(8192, flash_attention="on", parallel=4, kv_unified=True),
    RunSettings(8192, flash_attention="on", kv_type_k="f32", kv_type_v="f32"),
)
ON_GPU = (
    RunSettings(8192, outputs_max=1),
    RunSettings(8192, gpu_layers=8),
    RunSettings(8192, kv_offload=False),
    RunSettings(8192, gpu_layers=7, micro_batch=16),
)
ON_TWO_GPUS = (RunSettings(8192), RunSettings(8192, outputs_max=2, parallel=2))


@pytest.fixture(params=[*CATALOG, *MADE_UP])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[ModelSpec, Path]:
    path = tmp_path / "model.gguf"
    if request.param in MADE_UP:
        return made_up(request.param, path), path
    spec = load_catalog_model(request.param, file_type="Q4_K_M")
    write_model(spec, path)
    return without_nextn(spec), path


def test_a_model_with_states_takes_what_llama_cpp_plans(
    model: tuple[ModelSpec, Path], cpu: Oracle, gpu: Oracle, gpus: Oracle
) -> None:
    for oracle, grid in ((cpu, ON_CPU), (gpu, ON_GPU), (gpus, ON_TWO_GPUS)):
        for settings in grid:
            outcome = compare(*model, oracle, settings)
            assert outcome.error is None
            assert outcome.predicted == outcome.truth, settings


def test_decisive_layers_of_states_say_as_much_as_all(model: tuple[ModelSpec, Path]) -> None:
    spec, _ = model
    for box, grid in ((Box(0), ON_CPU[2:3]), (Box(1), ON_GPU), (Box(2), ON_TWO_GPUS)):
        for settings in grid:
            resolved = resolve_settings(spec, workload(settings))
            placement = resolve_placement(spec, placement_request(settings), box.machine)
            reduced = graph_buffers(spec, resolved, placement)
            assert reduced == graph_buffers(spec, resolved, placement, whole=True), settings
