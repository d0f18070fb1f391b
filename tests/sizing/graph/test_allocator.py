"""The allocator against one that knows only which bytes are free, and sizes against addresses."""

from __future__ import annotations

from itertools import groupby, product
from random import Random

import pytest

from whatfits.sizing.graph.allocator import Arena, peaks_of
from whatfits.sizing.graph.steps import Steps
from whatfits.sizing.graph.tensor import Shape, Tensor, contiguous_strides, is_contiguous
from whatfits.sizing.quants.ggml_types import GGML_TYPES

ROOM = 4096


class Bytes:
    """Memory byte by byte: taken is the tightest hole that is large enough, the first of equals."""

    def __init__(self) -> None:
        self.free = [True] * ROOM
        self.peak = 0

    def holes(self) -> list[tuple[int, int]]:
        runs = groupby(range(ROOM), key=lambda at: self.free[at])
        found = [list(run) for is_free, run in runs if is_free]
        return [(run[0], len(run)) for run in found]

    def take(self, size: int) -> int:
        *holes, (end, _) = self.holes()
        fitting = [(room, at) for at, room in holes if room >= size]
        # among equally tight ones ggml takes the last it meets
        tightest = min((room for room, _ in fitting), default=None)
        offset = max((at for room, at in fitting if room == tightest), default=end)
        self.free[offset : offset + size] = [False] * size
        self.peak = max(self.peak, offset + size)
        return offset

    def give_back(self, offset: int, size: int) -> None:
        self.free[offset : offset + size] = [True] * size


@pytest.mark.parametrize("seed", range(25))
def test_every_offset_is_the_one_that_free_bytes_give(seed: int) -> None:
    rng = Random(seed)  # noqa: S311 - test data
    arena, memory = Arena(), Bytes()
    held: list[tuple[int, int]] = []
    for _ in range(120):
        if held and (rng.random() < 0.45 or len(held) > 20):
            offset, size = held.pop(rng.randrange(len(held)))
            arena.give_back(offset, size)
            memory.give_back(offset, size)
        else:
            size = rng.randint(1, 12)
            offset = arena.take(size)
            assert offset == memory.take(size)
            held.append((offset, size))
        assert arena.peak == memory.peak
        assert [block[0] for block in arena.blocks] == [at for at, _ in memory.holes()]
        assert [tuple(block) for block in arena.blocks[:-1]] == memory.holes()[:-1]


def test_nothing_at_all_may_be_given_back_behind_all_that_is_free() -> None:
    arena = Arena()
    assert (arena.take(100), arena.take(0)) == (0, 100)
    arena.give_back(0, 100)
    for _ in range(2):
        arena.give_back(100, 0)
        assert [block[0] for block in arena.blocks] == [0, 100]
    assert (arena.take(40), arena.take(80)) == (0, 40)
    assert arena.peak == 120
    arena.give_back(40, 80)
    assert arena.take(60) == 40


def test_each_arena_has_a_peak_of_its_own() -> None:
    steps = Steps([(0, 10), (1, 4)], [(1, 8), (0, 0, 0, 10), (0, 6), (1, 1, 2, 2)], {}, {})
    assert peaks_of(steps, 3) == (10, 12, 0)


def address(tensor: Tensor, at: tuple[int, ...]) -> int:
    return sum(index * stride for index, stride in zip(at, tensor.nb, strict=True))


@pytest.mark.parametrize("seed", range(20))
def test_a_tensor_reaches_to_its_last_element(seed: int) -> None:
    rng = Random(seed)  # noqa: S311 - test data
    kind = rng.choice(["F32", "F16", "I64"])
    size = GGML_TYPES[kind].block_bytes
    ne: Shape = tuple(rng.randint(1, 4) for _ in range(4))  # type: ignore[assignment]
    plain = Tensor("NONE", kind, ne)
    order = rng.sample(range(4), 4)
    turned = Tensor(
        "PERMUTE",
        kind,
        tuple(ne[axis] for axis in order),  # type: ignore[arg-type]
        nb=tuple(plain.nb[axis] for axis in order),  # type: ignore[arg-type]
        view_of=plain,
    )
    count = ne[0] * ne[1] * ne[2] * ne[3]
    for tensor in (plain, turned):
        places = [address(tensor, at) for at in product(*map(range, tensor.ne))]
        assert tensor.n_elements == count
        assert tensor.n_bytes == max(places) + size == count * size
        in_order = [address(tensor, at[::-1]) for at in product(*map(range, tensor.ne[::-1]))]
        assert is_contiguous(tensor) == (in_order == [n * size for n in range(count)])
    assert plain.nb == contiguous_strides(kind, ne)
    assert turned.root is plain
    assert plain.root is plain


def test_rows_of_blocks_and_of_gaps() -> None:
    blocks = Tensor("NONE", "Q4_K", (512, 3, 2, 5))
    assert blocks.nb == (144, 288, 864, 1728) == contiguous_strides("Q4_K", (512, 3, 2, 5))
    assert blocks.n_bytes == 2 * 144 * 30
    assert is_contiguous(blocks)
    gaps = Tensor("VIEW", "F32", (3, 2, 1, 1), nb=(4, 40, 80, 80), view_of=blocks)
    assert gaps.n_bytes == 40 + 12
    assert not is_contiguous(gaps)
    for axis in range(4):
        ne: Shape = tuple(0 if at == axis else 2 for at in range(4))  # type: ignore[assignment]
        assert Tensor("NONE", "F32", ne).n_bytes == 0
    inner = Tensor("VIEW", "F32", (3, 1, 1, 1), view_of=gaps)
    assert inner.view_of is blocks  # a view of a view looks at the first
