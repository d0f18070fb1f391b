"""A fixed part of the accuracy record, asked of llama.cpp and loaded again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from comparison import Oracle, columns
from loads import MODELS, SETTINGS, beside
from recorded_plans import OFFLOAD, SUITE, read

from whatfits.bench.loads import load_for_real
from whatfits.bench.synthetic import write_catalog_model
from whatfits.sizing.api import load_machine

if TYPE_CHECKING:
    from pathlib import Path

    from recorded_plans import PlanGroup

pytestmark = [pytest.mark.oracle, pytest.mark.slow]

AGAIN = [*read(SUITE)[::13], *read(OFFLOAD)[::43]]
PLANS_EACH = 4


@pytest.mark.parametrize(
    "group", AGAIN, ids=[f"{group.box.gpus} GPUs, {group.shape.model}" for group in AGAIN]
)
def test_llama_cpp_plans_what_is_recorded(group: PlanGroup, tmp_path: Path) -> None:
    path = tmp_path / "synthetic.gguf"
    write_catalog_model(path, group.shape.model, file_type=group.shape.file_type)
    with Oracle(group.box) as oracle:
        for plan in group.plans[::PLANS_EACH]:
            said = oracle.ask(path, plan.settings)
            truth = columns(said["buffers"], group.box.gpus) if "buffers" in said else ()
            assert truth == plan.truth, plan.settings


@pytest.mark.parametrize("way", SETTINGS)
def test_a_load_takes_what_is_predicted_here_too(way: str, tmp_path: Path) -> None:
    model, file_type = MODELS[1]
    path = tmp_path / "synthetic.gguf"
    write_catalog_model(path, model, file_type=file_type)
    outcome = load_for_real(path, SETTINGS[way])
    assert outcome.kind == "measured", outcome.reason
    load = beside(
        model,
        file_type,
        way,
        box=load_machine(None),
        loaded=outcome.loaded,
        decoded=outcome.decoded,
    )
    assert load.error == pytest.approx(0, abs=0.03)
