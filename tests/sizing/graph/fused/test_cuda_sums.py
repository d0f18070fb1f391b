"""CUDA and ROCm: which weighted sum of experts is one step, and what it keeps.

The conditions are those of ggml-cuda.cu (ggml_cuda_match_moe_weighted_reduction).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from differing import (
    a_result,
    another_kind,
    another_op,
    another_shape,
    apart,
    elsewhere,
    gap,
    read_outside,
    swapped,
    with_between,
)
from named_steps import N_TOKENS, WIDTH, Named, routing, weighted_sum

from whatfits.sizing.graph.fused.cuda import fuse

if TYPE_CHECKING:
    from named_steps import Change

WHOLE = (WIDTH, 2, N_TOKENS, 1)


def kept(g: Named, start: str | None = None, end: str | None = None) -> dict[str, list[str]]:
    part = g.part(start, end)
    assert list(fuse(part)) == g.nodes[part.start : part.end]
    return g.kept(part)


@pytest.mark.parametrize("in_turn", [False, True])
@pytest.mark.parametrize("n_used", [2, 3, 8, 15])
def test_experts_and_shares_are_kept_until_they_are_added_up(n_used: int, *, in_turn: bool) -> None:
    last = f"sum{n_used - 1}"
    g = weighted_sum(n_used, in_turn=in_turn)
    assert kept(g) == {last: ["experts", "shares"]}
    g = weighted_sum(n_used, scaled=True, in_turn=in_turn)
    assert kept(g) == {last: ["experts", "shares", "scale"]}


@pytest.mark.parametrize("n_used", [1, 16, 17])
@pytest.mark.parametrize("scaled", [False, True])
def test_one_expert_is_no_sum_and_sixteen_are_too_many(n_used: int, *, scaled: bool) -> None:
    assert kept(weighted_sum(n_used, scaled=scaled)) == {}


@pytest.mark.parametrize("scaled", [False, True])
def test_factors_may_come_either_way_around(*, scaled: bool) -> None:
    g = weighted_sum(scaled=scaled)
    for name in ("product", "scaled") if scaled else ("product",):
        g[name].srcs = g[name].srcs[::-1]
    assert kept(g) == {"sum1": ["experts", "shares", *(["scale"] if scaled else [])]}


def test_a_sum_is_to_lie_within_its_part() -> None:
    g = weighted_sum(3, scaled=True)
    assert kept(g, "scaled", "next") == {"sum2": ["experts", "shares", "scale"]}
    assert kept(g, "scaled", "sum2") == {}
    assert kept(g, "scaled", "product") == {}
    assert kept(g, "product", "next") == {"sum2": ["scaled", "shares"]}


def test_a_later_sum_and_routing_are_found_behind_a_sum() -> None:
    g, second, third = weighted_sum(), weighted_sum(3), routing()
    for graph, title in ((second, "second"), (third, "third")):
        for node in graph.nodes:
            node.name = f"{title} {node.name}"
    del g.nodes[g.at("next") :]
    del second.nodes[second.at("second next") :]
    g.nodes += second.nodes + third.nodes
    assert list(kept(g)) == ["sum1", "second sum2", "third next"]
    # each right behind the other
    g.nodes = [*weighted_sum().nodes[:-1], *third.nodes[1:]]
    assert list(kept(g)) == ["sum1", "third next"]


def test_a_mean_of_several_sequences_is_of_all_their_tokens() -> None:
    g = weighted_sum()
    for at, name in ((0, "product"), (1, "product")):
        another_shape(name, ((WIDTH, 1)[at], 2, N_TOKENS, 2), at)(g)
    another_shape("product", (WIDTH, 2, N_TOKENS, 2))(g)
    for name in ("view0", "view1", "sum1"):
        g[name].ne = (WIDTH, N_TOKENS * 2, 1, 1)
    assert kept(g) == {"sum1": ["experts", "shares"]}
    g["view1"].ne = (WIDTH, N_TOKENS, 1, 1)
    assert kept(g) == {}


def scaled_by_full(g: Named) -> None:
    another_shape("product", WHOLE, 1)(g)


def missing_view(g: Named) -> None:
    del g.nodes[g.at("view2")]


def one_view_more(g: Named) -> None:
    # then there is one addition less among so many steps
    g.put_before("sum1", g.view(g["product"], (WIDTH, N_TOKENS), (g["product"].nb[2],)))


def added_before_looked_at(g: Named) -> None:
    at, then = g.at("view1"), g.at("sum1")
    g.nodes[at], g.nodes[then] = g.nodes[then], g.nodes[at]


WAYS: dict[str, Change] = {
    "of another op": another_op("product"),
    "of another type": another_kind("product"),
    "with gaps": gap("product"),
    "with rows apart": apart("product", 1),
    "of experts of another type": another_kind("product", 0),
    "of shares of another type": another_kind("product", 1),
    "of experts with gaps": gap("product", 0),
    "of shares with gaps": gap("product", 1, axis=2),
    "of fewer experts": another_shape("product", (WIDTH, 1, N_TOKENS, 1), 0),
    "of shares for one expert": another_shape("product", (1, 1, N_TOKENS, 1), 1),
    "of a share for each element": scaled_by_full,
    "with a step between": with_between("sum1"),
    "a missing view": missing_view,
    "a view too many": one_view_more,
    "an addition too early": added_before_looked_at,
    "views in another order": swapped("sum1"),
    "sums in another order": swapped("sum2"),
    "the product is read outside": read_outside("product"),
    "the product is a result": a_result("product"),
    "a view is read outside": read_outside("view1"),
    "a sum on the way is read outside": read_outside("sum1"),
    "the last sum has gaps": gap("sum2"),
    "the last sum is flatter": another_shape("sum2", (WIDTH, N_TOKENS - 1, 1, 1)),
    "the last sum is wider": another_shape("sum2", (WIDTH + 1, N_TOKENS, 1, 1)),
    "the last sum is deeper": another_shape("sum2", (WIDTH, N_TOKENS, 2, 1)),
}
for _name in ("view0", "view2"):
    WAYS |= {
        f"{_name} of something else": elsewhere(_name),
        f"{_name} of another type": another_kind(_name),
        f"{_name} is narrower": another_shape(_name, (WIDTH - 1, N_TOKENS, 1, 1)),
        f"{_name} is of fewer tokens": another_shape(_name, (WIDTH, N_TOKENS - 1, 1, 1)),
        f"{_name} is of packed rows": another_shape(_name, (WIDTH, N_TOKENS, 1, 1)),
        f"{_name} leaves out elements": gap(_name, axis=0),
    }
for _name in ("sum1", "sum2"):
    WAYS |= {
        f"{_name} is no addition": another_op(_name),
        f"{_name} of another type": another_kind(_name),
        f"{_name} adds to something else": elsewhere(_name),
        f"{_name} adds something else": elsewhere(_name, 1),
    }


@pytest.mark.parametrize("change", WAYS.values(), ids=list(WAYS))
@pytest.mark.parametrize("in_turn", [False, True])
@pytest.mark.parametrize("scaled", [False, True])
def test_a_sum_is_many_steps(change: Change, *, scaled: bool, in_turn: bool) -> None:
    g = weighted_sum(3, scaled=scaled, in_turn=in_turn)
    change(g)
    assert kept(g) == {}


SCALES: dict[str, Change] = {
    "of another op": another_op("scaled"),
    "of another type": another_kind("scaled"),
    "with gaps": gap("scaled"),
    "of experts of another type": another_kind("scaled", 0),
    "a scale of another type": another_kind("scaled", 1),
    "a scale with gaps": gap("scaled", 1, axis=2),
    "a scale for all experts": another_shape("scaled", (1, 1, N_TOKENS, 1), 1),
    "read outside": read_outside("scaled"),
    "a result": a_result("scaled"),
    "something between": with_between("product"),
}


@pytest.mark.parametrize(("name", "change"), SCALES.items(), ids=list(SCALES))
def test_experts_are_scaled_in_a_step_of_their_own(name: str, change: Change) -> None:
    g = weighted_sum(scaled=True)
    change(g)
    # what is scaled in another way is what the sum is of, where it is of its form
    is_of_form = name not in {"of another type", "with gaps"}
    assert kept(g) == ({"sum1": ["scaled", "shares"]} if is_of_form else {})


def test_a_scale_of_something_else_is_no_part_of_a_sum() -> None:
    g = weighted_sum(scaled=True)
    g.read("product", 0, g["experts"])
    assert kept(g) == {"sum1": ["experts", "shares"]}


def test_whole_numbers_are_not_added_up_in_one_step() -> None:
    g = weighted_sum()
    for factor in g["product"].srcs:
        factor.type = "I32"
    assert kept(g) == {}
