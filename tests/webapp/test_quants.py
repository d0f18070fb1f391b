"""Quantisations on the page are those that the chosen runtime loads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from whatfits.sizing.headline import headline
from whatfits.sizing.quants.default_type import LADDER
from whatfits.sizing.runtimes.mlx_types import USUAL_TYPES, find_mlx_type
from whatfits.sizing.runtimes.vllm_file_types import CHECKPOINT_TYPES, find_checkpoint_type
from whatfits.webapp.engine import answered
from whatfits.webapp.input_list import AUTO, input_of, quants_of
from whatfits.webapp.state import question_of, remedy_state
from whatfits.webapp.words import inert

if TYPE_CHECKING:
    from collections.abc import Callable


def test_each_is_what_its_runtime_calls_it() -> None:
    assert quants_of("vllm") == (AUTO, *map(find_checkpoint_type, CHECKPOINT_TYPES))
    assert quants_of("mlx") == (AUTO, *(find_mlx_type(name).name for name in USUAL_TYPES))
    for runtime in ("llama.cpp", "ollama", "lm-studio", "jan"):
        assert quants_of(runtime) == (AUTO, *LADDER)
    every = {one for runtime in ("llama.cpp", "vllm", "mlx") for one in quants_of(runtime)}
    assert every == set(input_of("quant").allowed)


def test_a_remedy_of_vllm_can_be_chosen() -> None:
    asked = {"model": "qwen3-14b", "machine": "rtx-4090", "runtime": "vllm"}
    remedies = answered(question_of(asked)).remedies
    states = [remedy_state(remedy.change) for remedy in remedies]
    assert {"quant": "fp8"} in states
    assert answered(question_of({**asked, "quant": "fp8"})).verdict == "fits"


@pytest.mark.parametrize(
    ("runtime", "machine", "quant"),
    [("vllm", "rtx-4090", "fp8"), ("mlx", "m4-max-40-core-gpu 64gb", "8bit")],
)
def test_a_link_with_a_quantisation_of_its_runtime_shows_its_answer(
    page: Callable[..., Any], runtime: str, machine: str, quant: str
) -> None:
    asked = {"model": "llama-3.1-8b", "machine": machine, "runtime": runtime, "quant": quant}
    app = page(**asked)
    field = app.selectbox(key="quant")
    assert field.value == quant
    assert tuple(field.options) == quants_of(runtime)
    assert app.success[0].value == f"**{inert(headline(answered(question_of(asked))))}**"


def test_what_another_runtime_cannot_load_is_said_and_stays_to_be_seen(
    page: Callable[..., Any],
) -> None:
    app = page(model="llama-3.1-8b", machine="rtx-4090", quant="Q5_K_M")
    app.selectbox(key="runtime").set_value("vllm").run()
    assert app.selectbox(key="quant").value == "Q5_K_M"
    (error,) = app.error
    assert "take awq for 4 bits" in error.value
    app.selectbox(key="quant").set_value("awq").run()
    assert not app.error
    assert tuple(app.selectbox(key="quant").options) == quants_of("vllm")
