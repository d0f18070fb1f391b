"""Metal: what is kept, and in which order steps run.

The rules are those of ggml-metal-fusion.cpp (ggml_metal_fusion_add_alloc_deps) and
ggml-metal-common.cpp (ggml_metal_graph_optimize_reorder).
"""

from __future__ import annotations

from itertools import product

import pytest
from named_steps import (
    N_TOKENS,
    WIDTH,
    Named,
    chains,
    convolution,
    each_once,
    norm,
    routing,
    states,
    sums,
    weighted_sum,
)

from whatfits.sizing.graph.fused.metal import fuse
from whatfits.sizing.graph.fused.metal_groups import keep_sources
from whatfits.sizing.graph.tensor import Tensor


def kept(g: Named, start: str | None = None, end: str | None = None) -> dict[str, list[str]]:
    part = g.part(start, end)
    keep_sources(part)
    return g.kept(part)


@pytest.mark.parametrize("op", ["NORM", "RMS_NORM"])
def test_what_a_norm_and_its_followers_read_is_kept_until_the_last(op: str) -> None:
    assert kept(norm(op, "MUL")) == {"mul": ["x", "of_mul"]}
    assert kept(norm(op, "MUL", "ADD")) == {"add": ["x", "of_mul", "of_add"]}
    assert kept(norm(op, "SCALE")) == {"scale": ["x"]}
    assert kept(norm(op)) == {}
    assert kept(norm(op, "MUL", "ADD"), end="add") == {"mul": ["x", "of_mul"]}
    assert kept(norm(op, "MUL", "ADD"), start="mul") == {}


def test_what_is_added_is_kept_by_sevens() -> None:
    parts = [f"part{at}" for at in range(9)]
    for count in range(2, 8):
        assert kept(sums(count)) == {f"sum{count - 1}": ["x", *parts[:count]]}
    assert kept(sums(8)) == {"sum6": ["x", *parts[:7]]}
    assert kept(sums(9)) == {"sum6": ["x", *parts[:7]], "sum8": ["sum6", *parts[7:9]]}


@pytest.mark.parametrize(("normalised", "scaled"), list(product([False, True], repeat=2)))
def test_logits_are_kept_until_shares_are_there(*, normalised: bool, scaled: bool) -> None:
    last = "scaled" if scaled else "shares" if normalised else "rows"
    assert kept(routing(normalised=normalised, scaled=scaled)) == {last: ["logits"]}
    assert kept(routing("sigmoid", normalised=normalised, scaled=scaled)) == {}


def test_experts_and_shares_are_kept_until_they_are_added_up() -> None:
    for n_used in range(2, 9):
        assert kept(weighted_sum(n_used)) == {f"sum{n_used - 1}": ["experts", "shares"]}
    assert "sum8" not in kept(weighted_sum(9))
    assert kept(weighted_sum(1)) == {}
    assert kept(weighted_sum(2, scaled=True)) == {"sum1": ["scaled", "shares"]}


def test_what_a_convolution_reads_is_kept_until_its_activation() -> None:
    assert kept(convolution()) == {"active": ["x", "kernel"]}


def test_what_makes_states_is_kept_only_where_their_copy_is_next() -> None:
    g = states()
    assert kept(g) == {}
    view, target = g["view"], g["target"]
    g.nodes = [view, target, *(node for node in g.nodes if node not in (view, target))]
    assert kept(g) == {"stored": ["queries", "keys", "values", "view", "target"]}


def test_a_sequence_counts_though_its_steps_do_not_read_each_other() -> None:
    g = norm("RMS_NORM", "MUL")
    g.read("mul", 0, g.leaf("unrelated", WIDTH))
    assert kept(g) == {"mul": ["x", "unrelated", "of_mul"]}


# the order


def order(g: Named, start: str | None = None, end: str | None = None) -> list[str]:
    return each_once(g, g.part(start, end), fuse)


def test_steps_of_two_chains_come_together() -> None:
    assert order(chains("a1", "a2", "b1", "b2")) == ["a1", "b1", "a2", "b2"]
    assert order(chains("a1", "a2", "a3", "b1")) == ["a1", "b1", "a2", "a3"]
    assert order(chains("a1", "a2", "a3", "b1", "b2")) == ["a1", "b1", "a2", "b2", "a3"]
    assert order(chains("a1", "b1", "a2", "b2")) == ["a1", "b1", "a2", "b2"]
    assert order(chains("a1", "a2", "b1", "b2", "c1")) == ["a1", "b1", "c1", "a2", "b2"]


def test_only_a_part_is_put_in_order() -> None:
    g = chains("a1", "a2", "b1", "b2")
    assert order(g, end="b2") == ["a1", "b1", "a2"]
    assert order(g, start="a2") == ["a2", "b1", "b2"]


PASSED = (
    *("MUL_MAT", "MUL_MAT_ID", "ROPE", "NORM", "RMS_NORM", "GROUP_NORM", "L2_NORM", "SUM_ROWS"),
    *("SSM_CONV", "SSM_SCAN", "CLAMP", "TRI", "DIAG", "MUL", "ADD", "SUB", "DIV", "GLU", "SCALE"),
    *("UNARY", "GET_ROWS", "SET_ROWS", "SET", "CPY", "CONT", "REPEAT"),
    *("VIEW", "RESHAPE", "PERMUTE", "TRANSPOSE", "NONE"),
)
NOT_PASSED = (
    *("SOFT_MAX", "FLASH_ATTN_EXT", "ARGSORT", "CONCAT", "GATED_DELTA_NET", "SQR", "SQRT", "PAD"),
    *("CUMSUM", "MEAN", "TOP_K", "ADD_ID", "FILL", "SOLVE_TRI"),
)


