"""Metal: which routing of experts and which sum of their outputs stay together.

The conditions are those of ggml-metal-fusion.cpp (ggml_metal_fusion_check_topk_moe,
ggml_metal_fusion_match_moe_reduce).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from differing import (
    a_result,
    another_kind,
    another_op,
    another_shape,
    elsewhere,
    gap,
    read_outside,
    swapped,
    with_between,
)
from named_steps import N_EXPERTS, N_TOKENS, WIDTH, Named, routing, together, weighted_sum

from whatfits.sizing.graph.fused.metal_groups import length_of_group

if TYPE_CHECKING:
    from named_steps import Change

CHOICE = ["gate", "shown", "order", "ids", "rows"]
SHARES = ["flat", "total", "clamped", "divided", "shares"]


def test_routing_by_softmax_stays_together() -> None:
    assert together(routing(), "gate") == CHOICE
    assert together(routing(scaled=True), "gate") == [*CHOICE, "scaled"]
    g = routing(normalised=True, scaled=True)
    assert together(g, "gate") == [*CHOICE, *SHARES, "scaled"]
    # what ends with a look at memory is taken up to the last step that works
    assert together(routing(normalised=True), "gate") == [*CHOICE, *SHARES[:-1]]


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("gating", ["softmax", "sigmoid", "sqrt_softplus"])
def test_only_softmax_without_a_bias_does(gating: str, *, biased: bool) -> None:
    g = routing(gating, biased=biased)
    first = "plus" if gating == "sqrt_softplus" else "gate"
    assert together(g, first) == (CHOICE if gating == "softmax" and not biased else [first])


def test_routing_is_to_end_within_its_part() -> None:
    g = routing(normalised=True)
    assert together(g, "gate", "gate", "next") == [*CHOICE, *SHARES[:-1]]
    assert together(g, "gate", "gate", "shares") == CHOICE
    assert together(g, "gate", "gate", "rows") == ["gate"]


@pytest.mark.parametrize(("count", "length"), [(2, 5), (1000, 5), (1024, 5), (1025, 1)])
def test_a_kernel_chooses_among_so_many_experts(count: int, length: int) -> None:
    g = routing(n_experts=count)
    assert length_of_group(g.part(), g.at("gate")) == length


def with_mask(g: Named) -> None:
    g["gate"].srcs = (g["logits"], g.other("logits"))


def of_several_sequences(g: Named) -> None:
    another_shape("logits", (N_EXPERTS, N_TOKENS, 2, 1))(g)


def more_ids(axis: int) -> Change:
    def change(g: Named) -> None:
        ne = list(g["ids"].ne)
        ne[axis] += 1
        g["ids"].ne = (ne[0], ne[1], ne[2], ne[3])

    return change


ROUTING: dict[str, Change] = {
    "has a mask": with_mask,
    "is of another type": another_kind("logits"),
    "gives another type": another_kind("rows"),
    "is of several sequences": of_several_sequences,
    "is of logits with gaps": gap("logits"),
    "gives shares with gaps": gap("rows"),
    "gives shares for more tokens": another_shape("rows", (1, 2, N_TOKENS + 1, 1)),
    "gives a row of shares": another_shape("rows", (2, 1, N_TOKENS, 1)),
    "gives shares of four dimensions": another_shape("rows", (1, 2, N_TOKENS, 2)),
    "has other rows of ids": gap("ids"),
    **{f"has more ids along {axis}": more_ids(axis) for axis in range(4)},
    **{f"{name} reads something else": elsewhere(name) for name in CHOICE[1:]},
    "takes rows of other ids": elsewhere("rows", 1),
    **{f"{name} is another step": another_op(name) for name in CHOICE[1:]},
    **{f"something is before {name}": with_between(name) for name in CHOICE[1:]},
    **{f"{name} is a result": a_result(name) for name in CHOICE[:3]},
    **{f"{name} is read outside": read_outside(name) for name in CHOICE[:3]},
}


@pytest.mark.parametrize("change", ROUTING.values(), ids=list(ROUTING))
def test_routing_is_many_steps_where_it(change: Change) -> None:
    g = routing()
    change(g)
    assert together(g, "gate") == ["gate"]


def looks_at_more(g: Named) -> None:
    g.put_before("order", g.reshape(g["logits"], N_TOKENS, N_EXPERTS))


def looks_in_another_way(g: Named) -> None:
    g["shown"].op = "VIEW"


@pytest.mark.parametrize("change", [looks_at_more, looks_in_another_way])
def test_steps_that_do_no_work_count_in_routing(change: Change) -> None:
    g = routing()
    change(g)
    assert together(g, "gate") == ["gate"]


NORMALISED: dict[str, Change] = {
    **{f"{name} reads something else": elsewhere(name) for name in SHARES},
    "is by something else": elsewhere("divided", 1),
    **{f"{name} is another step": another_op(name) for name in SHARES},
    **{f"something is before {name}": with_between(name) for name in SHARES},
    **{f"{name} is read outside": read_outside(name) for name in SHARES[:-1]},
    "total is a result": a_result("total"),
    "gives another type": another_kind("shares"),
    "gives shares with gaps": gap("shares"),
    "gives a row of shares": another_shape("shares", (2, 1, N_TOKENS, 1)),
}
IN_THE_MIDDLE = frozenset(list(NORMALISED)[-3:])


@pytest.mark.parametrize(("name", "change"), NORMALISED.items(), ids=list(NORMALISED))
@pytest.mark.parametrize("scaled", [False, True])
def test_shares_are_normalised_later_where_it(name: str, change: Change, *, scaled: bool) -> None:
    g = routing(normalised=True, scaled=scaled)
    change(g)
    # the form of what is scaled does not matter
    whole = scaled and name in IN_THE_MIDDLE
    assert together(g, "gate") == ([*CHOICE, *SHARES, "scaled"] if whole else CHOICE)


@pytest.mark.parametrize(
    "change", [elsewhere("scaled"), another_op("scaled"), with_between("scaled"), gap("scaled")]
)
def test_shares_are_scaled_later(change: Change) -> None:
    for normalised, rest in ((False, []), (True, SHARES[:-1])):
        g = routing(normalised=normalised, scaled=True)
        change(g)
        assert together(g, "gate") == [*CHOICE, *rest]


@pytest.mark.parametrize("n_used", range(2, 9))
def test_up_to_eight_experts_are_added_up_in_one_step(n_used: int) -> None:
    g = weighted_sum(n_used)
    assert together(g, "product")[-1] == f"sum{n_used - 1}"
    assert len(together(g, "product")) == 2 * n_used
    assert together(weighted_sum(n_used, scaled=True), "product") == together(g, "product")


def test_other_sums_are_many_steps() -> None:
    assert together(weighted_sum(9), "product") == ["product"]
    assert together(weighted_sum(1), "product") == ["product"]
    assert together(weighted_sum(3, in_turn=True), "product") == ["product"]
    assert together(weighted_sum(3, scaled=True), "scaled") == ["scaled"]
    assert together(weighted_sum(3), "product", end="sum2") == ["product"]


def of_one_more_expert(g: Named) -> None:
    another_shape("product", (WIDTH, 4, N_TOKENS, 1), 0)(g)


def of_several_sums(g: Named) -> None:
    another_shape("product", (WIDTH, 3, N_TOKENS, 2), 0)(g)


def view_moved(g: Named) -> None:
    g.nodes.insert(g.at("sum2"), g.nodes.pop(g.at("view2")))


def looks_at_fewer_tokens(g: Named) -> None:
    g["view1"].ne = (WIDTH, 1, 1, 1)


def all_of_another_type(*names: str) -> Change:
    def change(g: Named) -> None:
        for name in names:
            for tensor in (g[name], *g[name].srcs[:2]):
                tensor.type = "I32"

    return change


def test_whole_numbers_are_not_chosen_by_or_added_up_in_one_step() -> None:
    g = routing()
    all_of_another_type("gate", "rows")(g)
    assert together(g, "gate") == ["gate"]
    g = weighted_sum(3)
    all_of_another_type("product", "sum2")(g)
    assert together(g, "product") == ["product"]


SUMS: dict[str, Change] = {
    "is of another type": another_kind("product"),
    "is of experts of another type": another_kind("product", 0),
    "is of shares of another type": another_kind("product", 1),
    "gives another type": another_kind("sum2"),
    "is of one more expert": of_one_more_expert,
    "is of several sums": of_several_sums,
    "has shares for all experts": another_shape("product", (1, 1, N_TOKENS, 1), 1),
    "has shares for all tokens": another_shape("product", (1, 3, 1, 1), 1),
    "has a share for each element": another_shape("product", (WIDTH, 3, N_TOKENS, 1), 1),
    "has shares first": swapped("product"),
    "gives another width": another_shape("sum2", (1, N_TOKENS, 1, 1)),
    "gives fewer tokens": another_shape("sum2", (WIDTH, 1, 1, 1)),
    "gives a cube": another_shape("sum2", (WIDTH, N_TOKENS, 2, 1)),
    "is of experts with gaps": gap("product", 0),
    "is of shares with gaps": gap("product", 1, axis=2),
    "gives gaps": gap("sum2"),
    "looks later": view_moved,
    "is read on the way": read_outside("sum1"),
    "has its product read": read_outside("product"),
    "has a view read": read_outside("view2"),
    "has a result on the way": a_result("sum1"),
    **{f"{name} reads something else": elsewhere(name) for name in ("view0", "view2", "sum1")},
    **{f"{name} adds something else": elsewhere(name, 1) for name in ("sum1", "sum2")},
    "adds to something else": elsewhere("sum2"),
    "adds the sum to a view": swapped("sum2"),
    **{f"{name} is narrower": another_shape(name, (1, N_TOKENS, 1, 1)) for name in ("view1",)},
    "looks at fewer tokens": looks_at_fewer_tokens,
    "looks at packed rows": another_shape("view1", (WIDTH, N_TOKENS, 1, 1)),
    **{f"{name} is another step": another_op(name) for name in ("view1", "sum1", "sum2")},
    "has something between": with_between("view1"),
}


@pytest.mark.parametrize("change", SUMS.values(), ids=list(SUMS))
def test_a_sum_is_many_steps_where_it(change: Change) -> None:
    g = weighted_sum(3)
    change(g)
    assert together(g, "product") == ["product"]
