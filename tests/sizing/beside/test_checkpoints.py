"""What a server saves of a slot's past, against the size llama.cpp itself gives the state."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.growth import checkpoint_bytes, growth_of
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.units import MIB
from whatfits.sizing.workload import Workload

if TYPE_CHECKING:
    from pathlib import Path

    from whatfits.sizing.model import ModelSpec

CONTEXT = 2048
PARTIAL = 1  # LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY
CASES: dict[str, dict[str, Any]] = {
    "one slot": {},
    "two slots": {"parallel": 2},
    "two slots in one cache": {"parallel": 2, "kv_unified": True},
    "values transposed": {"flash_attention": "off"},
    "quantised cache": {"kv_type_k": "q8_0", "kv_type_v": "q4_0"},
}


@pytest.mark.oracle
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", ["window_model", "recurrent_model"])
def test_a_checkpoint_is_as_large_as_the_state_llama_cpp_saves(
    case: str, kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    from comparison import write_model

    from whatfits.bench.llama_cpp import running
    from whatfits.bench.llama_library import backend
    from whatfits.bench.run_settings import RunSettings

    spec: ModelSpec = request.getfixturevalue(kind)
    path = tmp_path / "model.gguf"
    write_model(spec, path)
    run_settings = RunSettings(
        context_tokens=CONTEXT, batch=512, micro_batch=128, swa_full=False, **CASES[case]
    )
    with running(path, run_settings, real=True) as run:
        for _ in range(3):  # beyond the window
            run.decode(128)
        truth = backend().llama_state_seq_get_size_ext(run._context, 0, PARTIAL)
    settings = resolve_settings(
        spec, Workload(context_tokens=CONTEXT, batch=512, micro_batch=128, **CASES[case])
    )
    assert checkpoint_bytes(spec, settings) == truth


def test_models_that_can_step_back_make_no_checkpoints(plain_model: ModelSpec) -> None:
    settings = resolve_settings(plain_model, Workload())
    assert checkpoint_bytes(plain_model, settings) == 0
    growth = growth_of(plain_model, settings, Workload())
    assert growth.limit_bytes == 8192 * MIB


def test_a_full_window_cache_needs_no_checkpoints(window_model: ModelSpec) -> None:
    full = Workload(swa_full=True)
    assert checkpoint_bytes(window_model, resolve_settings(window_model, full)) == 0


def test_checkpoints_grow_by_slot_and_by_number(window_model: ModelSpec) -> None:
    workload = Workload(parallel=4, ctx_checkpoints=8, cache_ram_mib=0)
    settings = resolve_settings(window_model, workload)
    growth = growth_of(window_model, settings, workload)
    assert growth.limit_bytes == 4 * 8 * checkpoint_bytes(window_model, settings)


def test_a_checkpoint_holds_the_draft_models_state_too(
    window_model: ModelSpec, plain_model: ModelSpec
) -> None:
    workload = Workload(cache_ram_mib=0, ctx_checkpoints=1)
    settings = resolve_settings(window_model, workload)
    alone = growth_of(window_model, settings, workload)
    beside = growth_of(window_model, settings, workload, draft=plain_model)
    row = sum(2 * 2 * layer.n_head_kv * layer.key_length for layer in plain_model.layers)
    assert beside.checkpoint_bytes - alone.checkpoint_bytes > settings.sequence_tokens * row


def test_a_library_and_an_encoder_keep_nothing(window_model: ModelSpec) -> None:
    settings = resolve_settings(window_model, Workload())
    assert growth_of(window_model, settings, Workload(program="api")).limit_bytes == 0
    encoder = replace(window_model, hparams=replace(window_model.hparams, causal=False))
    assert growth_of(encoder, settings, Workload()).limit_bytes == 0


@pytest.mark.parametrize("field", ["cache_ram_mib", "ctx_checkpoints"])
def test_a_limit_below_zero_is_refused(plain_model: ModelSpec, field: str) -> None:
    workload = Workload(**{field: -1})
    with pytest.raises(InvalidRequestError, match=field):
        growth_of(plain_model, resolve_settings(plain_model, workload), workload)
