"""Vulkan: which activations are multiplied at once.

The rules are those of ggml-vulkan.cpp (ggml_vk_graph_optimize, ggml_vk_can_fuse_unary_mul).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from differing import another_op, gap
from named_steps import N_TOKENS, WIDTH, Named, each_once

from whatfits.sizing.graph.fused.vulkan import fuse
from whatfits.sizing.graph.tensor import Tensor

if TYPE_CHECKING:
    from named_steps import Change


def order(g: Named, start: str | None = None, end: str | None = None) -> list[str]:
    return each_once(g, g.part(start, end), fuse)


def product(*, first: bool = True, kind: str = "F32", n_between: int = 1) -> Named:
    """Return an activation and its product with a leaf, behind steps that wait."""
    g = Named()
    begin = g.add("begin", g.like("LOG", g.leaf("z", WIDTH)))
    active = g.add("active", g.unary(g.leaf("x", WIDTH, N_TOKENS, kind=kind)))
    for at in range(n_between):
        g.add(f"put{at}", g.like("LOG", begin))
    y = g.leaf("y", WIDTH, N_TOKENS, kind=kind)
    g.add("product", g.like("MUL", *((active, y) if first else (y, active))))
    return g


def pulls_product(g: Named) -> bool:
    steps = order(g)
    return steps[steps.index("active") + 1] == "product"


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("kind", ["F32", "F16"])
def test_an_activation_is_multiplied_at_once(kind: str, *, first: bool) -> None:
    assert pulls_product(product(first=first, kind=kind))
    assert pulls_product(product(first=first, kind=kind, n_between=13))
    assert not pulls_product(product(first=first, kind=kind, n_between=14))
    assert not pulls_product(product(first=first, kind="BF16"))


def other_at(*, first: bool) -> int:
    return 1 if first else 0


def typed(name: str) -> Change:
    def change(g: Named) -> None:
        g[name].type = "I32"

    return change


PRODUCTS: dict[str, Change] = {
    "the product is another step": another_op("product"),
    "the product is of another type": typed("product"),
    "the activation is of another type": typed("active"),
    "what is activated has gaps": gap("active", 0, axis=0),
}


@pytest.mark.parametrize("change", PRODUCTS.values(), ids=list(PRODUCTS))
@pytest.mark.parametrize("first", [False, True])
def test_an_activation_is_multiplied_later_where(change: Change, *, first: bool) -> None:
    g = product(first=first)
    change(g)
    assert not pulls_product(g)


def leaf(*ne: int, kind: str = "F32", row: int = 0) -> Tensor:
    shape = (*ne, 1, 1, 1)[:4]
    tensor = Tensor("NONE", kind, shape)  # type: ignore[arg-type]
    first, second, third, fourth = tensor.nb
    tensor.nb = (first * 2, second * 2, third, fourth) if row else (first, second, third, fourth)
    return tensor


@pytest.mark.parametrize("first", [False, True])
def test_what_it_is_multiplied_by_is_of_its_type_and_without_gaps(*, first: bool) -> None:
    for other in (leaf(WIDTH, N_TOKENS, kind="I32"), leaf(WIDTH, N_TOKENS, row=1)):
        g = product(first=first)
        g.read("product", other_at(first=first), other)
        assert not pulls_product(g)
    g = product(first=first)
    rows_apart = leaf(WIDTH, N_TOKENS)
    rows_apart.nb = (4, 32, 96, 96)
    g.read("product", other_at(first=first), rows_apart)
    assert pulls_product(g)
    g["active"].srcs = (rows_apart,)
    assert pulls_product(g)


@pytest.mark.parametrize("first", [False, True])
def test_matrices_of_either_lie_without_gaps(*, first: bool) -> None:
    whole, apart = leaf(WIDTH, N_TOKENS, 2), leaf(WIDTH, N_TOKENS, 2)
    apart.nb = (4, 16, 64, 128)
    for source, other, is_pulled in (
        (whole, whole, True),
        (apart, whole, False),
        (whole, apart, False),
    ):
        g = product(first=first)
        g["active"].ne, g["active"].nb = whole.ne, whole.nb
        g["active"].srcs = (source,)
        g.read("product", other_at(first=first), other)
        assert pulls_product(g) is is_pulled


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("axis", range(4))
def test_the_second_factor_is_repeated_as_often_as_it_fits(axis: int, *, first: bool) -> None:
    for small, large, fits in ((2, 6, True), (6, 6, True), (4, 6, False), (12, 6, False)):
        g = product()
        shapes = [[2, 2, 2, 2], [2, 2, 2, 2]]
        shapes[0][axis], shapes[1][axis] = large, small
        full, part = (leaf(*shape) for shape in shapes)
        active = full if first else part
        g["active"].ne, g["active"].nb = active.ne, active.nb
        g["active"].srcs = (leaf(*active.ne),)
        g["product"].srcs = (g["active"], part) if first else (full, g["active"])
        assert pulls_product(g) is fits


@pytest.mark.parametrize("first", [False, True])
def test_what_it_is_multiplied_by_is_to_be_there(*, first: bool) -> None:
    g = product(first=first)
    g.read("product", other_at(first=first), g["put0"])
    assert not pulls_product(g)
    # a step of the same set is not yet, one of an earlier set is
    g = product(first=first)
    g.read("product", other_at(first=first), g["begin"])
    assert not pulls_product(g)
    early = g.like("LOG", g.leaf("early", WIDTH, N_TOKENS))
    early.name = "early"
    g.nodes.insert(0, early)
    g.read("begin", 0, early)
    g["active"].srcs = (early,)
    g.read("product", other_at(first=first), early)
    assert order(g) == ["early", "begin", "active", "product", "put0"]


def test_the_first_product_that_can_be_is_pulled() -> None:
    g = product(n_between=2)
    g.add("second", g.like("MUL", g["active"], g.leaf("more", WIDTH, N_TOKENS)))
    assert order(g) == ["begin", "active", "product", "put0", "put1", "second"]
    g.read("product", 1, g["put0"])
    assert order(g) == ["begin", "active", "second", "put0", "put1", "product"]
    # products of other things are passed over
    g = product()
    g.put_before("product", g.like("MUL", g["begin"], g.leaf("more", WIDTH, N_TOKENS)))
    assert order(g)[:3] == ["begin", "active", "product"]
    g = product()
    other = g.like("MUL", g.leaf("other", WIDTH, N_TOKENS), g.leaf("more", WIDTH, N_TOKENS))
    g.put_before("product", other)
    assert order(g)[:3] == ["begin", "active", "product"]
