"""Sparse, lightning and delta attention beside compressed pasts: to the byte, from whole files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from comparison import Box, Oracle, asked_for, compare

from whatfits.bench.run_settings import RunSettings
from whatfits.bench.synthetic import write_catalog_model
from whatfits.sizing.graph.buffers import graph_buffers

if TYPE_CHECKING:
    from pathlib import Path

    from whatfits.sizing.model import ModelSpec

pytestmark = pytest.mark.oracle

MODELS = (
    "deepseek-v4-flash",
    "deepseek-v4-pro",
    "glm-5.3-flash",
    "kimi-k3",
    "ling-3.0-flash",
    "minimax-m1",
    "minimax-m3",
)
ON_CPU = (
    RunSettings(4096, flash_attention="on"),
    RunSettings(4096, flash_attention="off", outputs_max=1),
    RunSettings(8192, flash_attention="off", parallel=4, outputs_max=4),
    RunSettings(8192, flash_attention="on", parallel=4, kv_unified=True),
    RunSettings(8192, flash_attention="on", kv_type_k="q8_0", kv_type_v="q8_0"),
    RunSettings(8192, flash_attention="on", micro_batch=16),
)
ON_GPU = (RunSettings(8192, outputs_max=1), RunSettings(8192, gpu_layers=16))
ON_TWO_GPUS = (RunSettings(8192),)


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[ModelSpec, Path]:
    path = tmp_path / "model.gguf"
    return write_catalog_model(path, request.param, file_type="Q4_K_M"), path


def test_a_whole_file_takes_what_llama_cpp_plans(
    model: tuple[ModelSpec, Path], cpu: Oracle, gpu: Oracle, gpus: Oracle
) -> None:
    for oracle, grid in ((cpu, ON_CPU), (gpu, ON_GPU), (gpus, ON_TWO_GPUS)):
        for settings in grid:
            outcome = compare(*model, oracle, settings)
            assert outcome.error is None
            assert outcome.predicted == outcome.truth, settings


def test_decisive_layers_say_as_much_as_all(model: tuple[ModelSpec, Path]) -> None:
    spec, _ = model
    for box, grid in ((Box(0), ON_CPU[:3]), (Box(1), ON_GPU)):
        for settings in grid:
            asked = asked_for(spec, box, settings)
            assert graph_buffers(spec, *asked) == graph_buffers(spec, *asked, whole=True), settings
