"""Vulkan: which steps pull a third one from further on.

The rules are those of ggml-vulkan.cpp (ggml_vk_graph_optimize).
"""

from __future__ import annotations

import pytest
from differing import another_op, swapped
from named_steps import N_TOKENS, WIDTH, Named, chains, each_once

from whatfits.sizing.graph.fused.vulkan import fuse


def order(g: Named, start: str | None = None, end: str | None = None) -> list[str]:
    return each_once(g, g.part(start, end), fuse)


FILL = tuple(f"f{at}" for at in range(1, 14))


def far(before: str, middle: str, last: str, n_between: int = 1) -> Named:
    """Return two steps in a row, steps that wait, and one that reads the second.

    Behind it is a step that is free to come along, as what is pulled comes ahead of it.
    """
    g = chains("a1", "m1", *FILL[:n_between], "l1", "c1")
    first, second = g["a1"], g["m1"]
    first.op, second.op = before, middle
    second.srcs = (first, g.leaf("weight", WIDTH))
    for name in FILL[:n_between]:
        g.read(name, 0, second)
    third = g["l1"]
    third.op, third.srcs = last, (second, g.leaf("more", WIDTH, N_TOKENS))
    return g


PULLS = [
    ("MUL_MAT_ID", "ADD_ID", "MUL"),
    ("MUL_MAT", "ADD", "ADD"),
    ("SSM_CONV", "ADD", "UNARY"),
    ("RMS_NORM", "MUL", "ROPE"),
]


@pytest.mark.parametrize(("before", "middle", "last"), PULLS)
def test_a_third_step_is_pulled_behind_two(before: str, middle: str, last: str) -> None:
    assert order(far(before, middle, last))[:3] == ["a1", "m1", "l1"]
    assert order(far(before, middle, last, 0)) == ["a1", "m1", "l1", "c1"]
    assert order(far(before, middle, last, 13))[:3] == ["a1", "m1", "l1"]
    g = far(before, middle, last, 13)
    g.put_before("l1", g.like("LOG", g["m1"]))
    assert order(g)[:3] != ["a1", "m1", "l1"]


@pytest.mark.parametrize(("before", "middle", "last"), PULLS)
def test_a_third_step_is_pulled_only_where_it_reads_the_second(
    before: str, middle: str, last: str
) -> None:
    for change in (another_op("l1"), swapped("l1")):
        g = far(before, middle, last)
        change(g)
        assert order(g)[:3] != ["a1", "m1", "l1"]
    g = far(before, middle, last)
    g.read("l1", 0, g["f1"])
    assert order(g)[:3] != ["a1", "m1", "l1"]


@pytest.mark.parametrize(("before", "middle", "last"), PULLS)
def test_what_else_it_reads_is_to_be_there(before: str, middle: str, last: str) -> None:
    g = far(before, middle, last)
    g.read("l1", 1, g["f1"])
    assert (order(g)[:3] == ["a1", "m1", "l1"]) is (last == "UNARY")
    # what came in an earlier set is
    g = far(before, middle, last)
    early = g.add("early", g.like("LOG", g.leaf("z", WIDTH, N_TOKENS)))
    g.nodes.insert(0, g.nodes.pop())
    g.read("a1", 0, early)
    g.read("l1", 1, early)
    steps = order(g)
    assert steps[:2] == ["early", "c1"]
    # but a turning asks for what is no step's result
    assert (steps[2:5] == ["a1", "m1", "l1"]) is (last != "ROPE")


def test_a_turning_may_read_frequencies_that_are_no_steps_result() -> None:
    g = far("RMS_NORM", "MUL", "ROPE")
    g["l1"].srcs += (g.leaf("frequencies", WIDTH),)
    assert order(g)[:3] == ["a1", "m1", "l1"]
    g.read("l1", 2, g["f1"])
    assert order(g)[:3] != ["a1", "m1", "l1"]
    g = far("RMS_NORM", "MUL", "ROPE")
    g["l1"].srcs = g["l1"].srcs[:1]
    assert order(g)[:3] == ["a1", "m1", "l1"]


@pytest.mark.parametrize(("before", "middle", "last"), PULLS)
def test_nothing_is_pulled_behind_another_step(before: str, middle: str, last: str) -> None:
    g = far("LOG", middle, last)
    g["m1"].srcs = (g.leaf("y", WIDTH, N_TOKENS), g.leaf("weight", WIDTH))
    assert order(g)[:2] == ["a1", "m1"]
    assert order(g)[2] != "l1"
