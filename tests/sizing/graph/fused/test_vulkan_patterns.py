"""Vulkan: which steps stay as they are, and what routing keeps.

The sequences are those of ggml-vulkan-types.h, the rules of ggml-vulkan.cpp
(ggml_vk_graph_optimize).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from differing import another_op
from named_steps import N_TOKENS, WIDTH, Named, choice, each_once, routing

from whatfits.sizing.graph.fused.vulkan import fuse
from whatfits.sizing.graph.tensor import VIEWS

if TYPE_CHECKING:
    from whatfits.sizing.graph.tensor import Tensor


def kept(g: Named, start: str | None = None, end: str | None = None) -> dict[str, list[str]]:
    part = g.part(start, end)
    fuse(part)
    return g.kept(part)


def late_softmax() -> Named:
    """Return a graph that chooses experts by their logits, and makes shares of the chosen ones."""
    g = Named()
    logits = g.add("logits", g.unary(g.leaf("x", 8, N_TOKENS)))
    g.add("shown", g.reshape(logits, 1, 8, N_TOKENS))
    ids, rows = choice(g, logits, g["shown"])
    flat = g.add("flat", g.reshape(rows, 2, N_TOKENS))
    soft = g.add("soft", g.like("SOFT_MAX", flat))
    shares = g.add("shares", g.reshape(soft, 1, 2, N_TOKENS))
    weights = g.plain("F32", WIDTH, WIDTH, 8)
    y = g.add("next", g.mul_mat_id(weights, g.leaf("y", WIDTH, 1, N_TOKENS), ids))
    g.add("weighted", g.like("MUL", y, shares))
    return g


def test_what_routing_reads_is_kept_until_its_shares_are_there() -> None:
    assert kept(routing()) == {"rows": ["logits"]}
    assert kept(routing(normalised=True)) == {"shares": ["logits"]}
    for gating in ("sigmoid", "sqrt_softplus"):
        g = routing(gating, biased=True, normalised=True)
        assert kept(g) == {"shares": ["logits", "bias"]}
    assert kept(late_softmax()) == {"shares": ["logits", "shown"]}


def test_a_scale_behind_routing_is_where_it_ends() -> None:
    assert kept(routing(scaled=True)) == {"scaled": ["logits"]}
    assert kept(routing(normalised=True, scaled=True)) == {"scaled": ["logits"]}
    # whatever it scales
    g = late_softmax()
    g.put_before("next", g.like("SCALE", g.leaf("unrelated", 2)))
    assert kept(g) == {"put": ["logits", "shown"]}
    # but not outside the part
    g = routing(scaled=True)
    assert kept(g, end="next") == {"scaled": ["logits"]}
    assert kept(g, end="scaled") == {"rows": ["logits"]}
    assert kept(g, end="rows") == {}


@pytest.mark.parametrize(
    ("gating", "biased", "normalised"),
    [
        ("softmax", True, True),
        ("softmax", True, False),
        ("sigmoid", False, True),
        ("sigmoid", True, False),
        ("sqrt_softplus", False, True),
        ("sqrt_softplus", True, False),
    ],
)
def test_other_routing_keeps_nothing(gating: str, *, biased: bool, normalised: bool) -> None:
    assert kept(routing(gating, biased=biased, normalised=normalised)) == {}


def test_routing_that_was_taken_apart_keeps_nothing() -> None:
    g = routing(normalised=True)
    for name in ("gate", "shown", "order", "ids", "rows"):
        apart = routing(normalised=True)
        another_op(name)(apart)
        assert kept(apart) == {}
    for name in ("flat", "total", "clamped", "divided", "shares"):
        g = routing(normalised=True)
        another_op(name)(g)
        assert kept(g) == {"rows": ["logits"]}


STREAMS = ("SCALE", "UNARY", "SCALE", "DSV4_HC_POST")
TOGETHER = (
    ("MUL", "SIN", "SQR", "MUL", "ADD"),
    ("GET_ROWS", "PERMUTE", "CONT", "CPY", "RESHAPE", "ADD", "TOP_K"),
    ("RMS_NORM", "MUL", "ADD", "MUL"),
    ("RMS_NORM", "MUL", "ADD"),
    ("RMS_NORM", "MUL", "ROPE", "VIEW", "SET_ROWS"),
    ("RMS_NORM", "VIEW", "SET_ROWS"),
    ("ROPE", "VIEW", "SET_ROWS"),
    STREAMS,
)
ROUTING = (
    ("SOFT_MAX", "RESHAPE", "ARGSORT", "VIEW", "GET_ROWS"),
    ("ARGSORT", "VIEW", "GET_ROWS", "RESHAPE", "SOFT_MAX", "RESHAPE"),
)


def in_a_row(*ops: str, independent: bool = True) -> Named:
    """Return steps of these operations, and one behind them that need not wait for any.

    Each reads the one before; of independent ones only what looks at memory does.
    """
    g = Named()
    last: Tensor | None = None
    for at, op in enumerate(ops):
        waits = last is not None and (op in VIEWS or not independent)
        source = last if last is not None and waits else g.leaf(f"leaf{at}", WIDTH)
        last = g.add(f"{at} {op}", g.like(op, source))
    g.add("free", g.like("LOG", g.leaf("y", WIDTH)))
    return g


def put_first(g: Named) -> Tensor:
    """Put an unrelated step before all others."""
    first = g.add("first", g.like("LOG", g.leaf("z", WIDTH)))
    g.nodes.insert(0, g.nodes.pop())
    return first


def names(g: Named, start: str | None = None, end: str | None = None) -> list[str]:
    return each_once(g, g.part(start, end), fuse)


@pytest.mark.parametrize("ops", [*TOGETHER, *ROUTING], ids="-".join)
@pytest.mark.parametrize("independent", [False, True])
def test_sequences_stay_together(ops: tuple[str, ...], *, independent: bool) -> None:
    g = in_a_row(*ops, independent=independent)
    steps = [node.name for node in g.nodes[:-1]]
    assert names(g) == [*steps, "free"]


@pytest.mark.parametrize("ops", [*TOGETHER, *ROUTING], ids="-".join)
def test_the_first_step_of_a_sequence_does_not_come_before_others(ops: tuple[str, ...]) -> None:
    g = in_a_row(*ops, independent=False)
    steps = [node.name for node in g.nodes[:-1]]
    put_first(g)
    assert names(g) == ["first", "free", *steps]
    # it does where the part ends before the sequence
    assert names(g, end=steps[-1])[:2] == ["first", steps[0]]


@pytest.mark.parametrize("ops", TOGETHER, ids="-".join)
def test_of_sequences_only_streams_keep_what_they_read(ops: tuple[str, ...]) -> None:
    assert kept(in_a_row(*ops)) == (
        {"3 DSV4_HC_POST": ["leaf0", "leaf1", "leaf2", "leaf3"]} if ops == STREAMS else {}
    )


@pytest.mark.parametrize("inside", range(7))
def test_no_step_of_a_selection_comes_before_it(inside: int) -> None:
    ops = TOGETHER[1]
    g = in_a_row(*ops)
    steps = [node.name for node in g.nodes[:-1]]
    g.read(steps[0], 0, put_first(g))
    assert names(g) == ["first", "free", *steps]
    # one that is none any more lets its steps go
    another_op(steps[inside])(g)
    assert names(g) != ["first", "free", *steps]


@pytest.mark.parametrize("ops", [ops for ops in TOGETHER if ops[0] != "GET_ROWS"], ids="-".join)
def test_a_later_step_of_a_sequence_may_come_before_it(ops: tuple[str, ...]) -> None:
    g = in_a_row(*ops)
    steps = [node.name for node in g.nodes[:-1]]
    g.read(steps[0], 0, put_first(g))
    working = [name for name in steps[1:] if g[name].op not in VIEWS]
    assert names(g)[:2] == ["first", working[0]]


def test_a_selection_does_not_begin_at_the_end_of_a_part() -> None:
    g = in_a_row(*TOGETHER[1][1:])
    g["free"].op = "GET_ROWS"
    assert names(g)[:3] == ["0 PERMUTE", "1 CONT", "2 CPY"]


def test_a_sequence_whose_step_came_early_is_none_any_more() -> None:
    g = in_a_row("ROPE", "VIEW", "SET_ROWS", "SCALE", "UNARY")
    g.read("0 ROPE", 0, put_first(g))
    assert names(g)[:4] == ["first", "2 SET_ROWS", "3 SCALE", "4 UNARY"]
    assert names(g)[4:] == ["free", "0 ROPE", "1 VIEW"]
