"""CUDA and ROCm: which routing of experts is one step, and what it keeps.

The conditions are those of ggml-cuda.cu (ggml_cuda_topk_moe_fusion) and topk-moe.cu
(ggml_cuda_should_use_topk_moe); each way not to be one step breaks one of them.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import pytest
from differing import a_result, another_op, elsewhere, gap, read_outside, with_between
from named_steps import Named, routing

from whatfits.sizing.graph.fused.cuda import fuse

if TYPE_CHECKING:
    from named_steps import Change

GATES = {
    "softmax": ["logits", "gate"],
    "sigmoid": ["logits", "gate"],
    "sqrt_softplus": ["logits", "plus", "gate"],
}


def kept(g: Named, start: str | None = None, end: str | None = None) -> dict[str, list[str]]:
    part = g.part(start, end)
    assert list(fuse(part)) == g.nodes[part.start : part.end]
    return g.kept(part)


@pytest.mark.parametrize(
    ("gating", "biased", "normalised", "scaled"), list(product(GATES, *([False, True],) * 3))
)
def test_all_that_routing_makes_and_reads_is_kept_until_the_step_behind_it(
    gating: str, *, biased: bool, normalised: bool, scaled: bool
) -> None:
    g = routing(gating, biased=biased, normalised=normalised, scaled=scaled)
    made = [node.name for node in g.nodes[: g.at("next")]]
    all_kept = kept(g)
    assert list(all_kept) == ["next"]
    extra = {"bias"} if biased else set()
    assert set(all_kept["next"]) == {*made, *extra}
    assert len(all_kept["next"]) == len(made) + len(extra)
    # each step, then what it reads
    first, *others = GATES[gating][1:]
    assert all_kept["next"][: 2 + len(others)] == [first, "logits", *others]


def test_a_part_may_end_with_its_routing() -> None:
    g = routing("sigmoid", biased=True)
    assert list(kept(g, "gate", "next")) == ["next"]
    assert kept(g, "gate", "rows") == {}
    g = routing(normalised=True, scaled=True)
    assert list(kept(g, "gate", "next")) == ["next"]
    assert list(kept(g, "gate", "scaled")) == ["scaled"]
    assert list(kept(g, "gate", "shares")) == ["flat"]  # in a part that ends before the last step
    assert kept(g, "shown") == {}


def test_what_it_reads_may_be_read_by_others_too() -> None:
    g = routing()
    read_outside("logits")(g)
    assert list(kept(g)) == ["next"]


def test_nothing_is_kept_where_no_step_is_behind() -> None:
    g = routing()
    del g.nodes[g.at("next") :]
    assert kept(g) == {}


def test_each_of_several_routings_is_kept() -> None:
    g, second = routing(normalised=True), routing("sqrt_softplus", biased=True)
    for node in second.nodes:
        node.name = f"second {node.name}"
    del g.nodes[g.at("next") :]
    g.nodes += second.nodes
    all_kept = kept(g)
    assert list(all_kept) == ["second logits", "second next"]
    assert "shares" in all_kept["second logits"]
    assert "second rows" in all_kept["second next"]


COUNTS = [1, 2, 4, 128, 256, 288, 512, 576]
OTHER_COUNTS = [3, 6, 287, 384, 510, 575, 577, 1024]


@pytest.mark.parametrize("count", [*COUNTS, *OTHER_COUNTS])
def test_kernels_are_for_some_counts_of_experts(count: int) -> None:
    g = routing(n_experts=count)
    assert bool(kept(g)) is (count in COUNTS)


def with_mask(g: Named) -> None:
    g["gate"].srcs = (g["logits"], g.other("logits"))


def reads_scores_twice(g: Named) -> None:
    g.read("order", 0, g["gate"])


SOFTMAX: dict[str, Change] = {
    "a mask": with_mask,
    "gaps between logits": gap("logits"),
    "gaps between shares": gap("rows"),
    **{f"{name} of another kind": another_op(name) for name in ("gate", "shown", "order", "rows")},
    **{f"{name} of something else": elsewhere(name) for name in ("shown", "order", "ids", "rows")},
    "rows by other ids": elsewhere("rows", 1),
    **{f"{name} is a result": a_result(name) for name in ("gate", "shown", "order")},
    **{f"{name} is read outside": read_outside(name) for name in ("gate", "shown", "order")},
}
STEPS = ("flat", "total", "clamped", "divided", "shares")
BIASED: dict[str, Change] = {
    "the bias is added to something else": elsewhere("scores"),
    "the order is of the unbiased": reads_scores_twice,
    "the order is of something else": elsewhere("order"),
    "another step than an addition": another_op("scores"),
}
ROOTS: dict[str, Change] = {
    "no root": another_op("gate"),
    "the root of something else": elsewhere("gate"),
    "what it is the root of is read outside": read_outside("plus"),
    "the root is looked at elsewhere": elsewhere("shown"),
}
NORMALISED: dict[str, Change] = {
    **{f"{name} of something else": elsewhere(name) for name in STEPS},
    "divided by something else": elsewhere("divided", 1),
    **{f"{name} of another kind": another_op(name) for name in STEPS},
    **{f"a step before {name}": with_between(name) for name in STEPS[1:]},
}


@pytest.mark.parametrize("change", SOFTMAX.values(), ids=list(SOFTMAX))
def test_routing_by_softmax_is_many_steps(change: Change) -> None:
    g = routing()
    change(g)
    assert kept(g) == {}


@pytest.mark.parametrize("change", BIASED.values(), ids=list(BIASED))
@pytest.mark.parametrize("gating", ["softmax", "sigmoid", "sqrt_softplus"])
def test_biased_routing_is_many_steps(gating: str, change: Change) -> None:
    g = routing(gating, biased=True)
    change(g)
    assert kept(g) == {}


@pytest.mark.parametrize("change", ROOTS.values(), ids=list(ROOTS))
@pytest.mark.parametrize("biased", [False, True])
def test_routing_by_roots_is_many_steps(change: Change, *, biased: bool) -> None:
    g = routing("sqrt_softplus", biased=biased)
    change(g)
    assert kept(g) == {}


@pytest.mark.parametrize("change", NORMALISED.values(), ids=list(NORMALISED))
@pytest.mark.parametrize("scaled", [False, True])
def test_shares_that_are_made_to_sum_to_one_in_another_way_are_made_later(
    change: Change, *, scaled: bool
) -> None:
    g = routing(normalised=True, scaled=scaled)
    change(g)
    assert kept(g) == {"flat": ["gate", "logits", "shown", "order", "ids", "rows"]}


@pytest.mark.parametrize("change", [gap("shares"), read_outside("total"), a_result("divided")])
def test_normalised_routing_is_many_steps(change: Change) -> None:
    g = routing(normalised=True)
    change(g)
    assert kept(g) == {}


def test_gaps_in_what_is_scaled_do_not_matter() -> None:
    g = routing(normalised=True, scaled=True)
    gap("shares")(g)
    assert list(kept(g)) == ["next"]


@pytest.mark.parametrize(("normalised", "last"), [(False, "rows"), (True, "shares")])
def test_a_scale_of_something_else_is_no_part_of_it(last: str, *, normalised: bool) -> None:
    g = routing(normalised=normalised, scaled=True)
    elsewhere("scaled")(g)
    all_kept = kept(g)
    assert list(all_kept) == ["scaled"]
    assert last in all_kept["scaled"]
    assert "other" not in all_kept["scaled"]
