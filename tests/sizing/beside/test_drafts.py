"""Speculative decoding: the second context, and what it changes in the first."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from whatfits.sizing.api import answer, load_model
from whatfits.sizing.beside import Beside
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.extras import Extras
from whatfits.sizing.model import FullAttention, SlidingWindow
from whatfits.sizing.placement import resolve_placement
from whatfits.sizing.runtimes.llama_cpp import Bill
from whatfits.sizing.runtimes.model_shares import ModelShares
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.speculation import prediction_layer
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from pathlib import Path

    from whatfits.sizing.estimate import Memory
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec

CONTEXT = 8192
PREDICTING = (
    "qwen3.5-9b",
    "qwen3.5-35b-a3b",
    "glm-4.5-air",
    "nemotron-3.5-lightning-30b-a3b",
)
PLACED: dict[str, dict[str, Any]] = {
    "all layers": {},
    "five layers": {"gpu_layers": 5},
    "four sequences": {"parallel": 4},
    "uneven shares": {"tensor_split": (3.0, 1.0)},
}
WAYS: dict[str, dict[str, Any]] = {
    "one sequence": {},
    "two, without flash attention": {"parallel": 2, "flash_attention": "off"},
    "eight sequences": {"parallel": 8, "context_tokens": 32768},
    "a small micro-batch": {"micro_batch": 64},
    "sixteen tokens ahead": {"parallel": 4, "micro_batch": 128, "drafted": 16},
}


def _memory(model: ModelSpec, workload: Workload, machine: Machine, extras: Extras) -> Memory:
    settings = resolve_settings(model, workload)
    placement = resolve_placement(model, PlacementRequest(mmap=False), machine)
    beside = Beside(model, workload, PlacementRequest(mmap=False), extras)
    return Bill(model, beside).memory(settings, placement, machine, is_server=True)


@pytest.mark.oracle
@pytest.mark.parametrize("parallel", [1, 3])
def test_a_draft_model_takes_what_llama_cpp_plans_for_its_context(
    parallel: int,
    window_model: ModelSpec,
    recurrent_model: ModelSpec,
    host_box: Machine,
    tmp_path: Path,
) -> None:
    from comparison import write_model

    from whatfits.bench.llama_cpp import dry_run

    path = tmp_path / "draft.gguf"
    write_model(window_model, path)
    workload = Workload(
        context_tokens=5000, parallel=parallel, model_draft="d", kv_type_k_draft="q8_0"
    )
    extras = Extras(draft=window_model)
    (part,) = _memory(recurrent_model, workload, host_box, extras).parts
    truth = dry_run(
        path,
        context_tokens=resolve_settings(recurrent_model, workload).context_tokens,
        parallel=parallel,
        kv_type_k="q8_0",
        swa_full=False,
        outputs_max=parallel,
    )
    assert part.kind == "draft"
    assert part.weights_bytes == truth.model
    assert part.kv_cache_bytes == truth.context
    assert part.compute_bytes == truth.compute
    assert part.output_bytes == 4 * window_model.hparams.n_vocab * parallel


@pytest.mark.oracle
@pytest.mark.parametrize("gpus", [1, 2])
def test_a_draft_lies_on_accelerators_as_llama_cpp_places_it(gpus: int, tmp_path: Path) -> None:
    from comparison import Box, Oracle, columns, write_model

    from whatfits.bench.run_settings import RunSettings

    main, draft = load_model("llama-3.1-8b"), load_model("llama-3.2-1b")
    path = tmp_path / "draft.gguf"
    write_model(draft, path)
    box = Box(gpus=gpus)
    with Oracle(box) as oracle:
        for name, way in PLACED.items():
            parallel, split = way.get("parallel", 1), way.get("tensor_split") if gpus > 1 else None
            workload = Workload(context_tokens=CONTEXT, parallel=parallel, model_draft="d")
            request = PlacementRequest(
                mmap=False, gpu_layers_draft=way.get("gpu_layers"), tensor_split=split
            )
            settings = resolve_settings(main, workload)
            placement = resolve_placement(main, request, box.machine)
            beside = Beside(main, workload, request, Extras(draft=draft))
            own = ModelShares(main)
            taken = own.of(settings, placement, own.weights(placement))
            (part,) = beside.parts(settings, placement, box.machine, taken)
            said = oracle.ask(
                path,
                RunSettings(
                    context_tokens=CONTEXT,
                    parallel=parallel,
                    swa_full=False,
                    outputs_max=parallel,
                    gpu_layers=way.get("gpu_layers", -1),
                    tensor_split=split or (),
                ),
            )
            got = [(s.weights_bytes, s.kv_cache_bytes, s.compute_bytes) for s in part.shares]
            truth = [(c.weights, c.cache, c.compute) for c in columns(said["buffers"], gpus)]
            assert got == truth, name


@pytest.mark.oracle
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", PREDICTING)
def test_prediction_layers_take_what_llama_cpp_plans(
    name: str, way: str, host_box: Machine, tmp_path: Path
) -> None:
    from prediction_layers import plan_both

    model = load_model(name)
    wanted = {"context_tokens": CONTEXT, **WAYS[way]}
    drafted = wanted.pop("drafted", 3)
    workload = Workload(spec_type="draft-mtp", spec_draft_n_max=drafted, **wanted)
    memory = _memory(model, workload, host_box, Extras())
    main, extra = plan_both(model, tmp_path / "model.gguf", drafted=drafted, **wanted)
    (part,) = memory.parts
    assert part.kind == "mtp"
    assert memory.weights_bytes == main.model
    assert memory.kv_cache_bytes == main.context + extra.context
    grown = main.compute - (memory.compute_bytes - part.compute_bytes)
    assert grown >= 0
    truth = part.weights_bytes + extra.context + extra.compute + grown + part.output_bytes
    assert part.low_bytes <= truth <= part.high_bytes


def test_drafts_raise_the_rows_of_logits(plain_model: ModelSpec) -> None:
    alone = resolve_settings(plain_model, Workload(parallel=2))
    beside = resolve_settings(plain_model, Workload(parallel=2, model_draft="d"))
    longer = resolve_settings(
        plain_model, Workload(parallel=2, model_draft="d", spec_draft_n_max=7)
    )
    assert (alone.output_rows, beside.output_rows, longer.output_rows) == (2, 8, 16)


def test_the_command_names_the_kind_of_draft(gpu_box: Machine) -> None:
    workload = Workload(model_draft="llama-3.2-1b", spec_draft_n_max=8)
    plan = answer(
        load_model("llama-3.1-8b"), machine=gpu_box, workload=workload, request=PlacementRequest()
    )
    (command,) = plan.commands["llama.cpp"]
    assert "--spec-type draft-simple --spec-draft-n-max 8" in command
    assert "-md llama-3.2-1b-Q4_K_M.gguf" in command
    assert [part.kind for part in plan.memory.parts] == ["draft"]
    assert plan.workload.spec_type == "draft-simple"


def test_a_draft_may_stay_on_the_host(gpu_box: Machine, plain_model: ModelSpec) -> None:
    workload = Workload(model_draft="d")
    request = PlacementRequest(gpu_layers_draft=0)
    placement = resolve_placement(plain_model, request, gpu_box)
    settings = resolve_settings(plain_model, workload)
    beside = Beside(plain_model, workload, request, Extras(draft=plain_model))
    bare = Bill(plain_model).memory(settings, placement, gpu_box, is_server=True)
    both = Bill(plain_model, beside).memory(settings, placement, gpu_box, is_server=True)
    added = [
        a.weights_bytes - b.weights_bytes for a, b in zip(both.devices, bare.devices, strict=True)
    ]
    assert added[:2] == [0, 0]
    assert added[2] == plain_model.tensor_bytes


def test_a_mapped_draft_adds_its_own_pages(host_box: Machine, window_model: ModelSpec) -> None:
    workload, request = Workload(model_draft="d"), PlacementRequest(mmap=True)
    placement = resolve_placement(window_model, request, host_box)
    settings = resolve_settings(window_model, workload)
    beside = Beside(window_model, workload, request, Extras(draft=window_model))
    bare = Bill(window_model).memory(settings, placement, host_box, is_server=True)
    both = Bill(window_model, beside).memory(settings, placement, host_box, is_server=True)
    assert both.mapped_bytes == 2 * bare.mapped_bytes > 0


def test_rows_add_up_with_a_draft(gpu_box: Machine, plain_model: ModelSpec) -> None:
    memory = _memory(plain_model, Workload(model_draft="d"), gpu_box, Extras(draft=plain_model))
    for column in ("weights_bytes", "kv_cache_bytes", "total_bytes", "high_bytes"):
        assert getattr(memory, column) == sum(getattr(row, column) for row in memory.devices)


@pytest.mark.parametrize(
    "workload",
    [
        Workload(spec_type="draft-simple"),
        Workload(spec_type="draft-mtp", model_draft="d"),
        Workload(model_draft="d", spec_draft_n_max=-1),
    ],
)
def test_kinds_that_do_not_go_together_are_refused(
    workload: Workload, plain_model: ModelSpec
) -> None:
    with pytest.raises(InvalidRequestError, match="spec_"):
        resolve_settings(plain_model, workload)


def test_a_model_without_prediction_layers_cannot_draft_with_them(plain_model: ModelSpec) -> None:
    workload = Workload(spec_type="draft-mtp")
    with pytest.raises(InvalidRequestError, match="give a draft model instead"):
        Beside(replace(plain_model), workload)


def test_a_prediction_layer_attends_to_all_tokens_though_the_last_layer_has_a_window() -> None:
    model = load_model("llama-3.2-1b")
    windowed = replace(
        model,
        layers=tuple(
            replace(layer, attention=SlidingWindow(512, 512, 128)) for layer in model.layers
        ),
    )
    assert prediction_layer(windowed).attention == FullAttention(512, 512)
    assert prediction_layer(model).attention == model.layers[-1].attention
