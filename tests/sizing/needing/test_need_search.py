"""Which machines are named, on devices of round sizes: the least that holds so much, by counting.

A machine "runs" here when its fastest memory has so many GiB. What is tested is which machines
are asked about, in which order, and what is told of the first that runs.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest

from whatfits.sizing.api import load_model
from whatfits.sizing.catalog.device_entries import DeviceEntry
from whatfits.sizing.catalog.rentals import RentalOffer
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.estimate import RateRange
from whatfits.sizing.machine import Device, Machine, Pool
from whatfits.sizing.model import ByteRange, TensorSpec
from whatfits.sizing.need_search import NeedSearch
from whatfits.sizing.need_trials import Tried
from whatfits.sizing.units import GIB
from whatfits.sizing.workload import Workload

if TYPE_CHECKING:
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.need_rows import Need, RunsOn

RAM_SIZES: Final = (8, 16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
TODAY: Final = dt.date(2026, 11, 26)
CPU: Final = Device("cpu", "cpu", "a CPU", "ram")


def entry(
    name: str, kind: str, *memory_gib: int, vendor: str = "NVIDIA", price: int | None = None
) -> DeviceEntry:
    return DeviceEntry(
        id=name,
        vendor=vendor,
        name=name.title(),
        kind=kind.removeprefix("one memory "),
        driver_names=(),
        memory_gib=memory_gib,
        unified_memory=kind.startswith(("one memory", "unified")),
        source="a test",
        checked="2026-11-26",
        totals=(),
        launch_price_usd=price,
    )


CARD = entry("card", "discrete", 24)
OPTIONS = entry("options", "workstation", 8, 16)
LARGE = entry("large", "datacentre", 80)
LAPTOP = entry("laptop", "laptop", 24)
RED = entry("red", "discrete", 24, vendor="AMD")
BOX = entry("box", "unified", 16, 32, 64, vendor="Apple")
ONE_SIZE = entry("one-size", "unified", 128, vendor="Apple")
SUPERCHIP = entry("superchip", "one memory datacentre", 96)
PART = entry("part", "integrated", vendor="Intel")
HUGE = entry("huge", "datacentre", 288)
EVERY = (CARD, OPTIONS, LARGE, LAPTOP, RED, BOX, ONE_SIZE, SUPERCHIP, PART)


def machine_of(expression: str) -> Machine:
    """Return the machine of an expression, every size as it is written."""
    first, _, ram = expression.partition(" + ")
    if re.fullmatch(r"\d+gb", first):
        return pc(ram_gib=int(first.removesuffix("gb")))
    said = re.fullmatch(r"(?:(\d+)x )?([\w-]+?)(?: (\d+)gb)?", first)
    assert said, expression
    (device,) = [one for one in (*EVERY, HUGE) if one.id == said[2]]
    assert (said[3] is not None) == (len(device.memory_gib) > 1), expression
    size = int(said[3] or device.memory_gib[0])
    assert size in device.memory_gib
    if device.unified_memory:
        assert not ram
        pool = Pool("ram", "unified", size * GIB)
        return Machine(pools=(pool,), devices=(Device("metal", "metal", "a GPU", "ram"), CPU))
    kind = {"NVIDIA": "cuda", "AMD": "rocm"}[device.vendor]
    count = int(said[1] or 1)
    assert said[1] != "1"
    return pc(*[size] * count, ram_gib=int(ram.removesuffix("gb") or 0) if ram else 8, kind=kind)


def pc(*cards_gib: float | None, ram_gib: float | None = 8, kind: str = "cuda") -> Machine:
    """Return a PC with cards of so many GiB; None where it is not known."""
    pools = [
        Pool(f"vram{i}", "vram", None if size is None else round(size * GIB))
        for i, size in enumerate(cards_gib)
    ]
    cards = [Device(f"{kind}{i}", kind, "a card", pool.id) for i, pool in enumerate(pools)]
    ram = Pool("ram", "ram", None if ram_gib is None else round(ram_gib * GIB))
    return Machine(pools=(*pools, ram), devices=(*cards, CPU))


def fast_gib(machine: Machine) -> float:
    """Return the GiB of a machine's fastest memory."""
    pools = {device.pool for device in machine.accelerators or machine.devices}
    return sum((machine.pool(pool).total_bytes or 0) / GIB for pool in pools)


class Holds:
    """What runs where: all that has so many GiB; `rates` are tokens/s by the GiB there are."""

    def __init__(self, gib: float, rates: dict[int, float | None] | None = None) -> None:
        self.gib = gib
        self.rates = rates
        self.asked: list[Machine] = []
        self.refuses = False

    def on(self, machine: Machine) -> Tried | None:
        self.asked.append(machine)
        size = fast_gib(machine)
        if size < self.gib:
            return None
        rate = (self.rates or {}).get(round(size))
        return Tried(round(self.gib * GIB), None if rate is None else RateRange(rate, rate, rate))

    def require_a_machine(self) -> None:
        if self.refuses:
            raise InvalidRequestError(what="all", got="of it", allowed="nothing")


def model(weights_gib: int) -> ModelSpec:
    """Return a model of so many GiB, and as much again that stays on the host."""
    tensors = tuple(
        TensorSpec(name, (1,), "F32", weights_gib * GIB, role)
        for name, role in (("output", "output"), ("token_embd", "input"))
    )
    return replace(load_model("smollm2-135m"), tensors=tensors)


def needed(
    gib: float,
    *entries: DeviceEntry,
    here: Machine | None = None,
    weights_gib: int = 1,
    offers: tuple[RentalOffer, ...] = (),
    today: dt.date | None = None,
    least: float | None = None,
    rates: dict[int, float | None] | None = None,
) -> Need:
    trials = Holds(gib, rates)
    search = NeedSearch(
        model(weights_gib),
        Workload(context_tokens=512),
        trials,  # type: ignore[arg-type]
        machine_of=machine_of,
        least_tokens_per_s=least,
    )
    return search.need(entries, here=here or pc(), offers=offers, today=today)


def said(rows: tuple[RunsOn, ...]) -> list[str]:
    return [row.machine for row in rows]


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


# what is added


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
