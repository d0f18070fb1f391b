"""What is added to a machine: cards behind its own, or RAM, the least that is enough."""

from __future__ import annotations

from dataclasses import replace

import pytest
from round_devices import (
    BOX,
    CARD,
    CPU,
    EVERY,
    LAPTOP,
    OPTIONS,
    RAM_SIZES,
    RED,
    Holds,
    fast_gib,
    machine_of,
    model,
    needed,
    pc,
    said,
)

from whatfits.sizing.api import load_machine
from whatfits.sizing.machine import Device, Machine, Pool
from whatfits.sizing.needing.search import NeedSearch
from whatfits.sizing.units import GIB
from whatfits.sizing.workload import Workload


def test_nothing_is_added_where_it_runs() -> None:
    found = needed(8, *EVERY, here=pc(8))
    assert (found.runs_here, found.additions) == (True, ())
    assert not needed(9, *EVERY, here=pc(8)).runs_here


def test_cards_are_added_to_those_that_are_there() -> None:
    found = needed(70, CARD, OPTIONS, RED, BOX, LAPTOP, here=pc(24, 24))
    assert said(found.additions) == ["card", "3x options 8gb"]
    assert [row.memory_gib for row in found.additions] == [24, 24]
    assert said(needed(240, CARD, OPTIONS, here=pc(24, 24)).additions) == ["8x card"]
    assert said(needed(241, CARD, OPTIONS, here=pc(24, 24)).additions) == []


def test_a_card_of_another_maker_is_added_only_where_there_is_none() -> None:
    assert said(needed(24, RED, CARD, here=pc(8, kind="rocm")).additions) == ["red"]
    both = needed(24, RED, CARD, here=pc(ram_gib=None)).additions
    assert said(both) == ["card", "red"]


@pytest.mark.parametrize("machine", ["rtx 3050 laptop 4gb + 16gb", "rtx 4060 laptop + 32gb"])
def test_no_card_goes_into_a_laptop(machine: str) -> None:
    found = needed(70, CARD, OPTIONS, RED, here=load_machine(machine))
    assert found.additions == ()
    assert found.cards
    named = load_machine("rtx 4060 8gb + 32gb")
    device = replace(named.accelerators[0], name="NVIDIA GeForce RTX 4060 Laptop GPU")
    read = replace(named, devices=(device, *named.devices[1:]))
    assert needed(70, CARD, here=named).additions
    assert needed(70, CARD, here=read).additions == ()


def test_the_present_cards_count_towards_the_weights() -> None:
    # 12 and 24 are more than 30 of weights, 24 alone are not; a card of unknown size counts nothing
    assert said(needed(36, CARD, here=pc(12), weights_gib=30).additions) == ["card"]
    trials = Holds(1000)
    search = NeedSearch(model(30), Workload(), trials, machine_of=machine_of)  # type: ignore[arg-type]
    search.need([CARD], here=pc(12))
    here_and_one = [m for m in trials.asked if len(m.accelerators) == 2]
    assert [fast_gib(m) for m in here_and_one] == [48, 36]
    for present, tried_with_one in ((6.5, True), (6, False), (None, False)):
        trials.asked.clear()
        search.need([CARD], here=pc(present))
        added = [m for m in trials.asked if {d.pool for d in m.devices} & {"added1"}]
        assert (len(added[0].accelerators) == 2) == tried_with_one


def test_to_a_pc_without_a_card_ram_is_added() -> None:
    found = needed(40, here=pc(ram_gib=16))
    (row,) = found.additions
    assert (row.machine, row.name, row.memory_gib) == ("32gb", "32 GiB more RAM", 32)
    assert (row.devices, row.high_bytes) == (0, 40 * GIB)


@pytest.mark.parametrize(
    ("present", "gib", "more"),
    [(15.4, 16.5, 16), (16, 17, 16), (16.5, 17.4, 15), (16, 1024, 1008), (16, 1025, None)],
)
def test_ram_is_counted_in_whole_gib_and_in_sizes_that_can_be_bought(
    present: float, gib: float, more: int | None
) -> None:
    rows = needed(gib, here=pc(ram_gib=present)).additions
    assert said(rows) == ([] if more is None else [f"{more}gb"])


def test_ram_that_cannot_hold_the_weights_is_not_added() -> None:
    trials = Holds(2000)
    search = NeedSearch(model(64), Workload(), trials, machine_of=machine_of)  # type: ignore[arg-type]
    found = search.need([], here=pc(ram_gib=16))
    assert found.additions == ()
    asked = [fast_gib(machine) for machine in trials.asked]
    sizes = [float(size) for size in RAM_SIZES if size > 64]
    assert asked == [16, *sizes, *sizes]


def test_no_less_ram_than_there_is_is_tried() -> None:
    trials = Holds(2000)
    search = NeedSearch(model(1), Workload(), trials, machine_of=machine_of)  # type: ignore[arg-type]
    search.need([], here=pc(ram_gib=96))
    asked = [fast_gib(machine) for machine in trials.asked]
    assert asked == [96, *RAM_SIZES, *(size for size in RAM_SIZES if size > 96)]


def test_a_card_of_unknown_size_counts_nothing_towards_the_weights() -> None:
    trials = Holds(2000)
    search = NeedSearch(model(24), Workload(), trials, machine_of=machine_of)  # type: ignore[arg-type]
    search.need([CARD], here=pc(None))
    added = [len(m.accelerators) - 1 for m in trials.asked if m.pools[-1].id.startswith("added")]
    assert added == [2, 3, 4, 5, 6, 7, 8]


def test_where_nothing_fits_into_a_slot_nothing_is_added() -> None:
    limited = pc(ram_gib=16)
    limited = replace(limited, pools=(replace(limited.pools[0], limit_bytes=8 * GIB),))
    with_gpu = Machine(
        pools=(Pool("ram", "unified", 16 * GIB),),
        devices=(Device("metal", "metal", "a GPU", "ram"), CPU),
    )
    for here in (limited, pc(ram_gib=None), with_gpu):
        assert needed(40, here=here).additions == ()
    assert needed(40, CARD, here=with_gpu).additions == ()
    assert said(needed(40, CARD, here=limited).additions) == ["2x card"]
    assert said(needed(40, here=pc(8, ram_gib=16)).additions) == []
