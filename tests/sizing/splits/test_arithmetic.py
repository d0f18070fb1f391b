"""Splits of layers over devices, held against every split there is."""

from __future__ import annotations

import random
from itertools import accumulate, pairwise, product
from operator import le

import pytest
from every_split import elsewhere, every_split

from whatfits.sizing.placement import layer_devices
from whatfits.sizing.search.splits import left_bytes, moved_layers, nearest_split

SEEDS = range(60)


def holds(layer_bytes: list[list[int]], room_bytes: list[int], counts: tuple[int, ...]) -> bool:
    ends = [0, *accumulate(counts)]
    return all(
        start == end or sum(column[start:end]) <= room
        for column, room, (start, end) in zip(layer_bytes, room_bytes, pairwise(ends), strict=True)
    )


def case(seed: int) -> tuple[list[list[int]], list[int], tuple[int, ...]]:
    """Return what layers of unequal size take on two to four devices, their rooms, and a split."""
    draw = random.Random(seed)  # noqa: S311 - cases, no secrets
    n_devices, n_layers = draw.randint(2, 4), draw.randint(1, 9)
    column = [draw.choice([1, 2, 3, 10]) for _ in range(n_layers)]
    rows = [[size + draw.choice([0, 0, 1]) for size in column] for _ in range(n_devices)]
    rooms = [draw.randint(-2, 2 * sum(column) // n_devices) for _ in range(n_devices)]
    return rows, rooms, draw.choice(list(every_split(n_layers, n_devices)))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_nearest_split_is_that_of_all_there_are(seed: int) -> None:
    rows, rooms, own = case(seed)
    good = [split for split in every_split(len(rows[0]), len(rows)) if holds(rows, rooms, split)]
    found = nearest_split(rows, rooms, own)
    assert (found is None) == (not good)
    if found is not None:
        assert found in good
        assert elsewhere(found, own) == min(elsewhere(split, own) for split in good)


@pytest.mark.parametrize("n_devices", [1, 2, 3])
def test_of_every_split_of_four_layers_into_every_room_the_nearest_is_found(n_devices: int) -> None:
    """Of equally near ones the one with more layers on the last device, then the one before."""
    splits = list(every_split(4, n_devices))
    rows = [[1] * 4] * n_devices
    for rooms in product(range(5), repeat=n_devices):
        good = [split for split in splits if all(map(le, split, rooms))]
        for own in splits:
            near = sorted(good, key=lambda split, own=own: (elsewhere(split, own), _last(split)))
            assert nearest_split(rows, list(rooms), own) == (near[0] if near else None)


def _last(split: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(-count for count in reversed(split))


def test_a_device_without_layers_needs_no_room() -> None:
    rows = [[5, 5], [5, 5]]
    assert nearest_split(rows, [-1, 10], (1, 1)) == (0, 2)
    assert nearest_split(rows, [-1, 9], (1, 1)) is None


def test_both_answers_are_among_the_cases() -> None:
    answers = {nearest_split(*case(seed)) is None for seed in SEEDS}
    assert answers == {True, False}


@pytest.mark.parametrize("seed", SEEDS)
def test_room_is_left_exactly_where_some_split_holds(seed: int) -> None:
    rows, rooms, own = case(seed)
    assert (left_bytes(rows, rooms) >= 0) == (nearest_split(rows, rooms, own) is not None)


def test_what_is_left_is_the_room_of_all_or_what_found_no_place() -> None:
    rows = [[5, 5, 5], [5, 5, 5]]
    assert left_bytes(rows, [12, 9]) == 12 + 9 - 15
    assert left_bytes(rows, [12, 4]) == -5
    assert left_bytes(rows, [-1, 16]) == 1  # a device without layers needs none
    assert left_bytes(rows, [15, 0]) == 0
    # as the last device would hold it
    assert left_bytes([[5, 5, 5], [7, 7, 7]], [6, 7]) == -7
    assert left_bytes([[5, 5, 5], [6, 6, 6], [7, 7, 7]], [5, 5, 7]) == -7


@pytest.mark.parametrize("seed", SEEDS)
def test_moved_layers_are_those_on_another_device(seed: int) -> None:
    rows, _, own = case(seed)
    for split in every_split(len(rows[0]), len(rows)):
        assert moved_layers(split, own) == elsewhere(split, own)


@pytest.mark.parametrize("n_layers", [1, 2, 33, 49, 81, 127])
def test_layer_counts_as_shares_give_those_counts_back(n_layers: int) -> None:
    """In llama.cpp's own arithmetic, 32-bit floats and all, also where some stay on the host."""
    for split in every_split(n_layers, 2 if n_layers > 50 else 3):
        for on_host in (0, 3):
            places = layer_devices(n_layers - 1 + on_host, n_layers, [float(n) for n in split])
            assert tuple(places.count(device) for device in range(len(split))) == split
            assert places.count(None) == on_host
