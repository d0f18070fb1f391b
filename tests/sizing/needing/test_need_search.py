"""Which machines are named, on devices of round sizes: the least that holds so much, by counting.

What is tested is which machines are asked about, in which order, and what is told of the first
that runs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from round_devices import (
    BOX,
    CARD,
    EVERY,
    HUGE,
    LARGE,
    ONE_SIZE,
    OPTIONS,
    PART,
    RAM_SIZES,
    TODAY,
    Holds,
    entry,
    fast_gib,
    machine_of,
    model,
    needed,
    pc,
    said,
)

from whatfits.sizing.catalog.rentals import RentalOffer
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.estimate import RateRange
from whatfits.sizing.model import ByteRange
from whatfits.sizing.needing.search import NeedSearch
from whatfits.sizing.units import GIB
from whatfits.sizing.workload import Workload

if TYPE_CHECKING:
    from whatfits.sizing.catalog.device_entries import DeviceEntry

# cards


@pytest.mark.parametrize(
    ("gib", "machines"),
    [
        (1, ["options 8gb + 32gb", "card + 32gb", "large + 96gb"]),
        (8, ["options 8gb + 32gb", "card + 32gb", "large + 96gb"]),
        (9, ["2x options 8gb + 32gb", "card + 32gb", "large + 96gb"]),
        (24, ["card + 32gb", "3x options 8gb + 32gb", "large + 96gb"]),
        (25, ["4x options 8gb + 32gb", "2x card + 48gb", "large + 96gb"]),
        (64, ["8x options 8gb + 64gb", "3x card + 96gb", "large + 96gb"]),
        (65, ["5x options 16gb + 96gb", "large + 96gb", "3x card + 96gb"]),
        (128, ["8x options 16gb + 128gb", "6x card + 192gb", "2x large + 192gb"]),
        (129, ["6x card + 192gb", "2x large + 192gb"]),
        (192, ["8x card + 192gb", "3x large + 256gb"]),
        (193, ["3x large + 256gb"]),
        (640, ["8x large + 768gb"]),
        (641, []),
    ],
)
def test_of_each_card_the_fewest_of_the_least_memory_are_named(
    gib: int, machines: list[str]
) -> None:
    found = needed(gib, *EVERY[:4])
    assert sorted(said(found.cards)) == sorted(machines)
    sizes = [row.memory_gib for row in found.cards]
    assert sizes == sorted(sizes)
    assert all(row.memory_gib >= gib and 1 <= row.devices <= 8 for row in found.cards)
    assert all(row.high_bytes == gib * GIB for row in found.cards)


def test_the_largest_pc_has_the_largest_ram_there_is() -> None:
    assert said(needed(1100, HUGE).cards) == ["4x huge + 1024gb"]


def test_the_cheapest_card_comes_first() -> None:
    dear, cheap = replace(CARD, launch_price_usd=999), replace(LARGE, launch_price_usd=100)
    found = needed(1, OPTIONS, dear, cheap)
    assert said(found.cards) == ["large + 96gb", "card + 32gb", "options 8gb + 32gb"]
    assert [row.launch_price_usd for row in found.cards] == [100, 999, None]


def test_what_cannot_hold_the_weights_is_not_tried() -> None:
    trials = Holds(40)
    search = NeedSearch(model(24), Workload(), trials, machine_of=machine_of)  # type: ignore[arg-type]
    search.need([CARD, BOX], here=pc())
    asked = [fast_gib(machine) for machine in trials.asked[1:]]  # the first is the machine itself
    # a card, and memory, of exactly the weights has no room beside them
    assert asked == [48, 32, 64, 32, 48, 32, 48, 48]


def test_what_cannot_hold_weights_and_caches_is_not_tried() -> None:
    trials = Holds(1)
    trials.least_cache_bytes = 40 * GIB
    search = NeedSearch(model(24), Workload(), trials, machine_of=machine_of)  # type: ignore[arg-type]
    found = search.need([CARD], here=pc())
    # 64 GiB is both, with no room beside them
    assert said(found.cards) == ["3x card + 96gb"]
    assert found.ram is not None
    assert found.ram.machine == "96gb"


@pytest.mark.parametrize(("low_gib", "first"), [(64, 48), (63, 32), (16, 16), (15, 8)])
def test_of_weights_that_are_not_known_half_the_least_is_looked_at(
    low_gib: int, first: int
) -> None:
    unsure = ByteRange(low_gib * GIB, 80 * GIB, 90 * GIB, "unread")
    trials = Holds(1)
    spec = replace(model(500), weights=unsure)
    search = NeedSearch(spec, Workload(), trials, machine_of=machine_of)  # type: ignore[arg-type]
    found = search.need([], here=pc())
    assert found.ram is not None
    assert found.ram.machine == f"{first}gb"


# one memory, and plain RAM


@pytest.mark.parametrize(
    ("gib", "machines"),
    [
        (16, ["box 16gb", "superchip", "one-size"]),
        (17, ["box 32gb", "superchip", "one-size"]),
        (64, ["box 64gb", "superchip", "one-size"]),
        (65, ["superchip", "one-size"]),
        (97, ["one-size"]),
        (129, []),
    ],
)
def test_of_each_machine_of_one_memory_the_least_is_named(gib: int, machines: list[str]) -> None:
    found = needed(gib, *EVERY)
    assert said(found.shared) == machines
    assert {row.devices for row in found.shared} <= {1}
    assert {"superchip", "one-size"} & set(said(found.cards)) == set()


def test_machines_of_one_memory_that_cannot_hold_the_weights_are_passed_over() -> None:
    assert said(needed(20, PART, BOX, ONE_SIZE, weights_gib=32).shared) == ["box 64gb", "one-size"]


@pytest.mark.parametrize("gib", RAM_SIZES)
def test_the_least_plain_ram_is_a_size_that_can_be_bought(gib: int) -> None:
    for need, size in ((gib, gib), (gib + 0.5, next((s for s in RAM_SIZES if s > gib), None))):
        ram = needed(need).ram
        assert (None if ram is None else ram.machine) == (None if size is None else f"{size}gb")
        if ram is not None:
            assert (ram.name, ram.devices, ram.memory_gib) == ("a PC without a card", 0, size)


@pytest.mark.parametrize("gib", RAM_SIZES)
def test_beside_cards_there_is_as_much_ram_as_they_have(gib: int) -> None:
    sized = entry("sized", "discrete", gib)
    search = NeedSearch(
        model(1),
        Workload(),
        Holds(gib),  # type: ignore[arg-type]
        machine_of=lambda expression: pc(gib) if "sized" in expression else pc(ram_gib=8),
    )
    (row,) = search.need([sized], here=pc(ram_gib=0.5)).cards
    assert row.machine == f"sized + {max(32, gib)}gb"


# speed


def test_a_floor_leaves_out_what_is_slower_or_of_unknown_speed() -> None:
    rates = {8: 10.0, 16: 20.0, 24: 19.9, 80: None}
    found = needed(8, *EVERY[:3], rates=rates, least=20.0)
    assert said(found.cards) == ["2x options 8gb + 32gb"]
    assert found.cards[0].decode_tokens_per_s == RateRange(20.0, 20.0, 20.0)
    assert found.ram is not None
    assert found.ram.machine == "16gb"
    free = needed(8, *EVERY[:3], rates=rates)
    assert said(free.cards) == ["options 8gb + 32gb", "card + 32gb", "large + 96gb"]


# rented


def offer(device: DeviceEntry, price: float, least: int = 1) -> RentalOffer:
    return RentalOffer(
        provider="Somewhere",
        device=device.id,
        offered_as=device.id,
        terms="on-demand",
        usd_per_gpu_hour=price,
        least_gpus=least,
        as_of="2026-11-01",
        source="a price list",
        checked="2026-11-02",
    )


def test_rented_are_the_fewest_that_hold_it_and_that_are_let_cheapest_first() -> None:
    offers = (
        offer(CARD, 1.0),
        offer(CARD, 0.5),
        offer(OPTIONS, 0.1),
        offer(LARGE, 4.0, least=8),
        offer(LARGE, 3.0),
    )
    found = needed(40, *EVERY, offers=offers, today=TODAY).rented
    assert [(row.machine, row.usd_per_hour) for row in found] == [
        ("5x options 8gb + 48gb", 0.5),
        ("2x card + 48gb", 1.0),
        ("2x card + 48gb", 2.0),
        ("large + 96gb", 3.0),
        ("8x large + 768gb", 32.0),
    ]
    assert {row.age_days for row in found} == {25}
    assert needed(40, *EVERY, offers=offers).rented == ()
    assert needed(200, CARD, offers=offers[:1], today=TODAY).rented == ()


def test_offers_of_one_device_are_tried_once() -> None:
    trials = Holds(24)
    search = NeedSearch(model(1), Workload(), trials, machine_of=machine_of)  # type: ignore[arg-type]
    found = search.rented([CARD], [offer(CARD, 2.0), offer(CARD, 1.0)], today=TODAY)
    assert [row.usd_per_hour for row in found] == [1.0, 2.0]
    assert len(trials.asked) == 1


# the request


def test_a_request_that_no_machine_takes_is_refused() -> None:
    trials = Holds(24)
    trials.refuses = True
    search = NeedSearch(model(1), Workload(), trials, machine_of=machine_of)  # type: ignore[arg-type]
    with pytest.raises(InvalidRequestError):
        search.need([CARD], here=pc())


def test_the_workload_is_told_as_it_was_asked_for() -> None:
    assert needed(24, CARD).workload == Workload(context_tokens=512)
