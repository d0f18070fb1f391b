"""Compute buffers with what back ends change in a graph, against llama.cpp's own code for it.

`tests/recorded/llama_cpp/fused.json` says how it was made. Sizes are those of CUDA's buffers
whatever the kind: what is held here is which steps run in which order and what is kept.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest
from comparison import asked_for, without_nextn
from recorded_plans import FUSED, read

from whatfits.sizing.graph import buffers
from whatfits.sizing.graph.replay import Graph
from whatfits.sizing.sources.catalog_model import load_catalog_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recorded_plans import PlanGroup

    from whatfits.sizing.graph.context import GraphContext
    from whatfits.sizing.graph.scheduler import Backends
    from whatfits.sizing.model import ModelSpec

GROUPS = read(FUSED)


@cache
def model(name: str, file_type: str) -> ModelSpec:
    return without_nextn(load_catalog_model(name, file_type=file_type))


def sized_as_cuda(context: GraphContext, backends: Backends, kinds: Sequence[str]) -> Graph:
    return Graph(context, backends, ["cuda"] * len(kinds))


@pytest.mark.parametrize(
    "planned", GROUPS, ids=[f"{g.box.kind}-{g.box.gpus}-{g.shape.model}" for g in GROUPS]
)
def test_buffers_are_those_of_the_changed_graph(
    planned: PlanGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buffers, "Graph", sized_as_cuda)
    spec = model(planned.shape.model, planned.shape.file_type)
    for plan in planned.plans:
        found = buffers.graph_buffers(spec, *asked_for(spec, planned.box, plan.settings))
        assert found is not None
        in_use = len(found.fused) - 1
        wanted = [column.compute for column in (*plan.truth[:in_use], plan.truth[-1])]
        assert list(found.fused) == wanted, plan.settings


def test_the_changes_make_a_difference_for_each_kind() -> None:
    for kind in ("cuda", "metal", "vulkan"):
        rows = [group for group in GROUPS if group.box.kind == kind]
        assert len(rows) >= 20
        assert {group.box.gpus for group in rows} == {1, 2}
