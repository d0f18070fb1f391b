"""Devices and PCs of round sizes, and a search that calls whatever has so many GiB enough."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from whatfits.sizing.api import load_model
from whatfits.sizing.catalog.device_entries import DeviceEntry
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.estimate import RateRange
from whatfits.sizing.machine import Device, Machine, Pool
from whatfits.sizing.model import TensorSpec
from whatfits.sizing.needing.search import NeedSearch
from whatfits.sizing.needing.trials import Tried
from whatfits.sizing.units import GIB
from whatfits.sizing.workload import Workload

if TYPE_CHECKING:
    from whatfits.sizing.catalog.rentals import RentalOffer
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.needing.rows import Need, RunsOn

__all__ = [
    "BOX",
    "CARD",
    "CPU",
    "EVERY",
    "HUGE",
    "LAPTOP",
    "LARGE",
    "ONE_SIZE",
    "OPTIONS",
    "PART",
    "RAM_SIZES",
    "RED",
    "SUPERCHIP",
    "TODAY",
    "Holds",
    "entry",
    "fast_gib",
    "machine_of",
    "model",
    "needed",
    "pc",
    "said",
]

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
        self.least_cache_bytes = 0

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
