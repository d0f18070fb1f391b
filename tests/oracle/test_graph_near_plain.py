"""Decoders a step away from the plain ones, and encoders: to the byte as llama.cpp plans them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from cacheless_recipes import CACHELESS
from comparison import Box, Oracle, asked_for, compare, without_nextn, write_model
from made_up import made_up
from recipes import RECIPES, UNFUSED

from whatfits.bench.run_settings import RunSettings
from whatfits.bench.synthetic import write_catalog_model
from whatfits.sizing.graph.buffers import graph_buffers
from whatfits.sizing.sources.catalog_model import load_catalog_model

if TYPE_CHECKING:
    from pathlib import Path

    from whatfits.sizing.model import ModelSpec

pytestmark = pytest.mark.oracle

CATALOG = (
    "glm-4-9b",
    "glm-4-9b-0414",
    "glm-4.5-air",
    "falcon-7b",
    "falcon-40b",
    "starcoder2-3b",
    "stablelm-2-1.6b",
    "nemotron-mini-4b",
    "minimax-m2",
    "qwen2.5-vl-3b",
    "qwen3-vl-2b",
    "qwen3-vl-30b-a3b",
    "mistral-small-3.2-24b-2506",
    "ministral-3-3b-2512",
    "smollm3-3b",
    "internlm2.5-7b",
    "baichuan2-7b",
    "baichuan2-13b",
    "seed-oss-36b",
    "bitnet-b1.58-2b",
    "hy3-preview",
    "laguna-xs.2",
    "mellum2-12b-a2.5b",
    "muse-glimmer-30b",
)
# Parts of the blocks that predict further are loaded: their files are written whole.
WHOLE = ("step-3.7-flash",)
ENCODERS = ("bge-small-en-v1.5", "nomic-embed-text-v1.5")
NO_POOLING, MEAN, FIRST, LAST = range(4)
ON_CPU = (
    RunSettings(4096, flash_attention="on"),
    RunSettings(4096, flash_attention="off", outputs_max=1),
    RunSettings(8192, flash_attention="off", parallel=3, outputs_max=3),
    RunSettings(8192, flash_attention="on", micro_batch=64),
    RunSettings(8192, flash_attention="on", parallel=4, kv_unified=True, swa_full=False),
    RunSettings(8192, flash_attention="on", kv_type_k="f32", kv_type_v="f32"),
    RunSettings(8192, flash_attention="on", kv_type_k="q8_0", kv_type_v="q8_0"),
)
# a mean needs the row of every token
EVERY_ROW = tuple(replace(settings, parallel=1, outputs_max=0) for settings in ON_CPU)
ON_GPU = (
    RunSettings(8192, outputs_max=1),
    RunSettings(8192, gpu_layers=3, flash_attention="off"),
    RunSettings(8192, host_overrides=("ffn_(up|gate|down)",)),
)


@pytest.fixture(params=[*CATALOG, *WHOLE, *RECIPES])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[ModelSpec, Path]:
    path = tmp_path / "model.gguf"
    if request.param in RECIPES:
        recipe, size = RECIPES[request.param]
        return made_up(request.param, recipe, path, size), path
    if request.param in WHOLE:
        return write_catalog_model(path, request.param, file_type="Q4_K_M"), path
    spec = without_nextn(load_catalog_model(request.param, file_type="Q4_K_M"))
    write_model(spec, path)
    return spec, path


def assert_exact(
    spec: ModelSpec, path: Path, oracle: Oracle, grid: tuple[RunSettings, ...]
) -> None:
    for settings in grid:
        outcome = compare(spec, path, oracle, settings)
        assert outcome.error is None
        assert outcome.predicted == outcome.truth, settings


def unfused(grid: tuple[RunSettings, ...]) -> tuple[RunSettings, ...]:
    return tuple(replace(settings, flash_attention="off") for settings in grid)


def test_a_decoder_takes_what_llama_cpp_plans(
    model: tuple[ModelSpec, Path], cpu: Oracle, gpu: Oracle
) -> None:
    assert_exact(*model, cpu, ON_CPU)
    assert_exact(*model, gpu, ON_GPU)


def test_decisive_layers_say_as_much_as_all(model: tuple[ModelSpec, Path]) -> None:
    spec, _ = model
    for box, grid in ((Box(0), ON_CPU[4:]), (Box(1), ON_GPU[1:]), (Box(2), ON_GPU[:1])):
        for settings in grid:
            asked = asked_for(spec, box, settings)
            assert graph_buffers(spec, *asked) == graph_buffers(spec, *asked, whole=True), settings


@pytest.mark.parametrize("name", UNFUSED)
def test_a_model_without_fused_attention_takes_what_llama_cpp_plans(
    name: str, cpu: Oracle, gpu: Oracle, tmp_path: Path
) -> None:
    path = tmp_path / "model.gguf"
    recipe, size = UNFUSED[name]
    spec = made_up(name, recipe, path, size)
    # quantised values need fused attention
    assert_exact(spec, path, cpu, unfused(ON_CPU[:-1]))
    assert_exact(spec, path, gpu, unfused(ON_GPU))


@pytest.mark.parametrize("name", CACHELESS)
def test_a_model_without_a_cache_takes_what_llama_cpp_plans(
    name: str, cpu: Oracle, gpu: Oracle, tmp_path: Path
) -> None:
    recipe, size = CACHELESS[name]
    path = tmp_path / "model.gguf"
    spec = made_up(name, recipe, path, size)
    assert_exact(spec, path, cpu, EVERY_ROW)
    assert_exact(spec, path, gpu, (RunSettings(8192), RunSettings(8192, gpu_layers=3)))


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("pooling", [NO_POOLING, MEAN, FIRST, LAST])
def test_an_encoder_takes_what_llama_cpp_plans(
    name: str, pooling: int, cpu: Oracle, gpu: Oracle, tmp_path: Path
) -> None:
    spec = load_catalog_model(name, file_type="F16")
    key = f"{spec.architecture}.pooling_type"
    spec = replace(spec, metadata={**spec.metadata, key: pooling})
    path = tmp_path / "model.gguf"
    write_model(spec, path)
    assert_exact(spec, path, cpu, EVERY_ROW)
    assert_exact(spec, path, gpu, (RunSettings(8192), RunSettings(8192, gpu_layers=3)))


@pytest.mark.parametrize("pooling", [MEAN, LAST])
def test_a_decoder_that_embeds_takes_what_llama_cpp_plans(
    pooling: int, cpu: Oracle, gpu: Oracle, tmp_path: Path
) -> None:
    spec = load_catalog_model("qwen3-embedding-0.6b", file_type="F16")
    key = f"{spec.architecture}.pooling_type"
    assert spec.metadata[key] == LAST
    spec = replace(spec, metadata={**spec.metadata, key: pooling})
    path = tmp_path / "model.gguf"
    write_model(spec, path)
    assert_exact(spec, path, cpu, EVERY_ROW)
    assert_exact(spec, path, gpu, (RunSettings(8192), RunSettings(8192, gpu_layers=3)))
