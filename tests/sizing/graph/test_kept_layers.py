"""How few layers answer for a model, and that they answer what all of them do.

An answer comes from the layers that are replayed; that more of them than it takes are would be
seen by nobody but in the time. The numbers are those of the smallest model of each architecture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from whatfits.bench.suite import smallest_shapes
from whatfits.sizing.catalog.machines import machine_expression
from whatfits.sizing.graph import buffers
from whatfits.sizing.placement import resolve_placement
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.sources.catalog_model import load_catalog_model
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whatfits.bench.suite import CatalogShape
    from whatfits.sizing.graph.context import GraphContext
    from whatfits.sizing.graph.scheduler import Backends

SHAPES: Final = smallest_shapes()
MACHINES: Final = ("64gb", "rtx-3090 + 64gb", "2x rtx-3090 + 64gb")
# three equal layers tell what the others do; on two cards four of each, as a card's first differs
PLAIN: Final = (3, 3, 8)
KEPT: Final = {
    "afmoe": (12, 12, 24),
    "bailingmoe2": (4, 4, 9),
    "bailingmoe3": (18, 18, 30),
    "bert": (6, 6, 6),
    "cohere2": (8, 8, 20),
    "deci": (47, 47, 50),
    "deepseek2": (4, 4, 9),
    "deepseek32": (6, 6, 11),
    "deepseek4": (7, 7, 17),
    "dots1": (4, 4, 9),
    "ernie4_5-moe": (4, 4, 9),
    "exaone4": (3, 4, 8),  # the smallest has no windows
    "falcon-h1": (3, 4, 8),
    "gemma2": (4, 4, 12),
    "gemma-embedding": (12, 12, 24),
    "gemma3": (12, 12, 18),
    "gemma3n": (30, 30, 30),
    "gemma4": (25, 25, 30),
    "glm-dsa": (18, 18, 30),
    "glm5-next": (13, 13, 21),
    "gpt-oss": (4, 4, 14),
    "granitehybrid": (19, 19, 21),
    "hy_v3": (4, 4, 9),
    "jamba": (16, 16, 32),
    "kimi-k3": (93, 93, 93),
    "kimi-linear": (11, 11, 19),
    "laguna": (12, 12, 20),
    "lfm2": (13, 13, 16),
    "lfm2moe": (16, 16, 24),
    "llama4": (8, 8, 20),
    "mamba": (3, 3, 12),
    "mimo2": (18, 18, 30),
    "minimax-01": (16, 16, 40),
    "minimax-m3": (7, 7, 11),
    "mistral4": (3, 8, 12),  # experts on devices are copied to the host: their types count
    "muse-glimmer": (8, 8, 20),
    "nemotron_h": (28, 28, 46),
    "nemotron_h_moe": (27, 27, 45),
    "nomic-bert": (4, 4, 12),
    "olmo2": (3, 4, 8),  # likewise
    "qwen35": (8, 8, 20),
    "qwen35moe": (8, 8, 20),
    "qwen3next": (8, 8, 20),
    "qwen3vl": (6, 6, 11),
    "qwen3vlmoe": (6, 6, 11),
    "rwkv7": (4, 4, 9),
    "smollm3": (8, 8, 20),
    "step35": (13, 13, 21),
}


@pytest.mark.parametrize("shape", SHAPES, ids=[shape.architecture for shape in SHAPES])
def test_few_layers_answer_for_all(shape: CatalogShape, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[int] = []

    class Watched(buffers.Graph):
        def __init__(self, context: GraphContext, backends: Backends, kinds: Sequence[str]) -> None:
            built.append(len(context.layers))
            super().__init__(context, backends, kinds)

    monkeypatch.setattr(buffers, "Graph", Watched)
    model = load_catalog_model(shape.model, file_type=shape.file_type)
    settings = resolve_settings(model, Workload(context_tokens=4096), flash_supported=True)
    kept = []
    for machine in MACHINES:
        placement = resolve_placement(model, PlacementRequest(), machine_expression(machine))
        built.clear()
        few = buffers.graph_buffers(model, settings, placement)
        kept.append(max(built))
        assert few is not None
        assert few == buffers.graph_buffers(model, settings, placement, whole=True)
    assert tuple(kept) == KEPT.get(shape.architecture, PLAIN)
