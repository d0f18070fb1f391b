"""A search for a split step by step: what it tries, what it learns, and when it ends.

Layers take a byte where nothing else is said, and cards have a few bytes.
"""

from __future__ import annotations

import random

import pytest
from every_split import elsewhere, every_split
from plain_bills import PlainBill, cards, settings_of

from whatfits.sizing.search.split_search import split_counts
from whatfits.sizing.workload import PlacementRequest

ANY = PlacementRequest()
SIX = (1,) * 6
LARGE_OUTPUT = (1, 1, 1, 1, 1, 4)


def held(bill: PlainBill, request: PlacementRequest = ANY) -> tuple[int, ...] | None:
    """Return the split that a search ends with."""
    trial = bill.search(request).holding(request)
    return None if trial is None else split_counts(trial.placement)


# the first try


def test_where_the_own_split_holds_the_request_stays_as_it_is() -> None:
    bill = PlainBill(cards(3, 3), SIX)
    trial = bill.search().holding(ANY)
    assert trial is not None
    assert trial.request == ANY
    assert bill.tried == [(3, 3)]


def test_another_split_is_told_by_its_layer_counts() -> None:
    bill = PlainBill(cards(5, 5), LARGE_OUTPUT)
    trial = bill.search().holding(ANY)
    assert trial is not None
    assert trial.request == PlacementRequest(tensor_split=(4.0, 2.0))
    assert bill.tried == [(4, 2)]


def test_a_byte_less_than_the_layers_take_is_no_room() -> None:
    assert held(PlainBill(cards(4, 5), LARGE_OUTPUT)) == (4, 2)
    assert held(PlainBill(cards(5, 4), LARGE_OUTPUT)) == (5, 1)
    none = PlainBill(cards(4, 4), LARGE_OUTPUT)
    assert held(none) is None
    assert none.tried == []


def test_what_lies_beside_layers_takes_its_part_of_a_card() -> None:
    assert held(PlainBill(cards(5, 5), SIX, [[2]])) == (3, 3)
    assert held(PlainBill(cards(4, 4), SIX, [[2]])) == (2, 4)
    assert held(PlainBill(cards(3, 3), SIX, [[2]])) is None


def test_a_card_without_a_byte_stays_empty() -> None:
    bill = PlainBill(cards(0, 6), SIX)
    assert held(bill) == (0, 6)
    assert bill.tried == [(0, 6)]
    overfull = PlainBill(cards(0, 6), SIX, [[1]])
    assert held(overfull) is None
    assert overfull.tried == [(0, 6)]


def test_each_kind_of_card_has_its_own_bytes_a_layer() -> None:
    """On a card of the other kind each layer takes two bytes."""
    assert held(PlainBill(cards(6, 4, kinds=" o"), SIX)) == (4, 2)
    assert held(PlainBill(cards(4, 6, kinds="o "), SIX)) == (2, 4)


@pytest.mark.parametrize("ram_bytes", [0, None])
def test_the_host_is_not_asked_for_room(ram_bytes: int | None) -> None:
    request = PlacementRequest(gpu_layers=5)
    bill = PlainBill(cards(2, 3, ram_bytes=ram_bytes), SIX)
    assert held(bill, request) == (2, 3)
    assert bill.tried == [(2, 3)]


def test_layers_of_the_host_count_on_no_card() -> None:
    """Of five layers on cards the first of six lies on the host."""
    five = PlacementRequest(gpu_layers=5)
    assert held(PlainBill(cards(2, 3), (9, 1, 1, 1, 1, 1)), five) == (2, 3)
    assert held(PlainBill(cards(2, 3), (1, 9, 1, 1, 1, 1)), five) is None


# what is learnt


def test_working_memory_is_left_out_where_no_split_holds_with_it() -> None:
    """The first card takes three bytes beside three layers, and one beside fewer."""
    bill = PlainBill(cards(3, 4), SIX, [[1, 1, 1, 3]], working=2)
    assert held(bill) == (2, 4)
    assert bill.tried == [(2, 4)]
    certain = PlainBill(cards(3, 4), SIX, [[1, 1, 1, 3]], working=0)
    assert held(certain) is None
    assert certain.tried == []


def test_working_memory_is_counted_where_a_split_holds_with_it() -> None:
    bill = PlainBill(cards(4, 5), SIX, [[2]], working=2)
    assert held(bill) == (2, 4)
    assert bill.tried == [(2, 4)]


def test_working_memory_is_counted_once_something_was_tried() -> None:
    """Two layers do not hold; without working memory it would be worth a try with three again."""
    bill = PlainBill(cards(4, 4), SIX, [[0, 0, 3, 4]], working=2)
    assert held(bill) is None
    assert bill.tried == [(2, 4)]


def test_a_card_that_overflowed_takes_what_it_took() -> None:
    """The second card takes two bytes beside any number of layers but its own three."""
    bill = PlainBill(cards(2, 5), SIX, [[0], [2, 2, 2, 0, 2]])
    assert held(bill) is None
    assert bill.tried == [(2, 4)]


