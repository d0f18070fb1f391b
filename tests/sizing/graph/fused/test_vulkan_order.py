"""Vulkan: which steps come early.

The rules are those of ggml-vulkan.cpp (ggml_vk_graph_optimize).
"""

from __future__ import annotations

import pytest
from named_steps import N_TOKENS, WIDTH, Named, chains, each_once

from whatfits.sizing.graph.fused.vulkan import fuse
from whatfits.sizing.graph.tensor import Tensor


def order(g: Named, start: str | None = None, end: str | None = None) -> list[str]:
    return each_once(g, g.part(start, end), fuse)


def test_steps_that_do_not_wait_come_together() -> None:
    assert order(chains("a1", "a2", "b1", "b2")) == ["a1", "b1", "a2", "b2"]
    assert order(chains("a1", "a2", "a3", "b1", "c1")) == ["a1", "b1", "c1", "a2", "a3"]
    assert order(chains("a1", "a2", "b1", "b2"), start="a2") == ["a2", "b1", "b2"]
    assert order(chains("a1", "a2", "b1", "b2"), end="b1") == ["a1", "a2"]


def test_nineteen_steps_are_looked_at() -> None:
    waiting = [f"a{at}" for at in range(2, 21)]
    assert order(chains("a1", *waiting, "b1"))[:3] == ["a1", "a2", "b1"]
    assert order(chains("a1", *waiting[:-1], "b1"))[:3] == ["a1", "b1", "a2"]
    # and so many for one that only looks at memory
    for steps, begin in ((waiting, ["a1", "a2", "put"]), (waiting[:-1], ["a1", "put", "a2"])):
        g = chains("a1", *steps, "b1")
        g.put_before("b1", g.reshape(g.leaf("z", 6), 2, 3))
        del g.nodes[g.at("b1")]
        assert order(g)[:3] == begin


def cache_writer(g: Named, name: str, target: Tensor) -> None:
    g.add(name, g.copy(g.leaf(f"leaf {name}", *target.ne), target))


def test_steps_wait_for_each_other_by_the_memory_behind_what_they_read() -> None:
    # one writes what another reads through a view, or the other way around
    g = chains("a1", "a2")
    cache = g.leaf("cache", WIDTH, N_TOKENS)
    g.add("read", g.like("LOG", g.view(cache, (WIDTH, N_TOKENS))))
    cache_writer(g, "write", g.view(cache, (WIDTH, N_TOKENS)))
    g.nodes += chains("b1").nodes
    assert order(g) == ["a1", "read", "b1", "a2", "write"]
    g = chains("a1", "a2")
    cache_writer(g, "write", g.view(cache, (WIDTH, N_TOKENS)))
    g.add("read", g.like("LOG", g.view(cache, (WIDTH, N_TOKENS))))
    assert order(g) == ["a1", "write", "a2", "read"]
    # both write the same, whether they read it or not
    g = chains("a1", "a2")
    for name in ("first", "second"):
        source = g.leaf(f"leaf {name}", WIDTH)
        g.add(name, Tensor("CPY", "F32", (WIDTH, 1, 1, 1), srcs=(source,), view_of=cache))
    assert order(g) == ["a1", "first", "a2", "second"]
    g = chains("a1", "a2")
    cache_writer(g, "first", g.view(cache, (WIDTH, 1)))
    cache_writer(g, "second", g.view(cache, (WIDTH, 2)))
    assert order(g) == ["a1", "first", "a2", "second"]


def test_what_was_put_early_makes_nobody_wait() -> None:
    assert order(chains("a1", "a2", "b1", "a3", "b2")) == ["a1", "b1", "a2", "b2", "a3"]


def test_a_look_at_memory_comes_behind_the_steps_that_it_may_follow() -> None:
    g = chains("a1", "a2", "b1")
    view = g.add("view", g.reshape(g["a1"], N_TOKENS, WIDTH))
    g.add("of view", g.like("LOG", view))
    g.add("late", g.reshape(g["a2"], N_TOKENS, WIDTH))
    # a view of a step that is yet to come waits, one of a step that comes now does not
    assert order(g) == ["a1", "b1", "view", "a2", "of view", "late"]
    # one waits for what is yet to be written there
    g = chains("a1", "a2")
    cache = g.leaf("cache", WIDTH, N_TOKENS)
    g.add("write", g.copy(g["a2"], g.view(cache, (WIDTH, N_TOKENS))))
    g.add("view", g.view(cache, (WIDTH, 1)))
    assert order(g) == ["a1", "a2", "write", "view"]
    g = chains("a1", "b1")
    for name in ("second", "first"):
        g.nodes.insert(1, g.reshape(g.leaf("z", 6), 2, 3))
        g.nodes[1].name = name
    assert order(g) == ["a1", "b1", "first", "second"]
    # a view of a view waits with it
    g = chains("a1", "a2", "a3")
    first = g.add("view", g.reshape(g["a2"], N_TOKENS, WIDTH))
    g.add("second", g.reshape(first, WIDTH, N_TOKENS))
    assert order(g) == ["a1", "a2", "view", "second", "a3"]


