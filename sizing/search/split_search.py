"""The split over accelerators that all of them hold, nearest to llama.cpp's own.

llama.cpp shares layers out by index, in proportion to what is free: layers of unequal size, or an
output layer larger than the others, can overfill one device while another has room left. Which
split may hold is told from what each layer takes and what each device was seen to take beside its
layers; the whole bill has the last word.
"""

from __future__ import annotations

from whatfits.sizing.placement import resolve_placement
from whatfits.sizing.search.splits import left_bytes, moved_layers, nearest_split
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Final

    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.runtimes.llama_cpp import Bill
    from whatfits.sizing.search.trial import Trial
    from whatfits.sizing.settings import Settings
    from whatfits.sizing.workload import PlacementRequest

__all__ = ["SplitSearch", "leaves_split_open", "split_counts"]

_MOST_TRIALS: Final = 4  # of one request: a bill each


class SplitSearch:
    """Splits of one model's layers, as far as requests leave the split open."""

    def __init__(
        self,
        model: ModelSpec,
        machine: Machine,
        bill: Bill,
        attempt: Callable[[PlacementRequest], Trial],
        *,
        like: Trial,
    ) -> None:
        """`attempt` makes the bill of a request; `like` was tried before, at the same settings."""
        self._model = model
        self._machine = machine
        self._bill = bill
        self._attempt = attempt
        self._settings = like.settings
        self._rests = self._beside_layers(like)
        self._working = [row.compute_bytes for row in like.memory.devices[:-1]]

    def left_bytes(self, request: PlacementRequest, settings: Settings | None = None) -> int:
        """Return roughly what a request leaves of the accelerators under the split that suits it.

        Negative when there is none; `settings` stand in for those of the trial before.
        """
        placement = resolve_placement(self._model, request, self._machine)
        rows = self._on_accelerators(settings or self._settings, placement)
        return left_bytes(rows, self._rooms(placement, self._rests))

    def holding(self, request: PlacementRequest) -> Trial | None:
        """Return a request under the nearest split that leaves room on every accelerator.

        None when there is none; the request as it is where llama.cpp's own split does.
        """
        placement = resolve_placement(self._model, request, self._machine)
        rows = self._on_accelerators(self._settings, placement)
        own = split_counts(placement)
        tried: set[tuple[int, ...]] = set()
        held: tuple[int, Trial] | None = None
        while len(tried) < _MOST_TRIALS:
            counts = nearest_split(rows, self._rooms(placement, self._rests), own)
            if counts is None and not tried:
                # other layers on a device may need less working memory there
                pairs = zip(self._rests, self._working, strict=True)
                certain = [rest - working for rest, working in pairs]
                counts = nearest_split(rows, self._rooms(placement, certain), own)
            if counts is None or counts in tried or (held and moved_layers(counts, own) >= held[0]):
                break
            tried.add(counts)
            shares = None if counts == own else tuple(map(float, counts))
            trial = self._attempt(replace(request, tensor_split=shares))
            if self._learnt(trial):
                held = moved_layers(counts, own), trial
        return None if held is None else held[1]

    def _learnt(self, trial: Trial) -> bool:
        """Return whether every accelerator has room; else remember why one has not."""
        rooms = [self._free_bytes(row.pool) - row.high_bytes for row in trial.memory.devices[:-1]]
        for index, rest in enumerate(self._beside_layers(trial)):
            self._rests[index] = rest if rooms[index] < 0 else min(rest, self._rests[index])
        return min(rooms) >= 0

    def _rooms(self, placement: Placement, rests: Sequence[int]) -> list[int]:
        """Return what each accelerator has for layers, where the `rests` lie beside them."""
        pairs = zip(placement.accelerators, rests, strict=True)
        return [self._free_bytes(device.pool) - rest for device, rest in pairs]

    def _free_bytes(self, pool: str) -> int:
        return self._machine.pool(pool).free_low_bytes or 0  # known: see `leaves_split_open`

    def _beside_layers(self, trial: Trial) -> list[int]:
        """Return what each accelerator took beside its layers: working memory, driver, drafts."""
        placement = trial.placement
        places = (*placement.layer_device, placement.output_device)
        rows = self._by_layer(trial.settings, placement)
        return [
            device.high_bytes
            - sum(size for size, place in zip(row, places, strict=True) if place == index)
            for index, (device, row) in enumerate(zip(trial.memory.devices[:-1], rows, strict=True))
        ]

    def _on_accelerators(self, settings: Settings, placement: Placement) -> list[Sequence[int]]:
        """Return what the layers that shall lie on accelerators take on each of them."""
        first = len(placement.layer_device) + 1 - placement.gpu_layers
        return [row[first:] for row in self._by_layer(settings, placement)]

    def _by_layer(self, settings: Settings, placement: Placement) -> list[list[int]]:
        kinds = [device.kind for device in placement.accelerators]
        rows = {
            kind: self._bill.by_layer(settings, placement, kind) for kind in dict.fromkeys(kinds)
        }
        return [rows[kind] for kind in kinds]


def split_counts(placement: Placement) -> tuple[int, ...]:
    """Return the layers on each accelerator, the output layer counted."""
    places = (*placement.layer_device, placement.output_device)
    return tuple(places.count(index) for index in range(len(placement.accelerators)))


def leaves_split_open(request: PlacementRequest, placement: Placement, machine: Machine) -> bool:
    """Return whether a request says nothing of how layers are shared out, and something could.

    There have to be several accelerators, each with memory of its own that is known.
    """
    asked = request.tensor_split is not None or request.devices is not None or request.overrides
    if asked or request.split_mode not in (None, "layer"):
        return False
    pools = [device.pool for device in placement.accelerators]
    return (
        len(pools) > 1
        and len({*pools, placement.host.pool}) > len(pools)
        and None not in (machine.pool(pool).free_low_bytes for pool in pools)
        and placement.gpu_layers > 0
    )
