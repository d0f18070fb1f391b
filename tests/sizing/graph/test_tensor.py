"""How tensors and their views lie in memory: as ggml.c has it, worked out by hand."""

from __future__ import annotations

import pytest

from whatfits.sizing.graph.builder import GraphBuilder, shape4
from whatfits.sizing.graph.tensor import NONE, Tensor, contiguous_strides, is_contiguous

SHAPE = (64, 3, 5, 7)
F32, Q8_0_BLOCK = 4, 34  # bytes; 32 elements a block


def leaf(kind: str = "F32", *ne: int) -> Tensor:
    return Tensor(NONE, kind, shape4(ne or SHAPE))


@pytest.mark.parametrize(
    ("kind", "row"), [("F32", 64 * F32), ("F16", 64 * 2), ("Q8_0", 2 * Q8_0_BLOCK)]
)
def test_a_tensor_without_gaps_has_a_row_behind_the_other(kind: str, row: int) -> None:
    strides = (row * 3, row * 15)
    tensor = leaf(kind)
    assert tensor.nb[1:] == (row, *strides)
    assert contiguous_strides(kind, SHAPE) == tensor.nb
    assert is_contiguous(tensor)
    assert tensor.n_bytes == row * 3 * 5 * 7
    assert tensor.n_elements == 64 * 3 * 5 * 7


def test_a_tensor_with_gaps_ends_with_its_last_element() -> None:
    # 9, 2, 4 and 6 steps of an axis, each as long as its stride says
    apart = Tensor(NONE, "F32", (10, 3, 5, 7), nb=(8, 100, 1000, 10_000))
    assert apart.n_bytes == 4 + 9 * 8 + 2 * 100 + 4 * 1000 + 6 * 10_000
    blocks = Tensor(NONE, "Q8_0", (64, 3, 5, 7), nb=(34, 100, 1000, 10_000))
    assert blocks.n_bytes == 2 * 34 + 2 * 100 + 4 * 1000 + 6 * 10_000


@pytest.mark.parametrize("axis", range(4))
def test_a_tensor_with_an_empty_axis_takes_nothing(axis: int) -> None:
    ne = [n if at != axis else 0 for at, n in enumerate(SHAPE)]
    assert leaf("F32", *ne).n_bytes == 0
    assert leaf("F32", 1, 1, 1, 1).n_bytes == F32


@pytest.mark.parametrize(
    ("ne", "nb", "has_gaps"),
    [
        ((64, 3, 5, 7), (4, 256, 768, 3840), False),
        ((64, 3, 5, 7), (8, 256, 768, 3840), True),
        ((64, 3, 5, 7), (4, 260, 780, 3900), True),
        ((64, 3, 5, 7), (4, 256, 772, 3860), True),
        ((64, 3, 5, 7), (4, 256, 768, 3844), True),
        # a dimension of one has no next element that could lie apart
        ((1, 3, 5, 7), (99, 4, 12, 60), False),
        ((1, 3, 5, 7), (4, 8, 24, 120), True),
        ((64, 1, 5, 7), (4, 999, 256, 1280), False),
        ((64, 3, 1, 7), (4, 256, 999, 768), False),
        ((64, 3, 5, 1), (4, 256, 768, 999), False),
    ],
)
def test_gaps_are_seen_in_every_dimension_longer_than_one(
    ne: tuple[int, int, int, int], nb: tuple[int, int, int, int], *, has_gaps: bool
) -> None:
    assert is_contiguous(Tensor(NONE, "F32", ne, nb=nb)) is not has_gaps


def test_a_single_block_has_no_gap_whatever_its_first_stride_says() -> None:
    one = Tensor(NONE, "Q8_0", (32, 3, 1, 1), nb=(99, 99, 297, 297))
    assert is_contiguous(one)
    assert not is_contiguous(Tensor(NONE, "Q8_0", (64, 3, 1, 1), nb=(99, 198, 594, 594)))


def test_layouts_are_the_same_if_type_shape_and_strides_are() -> None:
    a = leaf("F32", 64, 3)
    assert a.same_layout(leaf("F32", 64, 3))
    assert not a.same_layout(leaf("I32", 64, 3))
    assert not a.same_layout(Tensor(NONE, "F32", (64, 4, 1, 1), nb=a.nb))
    assert not a.same_layout(Tensor(NONE, "F32", (64, 3, 1, 1), nb=(4, 256, 768, 999)))


def test_a_view_of_a_view_looks_at_the_memory_below_both() -> None:
    below = leaf()
    c = GraphBuilder()
    view = c.view(c.reshape(below, 64, 105), (64,))
    assert view.root is below
    assert below.root is below
    assert view.srcs[0].op == "RESHAPE"


@pytest.mark.parametrize("kind", ["F32", "Q8_0"])
def test_a_view_without_strides_lies_like_a_tensor_of_its_shape(kind: str) -> None:
    c = GraphBuilder()
    for ne in ((64,), (64, 3), (64, 3, 5), SHAPE):
        assert c.view(leaf(kind), ne).nb == leaf(kind, *ne).nb


def test_a_views_strides_are_those_given_and_then_those_of_its_shape() -> None:
    c, a = GraphBuilder(), leaf()
    assert c.view(a, SHAPE, (1000,)).nb == (4, 1000, 3000, 15_000)
    assert c.view(a, SHAPE, (1000, 9000)).nb == (4, 1000, 9000, 45_000)
    assert c.view(a, SHAPE, (1000, 9000, 70_000)).nb == (4, 1000, 9000, 70_000)
    # those behind the last dimension follow from the shape, whatever is given
    given = (1000, 9000, 70_000)
    assert c.view(a, (64, 3, 5), given).nb == (4, 1000, 9000, 45_000)
    assert c.view(a, (64, 3), given).nb == (4, 1000, 3000, 3000)
    assert c.view(a, (64,), given).nb == (4, 256, 256, 256)
