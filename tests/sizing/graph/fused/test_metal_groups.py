"""Metal: which steps stay together.

The conditions are those of ggml-metal-fusion.cpp (ggml_metal_fusion_max and the checks of its
table); each way to be less than a whole sequence breaks one of them.
"""

from __future__ import annotations

from itertools import product
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
from named_steps import WIDTH, Named, norm, routing, sums, together

from whatfits.sizing.graph.fused.metal_groups import length_of_group
from whatfits.sizing.graph.tensor import Tensor

if TYPE_CHECKING:
    from named_steps import Change

NORMS = ("NORM", "RMS_NORM")


@pytest.mark.parametrize(
    ("op", "rest"), list(product(NORMS, [("MUL",), ("MUL", "ADD"), ("SCALE",)]))
)
def test_a_norm_stays_with_what_follows_it(op: str, rest: tuple[str, ...]) -> None:
    whole = ["norm", *map(str.lower, rest)]
    g = norm(op, *rest)
    assert together(g, "norm") == whole
    assert together(g, "norm", "norm", "next") == whole
    assert together(g, "norm", "norm", whole[-1]) == whole[:-1]


@pytest.mark.parametrize(
    ("op", "rest", "n_together"),
    [
        ("RMS_NORM", ("ADD",), 1),
        ("RMS_NORM", ("MUL", "SCALE"), 2),
        ("NORM", ("SCALE", "MUL"), 2),
        ("NORM", ("MUL", "MUL"), 2),
        ("L2_NORM", ("MUL",), 1),
        ("GROUP_NORM", ("MUL", "ADD"), 1),
    ],
)
def test_a_norm_does_not_stay_with_others(op: str, rest: tuple[str, ...], n_together: int) -> None:
    g = norm(op, *rest)
    # `mul` twice over has one name
    assert length_of_group(g.part(), 0) == n_together


def view_before(name: str) -> Change:
    def change(g: Named) -> None:
        g.put_before(name, g.reshape(g.leaf("unrelated", 6), 2, 3))

    return change


def step_ways(name: str) -> dict[str, Change]:
    """Return what keeps a product or an addition from the norm or sum before it."""
    return {
        "reads something else": elsewhere(name),
        "reads it as the second": swapped(name),
        "is of another shape": another_shape(name, (WIDTH, 1, 1, 1)),
        "is of another type": another_kind(name),
        "has a narrower weight": another_shape(name, (1, 1, 1, 1), 1),
        "has a weight with gaps in its rows": gap(name, 1, axis=0),
        "is behind another step": with_between(name),
    }


@pytest.mark.parametrize("change", step_ways("mul").values(), ids=list(step_ways("mul")))
@pytest.mark.parametrize("rest", [("MUL",), ("MUL", "ADD")])
@pytest.mark.parametrize("op", NORMS)
def test_a_norm_is_alone_where_its_product(op: str, rest: tuple[str, ...], change: Change) -> None:
    g = norm(op, *rest)
    change(g)
    assert together(g, "norm") == ["norm"]


@pytest.mark.parametrize("change", step_ways("add").values(), ids=list(step_ways("add")))
@pytest.mark.parametrize("op", NORMS)
def test_a_norm_stays_with_its_product_alone_where_its_sum(op: str, change: Change) -> None:
    g = norm(op, "MUL", "ADD")
    change(g)
    assert together(g, "norm") == ["norm", "mul"]


SEEN: dict[str, Change] = {"read outside": read_outside("norm"), "a result": a_result("norm")}


@pytest.mark.parametrize("rest", [("MUL",), ("MUL", "ADD"), ("SCALE",)])
@pytest.mark.parametrize("change", SEEN.values(), ids=list(SEEN))
def test_a_norm_is_alone_where_it_is_seen_itself(rest: tuple[str, ...], change: Change) -> None:
    g = norm("RMS_NORM", *rest)
    change(g)
    assert together(g, "norm") == ["norm"]


SCALE: dict[str, Change] = {
    "of something else": elsewhere("scale"),
    "of another type": another_kind("scale"),
    "of another shape": another_shape("scale", (WIDTH, 1, 1, 1)),
}


@pytest.mark.parametrize("change", SCALE.values(), ids=list(SCALE))
def test_a_norm_is_alone_before_a_scale(change: Change) -> None:
    g = norm("NORM", "SCALE")
    change(g)
    assert together(g, "norm") == ["norm"]


def test_a_row_of_one_element_or_of_one_block_has_no_gaps() -> None:
    g = norm("RMS_NORM", "MUL", width=1)
    gap("mul", 1, axis=0)(g)
    assert together(g, "norm") == ["norm", "mul"]
    g = norm("RMS_NORM", "MUL", width=64)
    for kind, first, n_together in (("Q4_0", 18, 2), ("Q4_0", 20, 1), ("F16", 2, 2), ("F16", 4, 1)):
        weight = Tensor("NONE", kind, (64, 1, 1, 1), nb=(first, 64, 64, 64))
        g.read("mul", 1, weight)
        assert length_of_group(g.part(), 0) == n_together


@pytest.mark.parametrize(
    ("count", "n_together"),
    [(1, 1), (2, 2), (7, 7), (8, 7), (9, 9), (14, 14), (15, 14), (16, 16), (17, 16), (24, 16)],
)
def test_sums_stay_together_by_sevens_and_sixteen_at_most(count: int, n_together: int) -> None:
    assert length_of_group(sums(count).part(), 0) == n_together


def test_a_sequence_that_ends_behind_the_sixteenth_step_is_none() -> None:
    for count, n_together in ((7, 12), (13, 16), (14, 14)):
        g, choice = sums(count), routing()
        del g.nodes[g.at("next") :]
        g.nodes += choice.nodes[choice.at("gate") :]
        assert length_of_group(g.part(), 0) == n_together


SUMS: dict[str, Change] = {
    "adds to something else": elsewhere("sum2"),
    "adds the sum to something": swapped("sum2"),
    "adds what has gaps": gap("sum2", 1),
    "adds another type": another_kind("sum2", 1),
    "adds one row": another_shape("sum2", (WIDTH, 1, 1, 1), 1),
    "is of another shape": another_shape("sum2", (WIDTH, 1, 1, 1)),
    "is no addition": another_op("sum2"),
    "is behind another step": with_between("sum2"),
    "is of a sum read outside": read_outside("sum1"),
    "is of a sum that is a result": a_result("sum1"),
}


@pytest.mark.parametrize("change", SUMS.values(), ids=list(SUMS))
def test_sums_end_where_the_third(change: Change) -> None:
    g = sums(3)
    change(g)
    assert together(g, "sum0") == ["sum0", "sum1"]


def test_a_step_between_may_look_at_memory_and_what_looks_is_alone() -> None:
    g = sums(3)
    view_before("sum2")(g)
    assert together(g, "sum0") == ["sum0", "sum1", "put", "sum2"]
    assert together(g, "put") == ["put"]


def test_a_group_of_views_is_cut_off_at_sixteen_nodes() -> None:
    g = sums(3)
    for _ in range(13):
        view_before("sum2")(g)
    assert len(together(g, "sum0")) == 16  # of which the third sum is the last
    view_before("sum2")(g)
    assert together(g, "sum0") == ["sum0", "sum1", *["put"] * 14]


def test_sequences_stay_together_end_to_end() -> None:
    g = norm("RMS_NORM", "MUL")
    more = sums(2)
    del g.nodes[g.at("next") :]
    g.nodes += more.nodes
    assert together(g, "norm") == ["norm", "mul", "sum0", "sum1"]
    assert together(g, "mul") == ["mul"]
