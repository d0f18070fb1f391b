"""Attention stays fused, or is given up, where llama.cpp does so: its own answers, as a table."""

from __future__ import annotations

from dataclasses import replace

import pytest
from comparison import Box, asked_for
from fusion_cases import GIVEN_UP, KEPT

from whatfits.sizing.graph.buffers import graph_buffers
from whatfits.sizing.sources.catalog_model import load_catalog_model


@pytest.mark.parametrize("case", [*KEPT, *GIVEN_UP])
def test_attention_is_as_fused_as_llama_cpp_has_it(case: str) -> None:
    model, settings = (KEPT | GIVEN_UP)[case]
    spec, box = load_catalog_model(model, file_type="Q4_K_M"), Box(1)
    found, fused, plain = (
        graph_buffers(spec, *asked_for(spec, box, replace(settings, flash_attention=flash)))
        for flash in ("auto", "on", "off")
    )
    assert fused != plain
    assert found != (plain if case in KEPT else fused)
    if case in KEPT:
        assert found == fused
