"""What is kept of a model's graphs is taken again only where it is the same under another type."""

from __future__ import annotations

import itertools

import pytest

from whatfits.sizing import load_machine
from whatfits.sizing.graph.buffers import graph_buffers
from whatfits.sizing.graph.index import Replays, TensorIndex
from whatfits.sizing.placement import resolve_placement
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.sources.catalog_model import load_catalog_model
from whatfits.sizing.workload import PlacementRequest, Workload

TYPES = ("F16", "Q8_0", "Q4_K_M")
PLACES = {
    "all on the device": PlacementRequest(),
    "some layers on the host": PlacementRequest(gpu_layers=5),
    "only the cache on the host": PlacementRequest(kv_offload=False),
    "matrices on the host by name": PlacementRequest(overrides=(("ffn_up", "CPU"),)),
    "output on the host by name": PlacementRequest(overrides=((r"^(token_embd|output)\.", "CPU"),)),
}


@pytest.mark.parametrize("model", ["llama-3.2-1b", "qwen2.5-7b"])
@pytest.mark.parametrize("way", PLACES)
def test_replays_of_other_file_types_change_nothing(way: str, model: str) -> None:
    machine = load_machine("rtx-3090 + 64gb")
    shared = Replays()
    for file_type, tokens in itertools.product(TYPES, (512, 16)):
        spec = load_catalog_model(model, file_type=file_type)
        # a row of logits for every token: then an output matrix on the host is copied too
        asked = Workload(context_tokens=4096, micro_batch=tokens, outputs_max=tokens)
        settings = resolve_settings(spec, asked, flash_supported=True)
        placement = resolve_placement(spec, PLACES[way], machine)
        again = graph_buffers(spec, settings, placement, index=TensorIndex(spec, replays=shared))
        assert again == graph_buffers(spec, settings, placement)
