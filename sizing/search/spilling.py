"""What moves to the host where accelerators do not hold everything: as little as possible.

First, of mixtures of experts, the experts of as few layers as possible; else whole layers; else
everything. Within each kind the search closes in from both ends, because the need of an accelerator
does not grow when work leaves it, but for a few MiB that CUDA may keep for fused steps.
"""

from __future__ import annotations

from whatfits.sizing.placement import resolve_placement
from whatfits.sizing.search.closing_in import last_proven
from whatfits.sizing.search.rooms import least_room, rough_rooms
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.runtimes.llama_cpp import Bill
    from whatfits.sizing.search.split_search import SplitSearch
    from whatfits.sizing.search.trial import Trial
    from whatfits.sizing.workload import PlacementRequest

__all__ = ["Spilling", "can_spill"]


class Spilling:
    """Placements of one request that leave parts of a model to the host."""

    def __init__(
        self,
        model: ModelSpec,
        machine: Machine,
        bill: Bill,
        request: PlacementRequest,
        *,
        first: Trial,
        attempt: Callable[[PlacementRequest], Trial],
        tried: Callable[[], Collection[Trial]],
        splits: Callable[[], SplitSearch | None],
    ) -> None:
        """Say how placements are tried.

        `first` is the request with everything on the accelerators, which do not hold it; `attempt`
        tries another at the same settings, `tried` returns all that were; `splits` starts a search
        for splits over accelerators, None where the request leaves none open.
        """
        self._model = model
        self._machine = machine
        self._bill = bill
        self._request = request
        self._first = first
        self._attempt = attempt
        self._tried = tried
        self._splits = splits
        self._n_layers = len(first.placement.layer_device)

    def placements(self, *, experts_move: bool) -> list[Trial]:
        """Return placements that move work to the host, least first; none after one that runs."""
        spilled: list[Trial] = []
        if experts_move:
            spilled.append(self._fewest_experts())
            if spilled[-1].runs:
                return spilled
        some = self._most_layers()
        if some is not None:
            spilled.append(some)
            if some.runs:
                return spilled
        spilled.append(self._attempt(replace(self._request, devices=())))
        return spilled

    def _fewest_experts(self) -> Trial:
        """Return a trial that leaves the experts of as few layers as possible to the host."""

        def with_experts_of(number: int) -> PlacementRequest:
            return replace(self._request, cpu_moe_layers=self._n_layers - number)

        most = self._n_layers - 1
        kept = self._most(most, with_experts_of)
        under_split = self._more_by_split(kept + 1, most, with_experts_of)
        return under_split or self._attempt(with_experts_of(kept))

    def _most_layers(self) -> Trial | None:
        """Return a trial with as many layers on the accelerators as they hold; None: not one."""

        def with_layers(number: int) -> PlacementRequest:
            return replace(self._request, gpu_layers=number)

        kept = self._more_layers(self._most(self._n_layers, with_layers), with_layers)
        under_split = self._more_by_split(kept + 1, self._n_layers, with_layers)
        if under_split is None and kept:
            return self._attempt(with_layers(kept))
        return under_split

    def _most(self, high: int, request_of: Callable[[int], PlacementRequest]) -> int:
        """Return the largest number whose request leaves room on the accelerators; 0: none."""
        seen = self._first

        def holds(number: int) -> bool:
            nonlocal seen
            seen = self._attempt(request_of(number))
            # the accelerators must hold what is left to them; the host is judged afterwards
            return least_room(seen, self._machine, host_too=False) >= 0

        def rough(number: int) -> int:
            placement = self._placed(request_of(number))
            return min(rough_rooms(self._bill, self._machine, placement, like=[seen]).values())

        return last_proven(0, high, rough=rough, holds=holds) or 0

    def _more_by_split(
        self, low: int, high: int, request_of: Callable[[int], PlacementRequest]
    ) -> Trial | None:
        """Return what some split holds of the largest number from `low` on; None: of no number.

        The numbers below are held under llama.cpp's own split.
        """
        splits = self._splits()
        if splits is None:
            return None
        held: dict[int, Trial] = {}

        def holds(number: int) -> bool:
            trial = splits.holding(request_of(number))
            if trial is not None:
                held[number] = trial
            return trial is not None

        number = last_proven(
            low, high, rough=lambda number: splits.left_bytes(request_of(number)), holds=holds
        )
        return None if number is None else held[number]

    def _more_layers(self, kept: int, with_layers: Callable[[int], PlacementRequest]) -> int:
        """Return the most layers that leave room, knowing a number that does.

        Over several accelerators room does not shrink with every layer: layers are shared out by
        index, so one more of them can take one away from a device, or move the output layer. What
        a device could not hold, it is not asked again to hold more of.
        """
        usable = self._placed(self._request).accelerators
        if len(usable) == 1:
            return kept
        overfull: dict[str, int] = {}
        for layers in range(self._n_layers, kept, -1):
            placement = self._placed(with_layers(layers))
            counts = {
                device.pool: placement.layer_device.count(index)
                for index, device in enumerate(placement.accelerators)
            }
            if any(count > overfull.get(pool, count) for pool, count in counts.items()):
                continue
            like = list(self._tried())
            rooms = rough_rooms(self._bill, self._machine, placement, like=like)
            if min(rooms.values()) >= 0:
                trial = self._attempt(with_layers(layers))
                if least_room(trial, self._machine, host_too=False) >= 0:
                    return layers
            for pool in (pool for pool, room in rooms.items() if room < 0):
                overfull[pool] = min(counts[pool], overfull.get(pool, counts[pool]))
        return kept

    def _placed(self, request: PlacementRequest) -> Placement:
        return resolve_placement(self._model, request, self._machine)


def can_spill(placement: Placement) -> bool:
    """Return whether the host has memory of its own: on unified memory nothing is gained."""
    return any(device.pool != placement.host.pool for device in placement.accelerators)
