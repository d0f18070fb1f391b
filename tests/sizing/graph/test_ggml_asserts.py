"""Every graph is one that ggml would take: no operation is given what it asserts against."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.append(str(Path(__file__).parent))
from ggml_asserts import broken

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

SHAPES = smallest_shapes()
WORKLOADS = {
    "fused": Workload(context_tokens=4096, flash_attention="on"),
    "plain": Workload(context_tokens=4096, flash_attention="off"),
    "two sequences": Workload(context_tokens=4096, parallel=2, flash_attention="on"),
    "two sequences, plain": Workload(context_tokens=4096, parallel=2, flash_attention="off"),
}


@pytest.mark.parametrize("way", WORKLOADS)
@pytest.mark.parametrize("shape", SHAPES, ids=[shape.architecture for shape in SHAPES])
def test_no_operation_is_given_what_ggml_asserts_against(
    shape: CatalogShape, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[GraphContext] = []

    class Watched(buffers.Graph):
        def __init__(self, context: GraphContext, backends: Backends, kinds: Sequence[str]) -> None:
            built.append(context)
            super().__init__(context, backends, kinds)

    monkeypatch.setattr(buffers, "Graph", Watched)
    model = load_catalog_model(shape.model, file_type=shape.file_type)
    machine = machine_expression("rtx-3090 + 64gb")
    settings = resolve_settings(model, WORKLOADS[way], flash_supported=True)
    placement = resolve_placement(model, PlacementRequest(gpu_layers=0), machine)
    assert buffers.graph_buffers(model, settings, placement) is not None
    nodes = [node for context in built for node in context.nodes]
    assert nodes
    found = Counter(
        f"{node.op} {node.ne} {node.name} of {[src.ne for src in node.srcs]}: {said}"
        for node in nodes
        for said in broken(node)
    )
    assert not found, found.most_common(5)