def test_a_card_that_overflowed_with_less_than_before_takes_less() -> None:
    """Ten bytes beside its own four layers leave no room; five of them are working memory."""
    bill = PlainBill(cards(8, 6), (1,) * 8, [[6, 6, 6, 6, 10]], working=5)
    assert held(bill) == (2, 6)
    assert bill.tried == [(3, 5), (2, 6)]


def test_a_card_that_is_full_to_the_byte_did_not_overflow() -> None:
    """Beside four layers the first card took a byte, beside its own three none: none is known."""
    bill = PlainBill(cards(5, 3), SIX, [[0, 0, 0, 0, 1, 0], [2, 2, 2, 1]])
    assert held(bill) == (5, 1)
    assert bill.tried == [(4, 2), (5, 1)]


def test_a_card_with_room_takes_the_least_it_took() -> None:
    """Of three cards the last is too small, and the first takes less the more it has."""
    bill = PlainBill(cards(5, 5, 1), SIX, [[4, 3, 2, 1, 0], [0, 0, 0, 3, 0]])
    assert held(bill) == (3, 2, 1)
    assert bill.tried == [(2, 3, 1), (3, 2, 1)]


# the end


@pytest.mark.parametrize(("beside_six", "found"), [(3, (14, 6)), (4, None)])
def test_four_splits_are_tried_and_no_fifth(beside_six: int, found: tuple[int, int] | None) -> None:
    """Each layer less on the second card comes with a byte more beside the rest; 5 + 4 hold."""
    second = [0, 0, 0, 0, 0, 4, beside_six, 3, 2, 1, 0]
    bill = PlainBill(cards(20, 9), (1,) * 20, [[0], second])
    assert held(bill) == found
    assert bill.tried == [(11, 9), (12, 8), (13, 7), (14, 6)]


def test_a_nearer_split_is_looked_for_with_what_was_learnt() -> None:
    """Beside its own ten layers the first card takes four bytes, beside fewer less."""
    first = [0, 0, 0, 0, 0, 0, 0, 0, 3, 3, 4]
    bill = PlainBill(cards(12, 20), (1,) * 20, [first])
    assert held(bill) == (9, 11)
    assert bill.tried == [(8, 12), (9, 11)]


def test_the_split_that_held_stays_where_a_nearer_one_does_not_hold() -> None:
    first = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4]
    bill = PlainBill(cards(12, 20), (1,) * 20, [first])
    assert held(bill) == (8, 12)
    assert bill.tried == [(8, 12), (10, 10)]


def test_after_a_split_that_held_none_that_moves_more_is_tried() -> None:
    """Moving three layers holds, moving two does not; what was learnt by that would move four."""
    first = [0, 0, 0, 0, 0, 0, 0, 4, 6, 6, 5]
    bill = PlainBill(cards(12, 20), (1,) * 20, [first])
    assert held(bill) == (7, 13)
    assert bill.tried == [(7, 13), (8, 12)]


def test_after_a_split_that_held_none_that_moves_as_many_is_tried() -> None:
    """Moving two layers holds; with what was learnt (2, 0, 4) would come before it."""
    rows = [[0, 1, 0], [1, 0, 1, 0], [1, 1, 2, 1, 0]]
    bill = PlainBill(cards(6, 1, 5), SIX, rows)
    assert held(bill) == (3, 0, 3)
    assert bill.tried == [(3, 0, 3)]


@pytest.mark.parametrize("seed", range(40))
def test_what_is_the_same_beside_any_layers_is_answered_by_the_nearest_split(seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 - cases, no secrets
    layers = [draw.choice([1, 2, 5]) for _ in range(8)]
    n_cards = draw.choice([2, 3])
    machine = cards(*(draw.randint(0, 2 * sum(layers) // n_cards) for _ in range(n_cards)))
    bill = PlainBill(machine, layers, [[draw.randint(0, 3)] for _ in range(n_cards)])
    own = bill.own(ANY)
    moved = [elsewhere(split, own) for split in every_split(8, n_cards) if bill.holds(split)]
    found = held(bill)
    assert (found is None) == (not moved)
    if found is not None:
        assert elsewhere(found, own) == min(moved)
        assert bill.tried == [found]


# what is left


def test_what_is_left_is_told_for_a_context_and_for_fewer_layers() -> None:
    bill = PlainBill(cards(9, 9), SIX, [[2], [1]])
    search = bill.search()
    assert search.left_bytes(ANY) == 9 + 9 - 6 - 3
    assert search.left_bytes(PlacementRequest(gpu_layers=2)) == 9 + 9 - 2 - 3
    longer = settings_of(2 * PlainBill.step)  # a byte more for each layer
    assert search.left_bytes(ANY, longer) == 9 + 9 - 12 - 3
    assert search.left_bytes(ANY, settings_of(3 * PlainBill.step)) == -6
