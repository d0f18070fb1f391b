"""Laws over every model of the catalog."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest
from drawn import large_machine

from whatfits.sizing.catalog.lookup import ModelEntry, model_entries
from whatfits.sizing.quants.ggml_types import GGML_TYPES
from whatfits.sizing.ranking.ranker import rank
from whatfits.sizing.sources.catalog_model import load_entry

if TYPE_CHECKING:
    from whatfits.sizing.ranking.rows import RankedModel

ENTRIES = tuple(model_entries())
# Norms and biases are stored wider, never narrower; a rounded count of parameters may be high.
ROUNDING = 0.01
Q4_K_BITS = GGML_TYPES["Q4_K"].bits_per_weight
LOWEST_BITS = {"mxfp4": GGML_TYPES["MXFP4"].bits_per_weight}  # experts stay as they were trained


@cache
def _rows() -> dict[str, RankedModel]:
    rows = rank(ENTRIES, large_machine(), load=load_entry, file_type="Q4_K_M")
    return {row.model: row for row in rows}


def test_nearly_every_model_is_answered_for() -> None:
    missing = {entry.id for entry in ENTRIES} - set(_rows())
    assert len(missing) <= len(ENTRIES) // 20, sorted(missing)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.id)
def test_no_model_needs_less_than_its_own_weights(entry: ModelEntry) -> None:
    row = _rows().get(entry.id)
    if row is None:
        pytest.skip("its shape has holes: nothing is said of it")
    assert row.total_bytes >= row.weights_bytes > 0
    assert row.high_bytes >= row.total_bytes
    if entry.params_total is not None:
        text_only = entry.params_total - (entry.params_vision_audio or 0)
        bits = LOWEST_BITS.get(entry.native_quantisation or "", Q4_K_BITS)
        assert row.weights_bytes * 8 >= text_only * bits * (1 - ROUNDING)