@pytest.mark.parametrize("op", [*PASSED, *NOT_PASSED])
def test_some_steps_may_be_passed(op: str) -> None:
    g = chains("a1", "a2", "b1", "c1")
    g["b1"].op = op
    assert order(g) == (["a1", "b1", "c1", "a2"] if op in PASSED else ["a1", "a2", "b1", "c1"])


def test_sixty_three_groups_are_looked_at() -> None:
    waiting = [f"a{at}" for at in range(2, 66)]
    assert order(chains("a1", *waiting, "b1"))[:3] == ["a1", "a2", "b1"]
    assert order(chains("a1", *waiting[:-1], "b1"))[:3] == ["a1", "b1", "a2"]
    # steps that stay together count as one
    g = chains("a1", *waiting[:-1], "b1")
    more = norm("RMS_NORM", "MUL")
    more.read("norm", 0, g["a2"])
    g.nodes[g.at("b1") : g.at("b1")] = more.nodes[:2]
    assert order(g)[:3] == ["a1", "a2", "b1"]
    del g.nodes[g.at("a64")]
    assert order(g)[:3] == ["a1", "b1", "a2"]


def test_a_step_that_may_not_be_passed_may_wait_for_others() -> None:
    g = chains("a1", "a2", "b1")
    g["a2"].op = "SOFT_MAX"
    assert order(g) == ["a1", "b1", "a2"]


def test_a_group_is_passed_as_its_first_step_is() -> None:
    g = chains("a1", "a2")
    choice = routing()
    g.nodes += choice.nodes[choice.at("gate") : choice.at("next")] + chains("b1").nodes
    assert order(g)[:3] == ["a1", "a2", "gate"]


def test_what_is_kept_is_noted_with_the_order() -> None:
    g = norm("RMS_NORM", "MUL")
    part = g.part()
    assert list(fuse(part)) == g.nodes
    assert g.kept(part) == {"mul": ["x", "of_mul"]}


def test_a_group_comes_as_a_whole() -> None:
    g = chains("a1", "a2")
    g.nodes += norm("RMS_NORM", "MUL", "ADD").nodes
    assert order(g) == ["a1", "norm", "mul", "add", "a2", "next"]


def test_what_is_made_within_a_group_makes_nobody_wait() -> None:
    g = norm("RMS_NORM", "MUL")
    more = chains("a1")
    more.read("a1", 0, g["mul"])
    g.nodes = [g["norm"], g["mul"], more["a1"], *chains("b1").nodes]
    assert order(g) == ["norm", "mul", "b1", "a1"]


def writer(g: Named, name: str, target: Tensor) -> None:
    """Add a step that writes to a target, and does not read it."""
    source = g.leaf(f"leaf {name}", *target.ne)
    g.add(name, Tensor("CPY", target.type, target.ne, srcs=(source,), view_of=target))


def test_a_step_waits_for_another_that_writes_where_it_does() -> None:
    g = chains("a1", "a2")
    cache = g.leaf("cache", WIDTH)
    writer(g, "first", cache)
    writer(g, "second", g.view(cache, (WIDTH,)))
    assert order(g) == ["a1", "first", "a2", "second"]


def test_a_step_does_not_write_what_is_being_read() -> None:
    g = chains("a1", "a2")
    cache = g.leaf("cache", WIDTH, N_TOKENS)
    g.read("a1", 0, cache)
    writer(g, "write", g.view(cache, (WIDTH, N_TOKENS)))
    g.nodes += chains("b1").nodes
    assert order(g) == ["a1", "b1", "a2", "write"]
    # nor what a step that waits is yet to read
    g = chains("a1", "a2")
    cache = g.leaf("cache", WIDTH, N_TOKENS)
    g["a2"].srcs += (cache,)
    writer(g, "write", g.view(cache, (WIDTH, N_TOKENS)))
    g.nodes += chains("b1").nodes
    assert order(g) == ["a1", "b1", "a2", "write"]


def test_a_step_waits_for_one_that_waits() -> None:
    g = chains("a1", "a2", "b1", "b2")
    g["b1"].srcs += (g["a2"],)
    g.nodes += chains("c1").nodes
    assert order(g) == ["a1", "c1", "a2", "b1", "b2"]


def test_what_is_read_by_many_makes_nobody_wait() -> None:
    g = chains("a1", "a2", "b1", "c1")
    shared = g.leaf("shared", WIDTH, N_TOKENS)
    for name in ("a1", "b1", "c1"):
        g.read(name, 0, shared)
    assert order(g) == ["a1", "b1", "c1", "a2"]


def test_a_look_at_what_was_just_made_does_not_wait() -> None:
    g = chains("a1")
    view = g.add("view", g.reshape(g["a1"], N_TOKENS, WIDTH))
    g.nodes += chains("b1", "b2").nodes
    g.add("a2", g.like("ROPE", view))
    assert order(g) == ["a1", "view", "b1", "b2", "a2"]
    # nor does a later one, if nothing that waits stands in between
    g = chains("a1", "a2", "b1")
    g.put_before("b1", g.reshape(g["a1"], N_TOKENS, WIDTH))
    assert order(g) == ["a1", "b1", "a2", "put"]
    g = chains("a1", "b1", "b2")
    g.add("view", g.reshape(g["a1"], N_TOKENS, WIDTH))
    assert order(g) == ["a1", "b1", "view", "b2"]


def test_a_step_that_came_early_is_passed_later() -> None:
    g = chains("a1", "a2", "b1", "a3", "c1", "b2")
    assert order(g) == ["a1", "b1", "c1", "a2", "b2", "a3"]
