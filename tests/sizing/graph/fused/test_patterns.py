"""What back ends ask of any sequence of steps: ggml.c (ggml_can_fuse_subgraph_ext) and its like."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from named_steps import Named

from whatfits.sizing.graph.fused.patterns import (
    is_alone,
    is_contiguous_from,
    is_empty,
    keep_outer,
    keep_until,
    reads,
    same_ops,
)
from whatfits.sizing.graph.tensor import OUTPUT, Shape, Tensor

if TYPE_CHECKING:
    from named_steps import Change


def chain() -> Named:
    """Return three activations in a row; the last one looks at what the second made."""
    g = Named()
    first = g.add("first", g.unary(g.leaf("x", 4)))
    second = g.add("second", g.unary(first))
    view = g.add("view", g.reshape(second, 2, 2))
    g.add("last", g.unary(view))
    g.add("next", g.unary(g["last"]))
    return g


@pytest.mark.parametrize(
    ("start", "end", "are_same"),
    [("first", None, True), ("first", "next", True), ("first", "last", False)],
)
def test_a_sequence_is_to_end_within_its_part(
    start: str, end: str | None, *, are_same: bool
) -> None:
    part = chain().part(start, end)
    assert same_ops(part, 0, ("UNARY", "UNARY", "RESHAPE", "UNARY")) is are_same
    assert same_ops(part, 2, ("RESHAPE", "UNARY")) is are_same


@pytest.mark.parametrize(
    "ops", [("SQRT", "UNARY", "RESHAPE"), ("UNARY", "UNARY", "VIEW"), ("UNARY",) * 6]
)
def test_a_sequence_with_another_step_is_another(ops: tuple[str, ...]) -> None:
    assert not same_ops(chain().part(), 0, ops)


def outside(g: Named, name: str) -> None:
    g.add("outside", g.unary(g[name]))


def given_out(g: Named, name: str) -> None:
    g[name].flags |= OUTPUT


ALONE: dict[str, Change] = {
    "as it is": lambda _: None,
    "its last step is read twice": lambda g: outside(g, "last"),
    "its last step is a result": lambda g: given_out(g, "last"),
    "two read within it": lambda g: g.put_before("last", g.like("ADD", g["first"], g["first"])),
    "it looks at a weight": lambda g: looks_elsewhere(g, is_weight=True),
}
NOT_ALONE: dict[str, Change] = {
    "its first step is read outside too": lambda g: outside(g, "first"),
    "its view is read outside too": lambda g: outside(g, "view"),
    "a step on the way is a result": lambda g: given_out(g, "second"),
    "it looks at memory outside": lambda g: looks_elsewhere(g, is_weight=False),
    "a step reads itself": lambda g: setattr(g["second"], "srcs", (g["first"], g["second"])),
    "a step reads what a later one makes": lambda g: g.read("first", 0, g["second"]),
}


def looks_elsewhere(g: Named, *, is_weight: bool) -> None:
    g["view"].view_of = Tensor("NONE", "F32", (4, 1, 1, 1), is_weight=is_weight)


def chain_is_alone(change: Change) -> bool:
    g = chain()
    change(g)
    part = g.part()
    return is_alone(part, part.nodes[: g.at("last") + 1], (g["last"],))


@pytest.mark.parametrize("change", ALONE.values(), ids=list(ALONE))
def test_steps_are_alone(change: Change) -> None:
    assert chain_is_alone(change)


@pytest.mark.parametrize("change", NOT_ALONE.values(), ids=list(NOT_ALONE))
def test_steps_are_not_alone(change: Change) -> None:
    assert not chain_is_alone(change)


def test_what_is_behind_an_output_is_to_be_alone_too() -> None:
    g = chain()
    outside(g, "second")
    part = g.part()
    outputs = (g["second"], g["last"])
    assert is_alone(part, part.nodes[:4], outputs)
    outside(g, "view")
    assert not is_alone(g.part(), part.nodes[:4], outputs)


def test_a_step_that_nobody_reads_is_alone() -> None:
    g = chain()
    assert is_alone(g.part(), (g["next"],), ())
    assert not is_alone(g.part(), (g["last"],), ())


def test_what_is_kept_is_noted_once_for_each_step_in_its_order() -> None:
    g = chain()
    part = g.part()
    keep_until(part, g["next"], (g["second"], g["first"], g["second"]))
    keep_until(part, g["next"], (g["first"], g["view"]))
    keep_until(part, g["last"], (g["first"],))
    assert g.kept(part) == {"next": ["second", "first", "view"], "last": ["first"]}


def test_of_a_group_what_it_has_not_made_itself_is_kept() -> None:
    g = chain()
    g.put_before("view", g.like("ADD", g["first"], g["second"]))
    part = g.part()
    keep_outer(part, g["next"], (g["second"], g["put"], g["view"]))
    assert g.kept(part) == {"next": ["first"]}


def test_a_source_is_read_in_its_place_alone() -> None:
    g = Named()
    a, b = g.leaf("a", 4), g.leaf("b", 4)
    added = g.like("ADD", a, b)
    assert [reads(added, which, a) for which in range(3)] == [True, False, False]
    assert [reads(added, which, b) for which in range(3)] == [False, True, False]
    assert not reads(added, 0, g.leaf("a", 4))


def laid(ne: Shape, nb: Shape, kind: str = "F32") -> Tensor:
    return Tensor("NONE", kind, ne, nb=nb)


# The rule for each: ggml.c (ggml_is_contiguous_n).
LAYOUTS = {
    "without gaps": (laid((2, 3, 4, 5), (4, 8, 24, 96)), (True, True, True)),
    "a gap behind each row": (laid((2, 3, 4, 5), (4, 12, 36, 144)), (False, True, True)),
    "a gap behind each matrix": (laid((2, 3, 4, 5), (4, 8, 28, 112)), (False, False, True)),
    "a gap behind each cube": (laid((2, 3, 4, 5), (4, 8, 24, 100)), (False, False, False)),
    "rows and matrices with gaps": (laid((2, 3, 4, 5), (4, 12, 40, 160)), (False, False, True)),
    "gaps along rows": (laid((2, 3, 4, 5), (8, 16, 48, 192)), (False, False, False)),
    "rows of one element, far apart": (laid((1, 3, 1, 1), (8, 4, 12, 12)), (True, True, True)),
    "one row, wherever the next were": (laid((2, 1, 1, 1), (4, 99, 99, 99)), (True, True, True)),
    "a row and cubes of one row": (laid((2, 1, 3, 1), (4, 99, 8, 24)), (True, False, True)),
    "blocks": (laid((64, 2, 1, 1), (18, 36, 72, 72), "Q4_0"), (True, True, True)),
    "blocks with gaps": (laid((64, 2, 1, 1), (20, 40, 80, 80), "Q4_0"), (False, False, False)),
    "one block a row": (laid((32, 2, 1, 1), (20, 18, 36, 36), "Q4_0"), (True, True, True)),
}


@pytest.mark.parametrize(("tensor", "along"), LAYOUTS.values(), ids=list(LAYOUTS))
def test_gaps_may_be_along_the_first_axes(tensor: Tensor, along: tuple[bool, bool, bool]) -> None:
    assert tuple(is_contiguous_from(tensor, axis) for axis in range(3)) == along


def test_looking_at_memory_is_no_work() -> None:
    g = chain()
    assert [node.name for node in g.nodes if is_empty(node)] == ["view"]
    assert is_empty(g.leaf("x", 1))
