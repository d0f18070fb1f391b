"""Vulkan: which rows are stored as soon as they are there.

The rules are those of ggml-vulkan.cpp (ggml_vk_graph_optimize).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from differing import a_result, another_op, elsewhere, read_outside
from named_steps import WIDTH, Named, each_once, stored

from whatfits.sizing.graph.fused.vulkan import fuse
from whatfits.sizing.graph.tensor import Tensor

if TYPE_CHECKING:
    from named_steps import Change


def order(g: Named, start: str | None = None, end: str | None = None) -> list[str]:
    return each_once(g, g.part(start, end), fuse)


def pulls_store(g: Named) -> bool:
    steps = order(g)
    at = steps.index("rope")
    return steps[at + 1 : at + 3] == ["view", "store"]


def lone_store(*before: str, n_between: int = 1) -> Named:
    """Return a store behind steps that wait for the first one of the graph."""
    g = stored(*before)
    first = g.add("first", g.like("LOG", g.leaf("z", WIDTH)))
    g.nodes.insert(0, g.nodes.pop())
    for _ in range(n_between):
        g.put_before("view", g.like("LOG", first))
    return g


def test_turned_rows_are_stored_at_once() -> None:
    assert order(lone_store()) == ["first", "rope", "view", "store", "put"]
    assert pulls_store(lone_store(n_between=12))
    assert not pulls_store(lone_store(n_between=13))


def test_rows_that_were_multiplied_are_turned_and_stored_at_once() -> None:
    g = lone_store("RMS_NORM", "MUL")
    g.nodes.insert(g.at("rope"), another := g.like("LOG", g["first"]))
    another.name = "second"
    assert order(g) == ["first", "rms_norm", "mul", "rope", "view", "store", "second", "put"]
    g["rope"].srcs = (g["first"], *g["rope"].srcs[1:])  # turned is something else
    assert order(g)[:3] == ["first", "rms_norm", "mul"]
    assert order(g)[3] != "rope"


@pytest.mark.parametrize(("op", "is_pulled"), [("RMS_NORM", True), ("NORM", False)])
def test_normed_rows_are_stored_at_once(op: str, *, is_pulled: bool) -> None:
    g = lone_store()
    g["rope"].op = op
    assert pulls_store(g) is is_pulled


def store_before_view(g: Named) -> None:
    g.nodes.insert(g.at("view"), g.nodes.pop())


def writes_elsewhere_first(g: Named) -> None:
    """Have the step between write into the same cache, once it need not wait."""
    g["put"].op, g["put"].view_of = "CPY", g["store"].view_of


def looks_at_cache_first(g: Named) -> None:
    g.put_before("store", g.view(g["store"].root, (WIDTH, 1)))


def looks_at_other_rows_too(g: Named) -> None:
    g.put_before("view", g.view(g["first"], (WIDTH, 1)))


def under_another_shape(g: Named) -> None:
    g["view"].op = "RESHAPE"


STORED_LATER: dict[str, Change] = {
    "turned rows are read outside": read_outside("rope"),
    "turned rows are a result": a_result("rope"),
    "the view is read outside": read_outside("view"),
    "the view is of something else": elsewhere("view"),
    "the store is of something else": elsewhere("store"),
    "the store is another step": another_op("store"),
    "the view is another one": another_op("view"),
    "the view is under another shape": under_another_shape,
    "the store is ahead of the view": store_before_view,
    "something is written there first": writes_elsewhere_first,
}


@pytest.mark.parametrize("change", STORED_LATER.values(), ids=list(STORED_LATER))
def test_rows_are_stored_later_where(change: Change) -> None:
    g = lone_store()
    change(g)
    assert not pulls_store(g)


@pytest.mark.parametrize("change", [looks_at_cache_first, looks_at_other_rows_too])
def test_rows_are_stored_at_once_though_others_look_at_memory(change: Change) -> None:
    g = lone_store()
    change(g)
    assert pulls_store(g)


def test_a_store_that_waits_only_for_what_came_early_is_pulled() -> None:
    g = lone_store()
    # the write between has come in an earlier set than the rows are turned in
    writer = Tensor("CPY", "F16", (WIDTH, 1, 1, 1), srcs=(), view_of=g["store"].root)
    g.put_before("view", writer)
    writer.name = "writer"
    g.nodes.insert(0, early := g.like("LOG", g.leaf("early", WIDTH)))
    early.name = "early"
    g.read("first", 0, early)
    g.read("rope", 0, g["early"])
    assert order(g) == ["early", "writer", "first", "rope", "view", "store", "put"]
