"""The inverse question: which machines run a model at this context, for so many, so fast.

Candidates are the catalog's devices, one to eight of them, machines whose CPU and GPU share one
memory, plain RAM, and GPUs by the hour. Each is sized by the same engine as any other machine; of
each the smallest that holds everything in its fastest memory is named. Prices are those at launch,
where read; rents are those of their day.
"""

from __future__ import annotations

from whatfits.sizing.catalog.machines import KIND_OF_VENDOR
from whatfits.sizing.needing.additions import takes_cards, takes_parts, with_cards, with_ram
from whatfits.sizing.needing.renting import Rented, rented, rented_order
from whatfits.sizing.needing.rows import Need, RunsOn, cheapest_first, plain_ram, row_of
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import GIB

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Iterator
    from typing import Final

    from whatfits.sizing.catalog.device_entries import DeviceEntry
    from whatfits.sizing.catalog.rentals import RentalOffer
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.needing.trials import MachineTrials, Tried
    from whatfits.sizing.workload import Workload

__all__ = ["NEED_RULE", "NeedSearch"]

NEED_RULE: Final = (
    "Of each device the fewest, up to eight, and the least memory that hold everything in the "
    "fastest memory there is; cheapest at launch first, then those without a known price by memory."
)
_MOST_DEVICES: Final = 8
_CARDS: Final = frozenset({"discrete", "workstation", "datacentre"})
_RAM_SIZES_GIB: Final = (8, 16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
_LEAST_RAM_GIB: Final = 32  # beside cards: what stays on the host is small


class NeedSearch:
    """Tries machines for one model and one request."""

    def __init__(
        self,
        model: ModelSpec,
        workload: Workload,
        trials: MachineTrials,
        *,
        machine_of: Callable[[str], Machine],
        least_tokens_per_s: float | None = None,
    ) -> None:
        """`trials` says what runs where, `machine_of` makes a machine of an expression."""
        self._model = model
        self._workload = workload
        self._trials = trials
        self._machine_of = machine_of
        self._floor = least_tokens_per_s
        on_devices = sum(t.n_bytes for t in model.tensors if t.role != "input")
        self._weights_bytes = on_devices if model.weights is None else model.weights.low_bytes // 2

    def need(
        self,
        entries: Iterable[DeviceEntry],
        *,
        here: Machine,
        offers: Iterable[RentalOffer] = (),
        today: dt.date | None = None,
    ) -> Need:
        """Return every kind of answer.

        Args:
            entries: devices of the catalog.
            here: the machine that cards would be added to.
            offers: GPUs by the hour.
            today: the day that their prices are aged by; None leaves them out.

        Raises:
            InvalidRequestError: the request cannot run anywhere.
        """
        known = list(entries)
        runs_here = self._tried(here) is not None
        found = Need(
            cards=cheapest_first(self._cards(known)),
            shared=cheapest_first(self._shared(known)),
            ram=self._ram(),
            additions=() if runs_here else cheapest_first(self._additions(known, here)),
            runs_here=runs_here,
            rented=() if today is None else self.rented(known, offers, today=today),
            workload=self._workload,
        )
        self._trials.require_a_machine()
        return found

    def rented(
        self, entries: Iterable[DeviceEntry], offers: Iterable[RentalOffer], *, today: dt.date
    ) -> tuple[Rented, ...]:
        """Return the GPUs by the hour that run it, the cheapest first, aged by `today`."""
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

    def _tried(self, machine: Machine) -> Tried | None:
        """Return what it takes where it fits entirely and is fast enough; else None."""
        found = self._trials.on(machine)
        if found is None or self._floor is None:
            return found
        return None if found.rate is None or found.rate.mid < self._floor else found

    def _holds(self, memory_gib: int) -> bool:
        """Return whether so much memory could hold weights and caches: else it is not tried."""
        return memory_gib * GIB > self._weights_bytes + self._trials.least_cache_bytes

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
                return row_of(entry, cards + host, count, memory_gib, tried)
        return None

    def _shared(self, entries: Iterable[DeviceEntry]) -> Iterator[RunsOn]:
        for entry in entries:
            if not entry.unified_memory:
                continue
            for memory_gib in sorted(entry.memory_gib):
                option = f" {memory_gib}gb" if len(entry.memory_gib) > 1 else ""
                expression = f"{entry.id}{option}"
                if not self._holds(memory_gib):
                    continue
                tried = self._tried(self._machine_of(expression))
                if tried is not None:
                    yield row_of(entry, expression, 1, memory_gib, tried)
                    break

    def _ram(self) -> RunsOn | None:
        for size in _RAM_SIZES_GIB:
            tried = self._tried(self._machine_of(f"{size}gb")) if self._holds(size) else None
            if tried is not None:
                return plain_ram(size, tried, name="a PC without a card")
        return None

    def _additions(self, entries: Iterable[DeviceEntry], here: Machine) -> Iterator[RunsOn]:
        """Yield what makes it fit when it is added; nothing where all memory is one."""
        if not takes_parts(here):
            return
        yield from self._more_ram(here)
        if not takes_cards(here):
            return
        kinds = {device.kind for device in here.accelerators}

        sizes = (here.pool(device.pool).total_bytes or 0 for device in here.accelerators)
        present_gib = -(-sum(sizes) // GIB)

        def together(cards: str) -> Machine:
            return with_cards(here, self._machine_of(cards))

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

    def _more_ram(self, here: Machine) -> Iterator[RunsOn]:
        """Yield the least RAM to add, to a machine without a card whose RAM nothing limits."""
        pool = here.host_pool
        if here.accelerators or pool is None or pool.total_bytes is None or pool.limit_bytes:
            return
        present_gib = -(-pool.total_bytes // GIB)
        for size in _RAM_SIZES_GIB:
            if size <= present_gib or not self._holds(size):
                continue
            more = size - present_gib
            tried = self._tried(with_ram(here, more * GIB))
            if tried is not None:
                yield plain_ram(more, tried, name=f"{more} GiB more RAM")
                return


def _ram_beside(memory_gib: int) -> int:
    """Return the RAM of a PC with cards: as much as they have, in a size that can be bought."""
    wanted = max(_LEAST_RAM_GIB, memory_gib)
    return next((size for size in _RAM_SIZES_GIB if size >= wanted), _RAM_SIZES_GIB[-1])


def _is_card(entry: DeviceEntry) -> bool:
    return entry.kind in _CARDS and not entry.unified_memory
