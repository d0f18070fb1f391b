"""Small models of architectures without a catalog entry: to the byte as llama.cpp planned them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from comparison import outcome
from made_up_plans import GRIDS, MODELS, as_run, recorded

from whatfits.sizing.runtimes.llama_cpp import Bill

if TYPE_CHECKING:
    from pathlib import Path

RECORDED = recorded()
_LEAST_ROWS = 3  # plm fuses no attention: the others are refused


@pytest.mark.parametrize("name", MODELS)
def test_a_made_up_model_takes_what_llama_cpp_planned(name: str, tmp_path: Path) -> None:
    spec = MODELS[name](tmp_path / "model.gguf")
    bill = Bill(spec)
    compared = 0
    for (box, grid), rows in zip(GRIDS, RECORDED[name], strict=True):
        for settings, truth in zip(grid, rows, strict=True):
            if truth is None:
                continue
            found = outcome(spec, bill, box, as_run(spec, settings), truth)
            assert found.predicted == found.truth, (box.gpus, settings)
            compared += 1
    assert compared >= _LEAST_ROWS
