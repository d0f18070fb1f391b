"""The inverse question: which machines run a model at this context, for so many, so fast.

Candidates are the catalog's devices, one to eight of them, machines whose CPU and GPU share one
memory, plain RAM, and GPUs by the hour. Each is sized by the same engine as any other machine; of
each the smallest that holds everything in its fastest memory is named. Prices are those at launch,
where read; rents are those of their day.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from whatfits.sizing.catalog.machines import KIND_OF_VENDOR
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.estimate import RateRange  # noqa: TC001 - read by pydantic
from whatfits.sizing.graph.index import Replays
from whatfits.sizing.renting import Rented, rented, rented_order
from whatfits.sizing.search import Trials
from whatfits.sizing.units import GIB
from whatfits.sizing.values import dataclass
from whatfits.sizing.workload import PlacementRequest

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Iterator

    from whatfits.sizing.catalog.device_entries import DeviceEntry
    from whatfits.sizing.catalog.rentals import RentalOffer
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.workload import Workload

__all__ = ["NEED_RULE", "Need", "NeedSearch", "RunsOn"]

NEED_RULE: Final = (
    "Of each device the fewest, up to eight, and the least memory that hold everything in the "
    "fastest memory there is; cheapest at launch first, then those without a known price by memory."
)
_MOST_DEVICES: Final = 8
_CARDS: Final = frozenset({"discrete", "workstation", "datacentre"})
_RAM_SIZES_GIB: Final = (8, 16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
_LEAST_RAM_GIB: Final = 32  # beside cards: what stays on the host is small


@dataclass(frozen=True, slots=True)
class RunsOn:
    """A machine that runs it.

    Attributes:
        machine: expression for `--machine`; what is added, for an addition.
        name: devices in words.
        devices: how many of them.
        memory_gib: their marketed memory together.
        high_bytes: upper end of the need on all of it.
        decode_tokens_per_s: speed of writing; None when unknown.
        launch_price_usd: of the devices together, at launch; None when not read.
        price_basis: how the price is known.
        released: month the device came out, `2024-07`; None when not read.
        power_watts: of the devices together; None when not read.
    """

    machine: str
    name: str
    devices: int
    memory_gib: int
    high_bytes: int
    decode_tokens_per_s: RateRange | None
    launch_price_usd: int | None
    price_basis: str | None
    released: str | None
    power_watts: int | None


@dataclass(frozen=True, slots=True)
class Need:
    """Which machines run a model.

    Attributes:
        cards: PCs with cards of one kind.
        shared: machines whose CPU and GPU share one memory.
        ram: the least plain RAM; None where not even the most holds it.
        additions: cards that could be added to the machine that was asked about.
        runs_here: whether it runs there as it is.
    """

    cards: tuple[RunsOn, ...]
    shared: tuple[RunsOn, ...]
    ram: RunsOn | None
    additions: tuple[RunsOn, ...]
    runs_here: bool


class _Tried(NamedTuple):
    high_bytes: int
    rate: RateRange | None


class NeedSearch:
    """Tries machines for one model and one request."""

    def __init__(
        self,
        model: ModelSpec,
        workload: Workload,
        *,
        machine_of: Callable[[str], Machine],
        least_tokens_per_s: float | None = None,
    ) -> None:
        """`machine_of` makes a machine of an expression."""
        self._model = model
        self._workload = workload
        self._machine_of = machine_of
        self._floor = least_tokens_per_s
        self._replays = Replays()

    def need(self, entries: Iterable[DeviceEntry], *, here: Machine) -> Need:
        """Return every kind of answer; `here` is the machine that cards would be added to.

        Raises:
            InvalidRequestError: the request cannot run anywhere.
        """
        known = list(entries)
        runs_here = self._tried(here) is not None
        return Need(
            cards=_sorted(self._cards(known)),
            shared=_sorted(self._shared(known)),
            ram=self._ram(),
            additions=() if runs_here else _sorted(self._additions(known, here)),
            runs_here=runs_here,
        )

    def rented(
        self, entries: Iterable[DeviceEntry], offers: Iterable[RentalOffer], *, today: dt.date
    ) -> tuple[Rented, ...]:
        """Return every offer that runs it, the cheapest an hour first; `today` ages the prices.

        Raises:
            InvalidRequestError: the request cannot run anywhere.
        """
        known = {entry.id: entry for entry in entries}
        runs: dict[tuple[str, int], RunsOn | None] = {}
        found = []
        for offer in offers:
            asked = offer.device, offer.least_gpus
            if asked not in runs:
                entry = known[offer.device]
                runs[asked] = self._fewest(
                    entry, min(entry.memory_gib), self._machine_of, ram=True, least=offer.least_gpus
                )
            row = runs[asked]
            if row is not None:
                found.append(rented(offer, row, today=today))
        return tuple(sorted(found, key=rented_order))

    def _tried(self, machine: Machine) -> _Tried | None:
        """Return what it takes where it fits entirely and is fast enough; else None."""
        trials = Trials(
            self._model, machine, self._workload, PlacementRequest(), replays=self._replays
        )
        trial = trials.first()
        if trial.judgement.verdict != "fits":
            return None
        speed = trials.speed(trial)
        rate = speed.decode_tokens_per_s
        if self._floor is not None and (rate is None or rate.mid < self._floor):
            return None
        return _Tried(trial.memory.high_bytes, rate)

    def _holds(self, memory_gib: int) -> bool:
        """Return whether so much memory could hold the weights: without that, nothing is tried."""
        on_devices = sum(t.n_bytes for t in self._model.tensors if t.role != "input")
        known = self._model.weights
        return memory_gib * GIB > (on_devices if known is None else known.low_bytes // 2)

    def _cards(self, entries: Iterable[DeviceEntry]) -> Iterator[RunsOn]:
        for entry in entries:
            if not _is_card(entry):
                continue
            for memory_gib in sorted(entry.memory_gib):
                found = self._fewest(entry, memory_gib, self._machine_of, ram=True)
                if found is not None:
                    yield found
                    break

    def _fewest(
        self,
        entry: DeviceEntry,
        memory_gib: int,
        machine_of: Callable[[str], Machine],
        *,
        ram: bool,
        present_gib: int = 0,
        least: int = 1,
    ) -> RunsOn | None:
        """Return the fewest of a device that hold it, beside what is present already."""
        for count in range(least, _MOST_DEVICES + 1):
            if not self._holds(present_gib + count * memory_gib):
                continue
            times = f"{count}x " if count > 1 else ""
            option = f" {memory_gib}gb" if len(entry.memory_gib) > 1 else ""
            cards = f"{times}{entry.id}{option}"
            host = f" + {_ram_beside(count * memory_gib)}gb" if ram else ""
            tried = self._tried(machine_of(cards + host))
            if tried is not None:
                return _row(entry, cards + host, count, memory_gib, tried)
        return None

    def _shared(self, entries: Iterable[DeviceEntry]) -> Iterator[RunsOn]:
        for entry in entries:
            if not (entry.unified_memory and entry.memory_gib):
                continue
            for memory_gib in sorted(entry.memory_gib):
                option = f" {memory_gib}gb" if len(entry.memory_gib) > 1 else ""
                expression = f"{entry.id}{option}"
                if not self._holds(memory_gib):
                    continue
                tried = self._tried(self._machine_of(expression))
                if tried is not None:
                    yield _row(entry, expression, 1, memory_gib, tried)
                    break

    def _ram(self) -> RunsOn | None:
        for size in _RAM_SIZES_GIB:
            tried = self._tried(self._machine_of(f"{size}gb")) if self._holds(size) else None
            if tried is not None:
                return RunsOn(
                    machine=f"{size}gb",
                    name="a PC without a card",
                    devices=0,
                    memory_gib=size,
                    high_bytes=tried.high_bytes,
                    decode_tokens_per_s=tried.rate,
                    launch_price_usd=None,
                    price_basis=None,
                    released=None,
                    power_watts=None,
                )
        return None

    def _additions(self, entries: Iterable[DeviceEntry], here: Machine) -> Iterator[RunsOn]:
        """Yield cards that make it fit when they are added; none where all memory is one."""
        if not _takes_cards(here):
            return
        kinds = {device.kind for device in here.accelerators}

        sizes = (here.pool(device.pool).total_bytes or 0 for device in here.accelerators)
        present_gib = -(-sum(sizes) // GIB)

        def together(cards: str) -> Machine:
            return _with_cards(here, self._machine_of(cards))

        for entry in entries:
            # one build of a runtime drives cards of one maker
            if not _is_card(entry) or (kinds and KIND_OF_VENDOR[entry.vendor] not in kinds):
                continue
            for memory_gib in sorted(entry.memory_gib):
                found = self._fewest(
                    entry, memory_gib, together, ram=False, present_gib=present_gib
                )
                if found is not None:
                    yield found
                    break


def _ram_beside(memory_gib: int) -> int:
    """Return the RAM of a PC with cards: as much as they have, in a size that can be bought."""
    wanted = max(_LEAST_RAM_GIB, memory_gib)
    return next((size for size in _RAM_SIZES_GIB if size >= wanted), _RAM_SIZES_GIB[-1])


def _is_card(entry: DeviceEntry) -> bool:
    return entry.kind in _CARDS and not entry.unified_memory


def _row(entry: DeviceEntry, expression: str, count: int, memory_gib: int, tried: _Tried) -> RunsOn:
    price, watts = entry.launch_price_usd, entry.power_watts
    several = f"{count} × " if count > 1 else ""
    size = f" {memory_gib} GiB" if len(entry.memory_gib) > 1 else ""
    return RunsOn(
        machine=expression,
        name=f"{several}{entry.name}{size}",
        devices=count,
        memory_gib=count * memory_gib,
        high_bytes=tried.high_bytes,
        decode_tokens_per_s=tried.rate,
        launch_price_usd=None if price is None else count * price,
        price_basis=None if price is None else entry.launch_price_basis,
        released=entry.released,
        power_watts=None if watts is None else count * watts,
    )


def _sorted(found: Iterable[RunsOn]) -> tuple[RunsOn, ...]:
    def order(row: RunsOn) -> tuple[bool, int, int, int, str]:
        price = row.launch_price_usd
        return price is None, price or 0, row.memory_gib, row.devices, row.machine

    return tuple(sorted(found, key=order))


def _takes_cards(machine: Machine) -> bool:
    """Return whether cards can be put into a machine: not where all memory is one."""
    return machine.host_pool is not None and machine.host_pool.kind == "ram"


def _with_cards(machine: Machine, cards: Machine) -> Machine:
    """Return a machine with the accelerators of another one behind its own."""
    taken = {device.id for device in machine.devices}
    pools, devices = list(machine.pools), list(machine.accelerators)
    for number, device in enumerate(cards.accelerators, start=len(machine.accelerators)):
        pool = replace(cards.pool(device.pool), id=f"added{number}", reserve_bytes=0)
        device_id = next(
            name for n in range(len(taken) + 1) if (name := f"{device.kind}{n}") not in taken
        )
        taken.add(device_id)
        pools.append(pool)
        devices.append(replace(device, id=device_id, pool=pool.id))
    host = machine.host
    if host is None:
        raise InvalidRequestError(
            what="machine", got=machine.name, allowed="a machine with a device of kind 'cpu'"
        )
    return replace(machine, pools=tuple(pools), devices=(*devices, host))
