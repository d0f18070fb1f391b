"""Which devices' back ends change a graph, and that each has its own way."""

from __future__ import annotations

import pytest
from named_steps import routing

from whatfits.sizing.graph.fused import FUSING_KINDS, fuser_of, is_told
from whatfits.sizing.graph.fused.cuda import fuse as cuda
from whatfits.sizing.graph.fused.metal import fuse as metal
from whatfits.sizing.graph.fused.vulkan import fuse as vulkan
from whatfits.sizing.machine import Device


def test_each_kind_of_back_end_has_its_own_way() -> None:
    ways = {"cuda": cuda, "rocm": cuda, "metal": metal, "vulkan": vulkan}
    assert {kind: fuser_of(kind) for kind in FUSING_KINDS} == ways


@pytest.mark.parametrize("kind", ["cpu", "sycl", "rpc", ""])
def test_other_back_ends_leave_a_graph_as_it_is(kind: str) -> None:
    assert fuser_of(kind) is None


@pytest.mark.parametrize(
    ("kind", "features", "told"),
    [
        ("cuda", ("wddm", "cc8.9"), True),
        ("cuda", ("wddm",), False),
        ("cuda", (), False),
        ("rocm", ("gfx1100",), True),
        ("rocm", ("integrated",), False),
        ("metal", (), True),
        ("vulkan", (), True),
        ("cpu", (), True),  # nothing changes their graphs
        ("sycl", (), True),
    ],
)
def test_a_card_of_unknown_make_may_be_run_by_another_back_end(
    kind: str, features: tuple[str, ...], *, told: bool
) -> None:
    assert is_told(Device("0", kind, "a device", "pool", features=features)) is told


@pytest.mark.parametrize("kind", sorted(FUSING_KINDS))
@pytest.mark.parametrize("normalised", [False, True])
def test_every_step_is_run_once(kind: str, *, normalised: bool) -> None:
    g = routing(normalised=normalised)
    fuse = fuser_of(kind)
    assert fuse is not None
    assert {id(node) for node in fuse(g.part())} == {id(node) for node in g.nodes}
    inner = fuse(g.part("gate", "next"))
    assert sorted(node.name for node in inner) == sorted(
        node.name for node in g.nodes[g.at("gate") : g.at("next")]
    )