def test_looks_at_memory_do_not_follow_an_addition() -> None:
    g = chains("a1", "a2")
    g.add("view", g.reshape(g["a1"], N_TOKENS, WIDTH))
    g.nodes += chains("b1").nodes
    assert order(g) == ["a1", "b1", "view", "a2"]
    g["b1"].op = "ADD"
    assert order(g) == ["a1", "b1", "a2", "view"]
    # they come with a later step then, in their order
    g.add("of b1", g.reshape(g["b1"], N_TOKENS, WIDTH))
    g.add("other", g.reshape(g["a1"], N_TOKENS, WIDTH))
    assert order(g) == ["a1", "b1", "a2", "view", "of b1", "other"]


# a step and the one behind it


def pair(first: str, second: str, *, apart: bool = False, view: bool = False) -> Named:
    """Return a step that reads the one before it, and steps that nobody waits for."""
    g = chains("a1", "b1")
    if view:
        g.put_before("b1", g.reshape(g.leaf("z", 6), 2, 3))
    if apart:
        g.put_before("b1", g.like("LOG", g["a1"]))
    g["a1"].op = first
    g["b1"].op = second
    g["b1"].srcs = (g["a1"], g.leaf("weight", WIDTH))
    return g


NEXT = [
    ("MUL_MAT", "ADD"),
    ("MUL_MAT_ID", "ADD_ID"),
    ("MUL_MAT_ID", "MUL"),
    ("ADD", "ADD"),
    ("SSM_CONV", "ADD"),
    ("SSM_CONV", "UNARY"),
]
APART = [("RMS_NORM", "MUL"), ("UNARY", "MUL")]
NOT_TOGETHER = [
    ("MUL_MAT", "MUL"),
    ("MUL_MAT", "ADD_ID"),
    ("MUL_MAT_ID", "ADD"),
    ("ADD", "MUL"),
    ("SSM_CONV", "MUL"),
    ("RMS_NORM", "ADD"),
    ("UNARY", "ADD"),
    ("NORM", "MUL"),
]


def is_brought(g: Named) -> bool:
    """Return whether `b1` comes with `a1`, ahead of the steps that may come with `a1` too."""
    more = chains("c1")
    g.nodes += more.nodes
    return order(g).index("b1") < order(g).index("c1")


def brought_across(g: Named) -> bool:
    """Return whether `b1` comes before the step between, which waits for `a1`."""
    return order(g).index("b1") < order(g).index("put")


@pytest.mark.parametrize(("first", "second"), [*NEXT, *APART])
def test_a_step_is_brought_along_by_the_one_before_it(first: str, second: str) -> None:
    assert is_brought(pair(first, second))


@pytest.mark.parametrize(("first", "second"), NOT_TOGETHER)
def test_other_steps_are_not(first: str, second: str) -> None:
    assert not is_brought(pair(first, second))


@pytest.mark.parametrize(("first", "second"), NEXT)
def test_such_a_step_is_to_be_next(first: str, second: str) -> None:
    assert not is_brought(pair(first, second, view=True))


@pytest.mark.parametrize(("first", "second"), APART)
def test_a_product_may_be_behind_what_does_no_work(first: str, second: str) -> None:
    assert is_brought(pair(first, second, view=True))
    g = pair(first, second, view=True)
    g.read("b1", 1, g["put"])  # unless it reads that
    assert not is_brought(g)
    assert not brought_across(pair(first, second, apart=True))


def test_a_product_may_be_behind_what_came_early() -> None:
    g = chains("y1", "a1", "x1", "b1")
    g["a1"].op, g["b1"].op = "RMS_NORM", "MUL"
    g["a1"].srcs = (g["y1"],)
    g["b1"].srcs = (g["a1"], g.leaf("weight", WIDTH))
    g.add("x2", g.like("LOG", g["x1"]))
    assert order(g) == ["y1", "x1", "a1", "b1", "x2"]


@pytest.mark.parametrize(("first", "second"), [*NEXT, *APART])
def test_only_the_last_step_of_a_set_brings_one_along(first: str, second: str) -> None:
    g = chains("a1", "b1")
    g["a1"].op, g["b1"].op = first, second
    g["b1"].srcs = (g["a1"], g.leaf("weight", WIDTH))
    # it waits for the one before as well, which is not the last
    before = g.add("before", g.like("LOG", g.leaf("z", WIDTH)))
    g.nodes.insert(0, g.nodes.pop())
    g.read("b1", 1, before)
    g.nodes += chains("c1").nodes
    assert order(g) == ["before", "a1", "c1", "b1"]
