"""Whether attention stays fused when llama.cpp may choose: to the byte as it plans."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from comparison import Box, Oracle, asked_for, compare, without_nextn, write_model

from whatfits.bench.run_settings import RunSettings
from whatfits.sizing.graph.buffers import graph_buffers
from whatfits.sizing.sources.catalog_model import load_catalog_model

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.oracle

KEPT = {
    "few sequences": ("llama-3.2-1b", RunSettings(8192, gpu_layers=8, parallel=8)),
    "all layers on the device": ("llama-3.2-1b", RunSettings(65536, parallel=32)),
    "caches of other layers, one device": ("gemma-4-e2b", RunSettings(8192, parallel=4)),
    "cache on the host": ("llama-3.2-1b", RunSettings(8192, gpu_layers=8, kv_offload=False)),
    "output matrix on the host": ("llama-3.2-1b", RunSettings(8192, host_overrides=("attn_out",))),
}
GIVEN_UP = {
    "many sequences": ("llama-3.2-1b", RunSettings(65536, gpu_layers=8, parallel=32)),
    "caches of other layers": ("gemma-4-e2b", RunSettings(8192, gpu_layers=17, parallel=4)),
    "cache and output matrix on the host": (
        "llama-3.2-1b",
        RunSettings(8192, host_overrides=("attn_out",), kv_offload=False),
    ),
}


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
