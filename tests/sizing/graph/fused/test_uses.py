"""What a device's back end is told of how often its tensors are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from whatfits.sizing.graph import scheduler
from whatfits.sizing.graph.builder import GraphBuilder
from whatfits.sizing.graph.scheduler import Backends, Scheduler
from whatfits.sizing.graph.tensor import NONE, Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from whatfits.sizing.graph.fused.patterns import Part


def test_what_the_host_reads_of_a_device_counts_though_it_reads_a_copy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graph = GraphBuilder()
    there, here = (Tensor(NONE, "F32", (8, 8, 1, 1), home=home, is_weight=True) for home in (0, 1))
    product = graph.mul_mat(there, graph.input("F32", 8, 4))
    scaled = graph.like("SCALE", product)
    ends = (scaled, graph.mul_mat(here, product))
    for end in ends:
        graph.expand(end)
    seen: list[int] = []

    def fuse(part: Part) -> Sequence[Tensor]:
        seen.append(part.uses[id(product)])
        return part.nodes[part.start : part.end]

    monkeypatch.setattr(scheduler, "fuser_of", lambda _kind: fuse)
    plan = Scheduler(graph.nodes, graph.leafs, Backends(2, kinds=("metal",)))
    plan.place(pinned=False)
    plan.lay(fused=True)
    assert ends[1].srcs[1] is not product
    assert seen
    assert set(seen) == {2}
