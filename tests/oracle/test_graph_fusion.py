"""Whether attention stays fused when llama.cpp may choose: to the byte as it plans."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from comparison import Box, Oracle, asked_for, compare, without_nextn, write_model
from fusion_cases import GIVEN_UP, KEPT

from whatfits.sizing.graph.buffers import graph_buffers
from whatfits.sizing.sources.catalog_model import load_catalog_model

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.oracle


@pytest.mark.parametrize("case", [*KEPT, *GIVEN_UP])
def test_attention_is_fused_where_llama_cpp_keeps_it_so(case: str, tmp_path: Path) -> None:
    model, settings = (KEPT | GIVEN_UP)[case]
    spec = without_nextn(load_catalog_model(model, file_type="Q4_K_M"))
    path = tmp_path / "model.gguf"
    write_model(spec, path)
    box = Box(1)
    with Oracle(box) as oracle:
        outcome = compare(spec, path, oracle, settings)
    assert outcome.error is None
    assert outcome.predicted == outcome.truth
    resolved, placement = asked_for(spec, box, settings)
    fused = asked_for(spec, box, replace(settings, flash_attention="on"))
    kept = graph_buffers(spec, resolved, placement) == graph_buffers(spec, *fused)
    assert kept == (case in KEPT)
