"""Bills of a few bytes, so that a search for splits can be followed by hand."""

from __future__ import annotations

from functools import cache
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from whatfits.sizing.api import load_model
from whatfits.sizing.estimate import DeviceMemory, Memory
from whatfits.sizing.growth import NO_GROWTH
from whatfits.sizing.machine import Device, Machine, Pool
from whatfits.sizing.placement import Placement, resolve_placement
from whatfits.sizing.search.split_search import SplitSearch, split_counts
from whatfits.sizing.search.trial import Trial
from whatfits.sizing.settings import Settings, resolve_settings
from whatfits.sizing.values import replace
from whatfits.sizing.verdict import judge
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whatfits.sizing.model import ModelSpec

__all__ = ["PlainBill", "cards", "settings_of"]

OTHER_KIND = "rocm"
PLENTY = 10**6


@cache
def _model(n_layers: int) -> ModelSpec:
    spec = load_model("smollm2-135m")
    return replace(spec, layers=spec.layers[:n_layers])


def settings_of(context_tokens: int) -> Settings:
    """Return settings for a context."""
    return resolve_settings(_model(1), Workload(context_tokens=context_tokens))


def cards(*free_bytes: int, ram_bytes: int | None = PLENTY, kinds: str = "") -> Machine:
    """Return a machine whose cards surely have so many bytes; an `o` is one of another kind.

    They are sold as equal, and llama.cpp's own split is even.
    """
    pools = [
        Pool(f"vram{i}", "vram", PLENTY, total_low_bytes=size) for i, size in enumerate(free_bytes)
    ]
    devices = [
        Device(f"gpu{i}", OTHER_KIND if kinds[i : i + 1] == "o" else "cuda", "a card", pool.id)
        for i, pool in enumerate(pools)
    ]
    return Machine(
        pools=(*pools, Pool("ram", "ram", ram_bytes)),
        devices=(*devices, Device("cpu", "cpu", "a CPU", "ram")),
    )


class PlainBill:
    """What some layers, the output layer last, take on a machine, and every split that was tried.

    `beside` says of the first cards what each takes beside its layers with none of them, with one,
    and so on, and with any number from where the row ends: `working` bytes of that are working
    memory. A layer takes a byte more for every `step` tokens of context beyond the first, and as
    much again on cards of the other kind.
    """

    step = 4096

    def __init__(
        self,
        machine: Machine,
        layers: Sequence[int],
        beside: Sequence[Sequence[int]] = (),
        *,
        working: int = 0,
    ) -> None:
        self.machine = machine
        self.layers = layers
        self._beside = beside
        self.working = working
        self.model = _model(len(layers) - 1)
        self.settings = settings_of(self.step)
        self.tried: list[tuple[int, ...]] = []

    def by_layer(self, settings: Settings, placement: Placement, kind: str) -> list[int]:
        """Return the bytes of each layer on a device of a kind."""
        assert len(placement.layer_device) + 1 == len(self.layers)
        more = settings.context_tokens // self.step - 1
        return [(size + more) * (2 if kind == OTHER_KIND else 1) for size in self.layers]

    def beside(self, index: int, count: int) -> int:
        """Return what a card takes beside so many layers; the host takes nothing."""
        row = self._beside[index] if index < len(self._beside) else (0,)
        return row[min(count, len(row) - 1)]

    def attempt(self, request: PlacementRequest) -> Trial:
        """Return what comes of a request, and note its split."""
        placement = resolve_placement(self.model, request, self.machine)
        self.tried.append(split_counts(placement))
        places = (*placement.layer_device, placement.output_device)
        devices = (*placement.accelerators, placement.host)
        rows = []
        for index, device in enumerate(devices):
            at = index if index < len(placement.accelerators) else None
            sizes = self.by_layer(self.settings, placement, device.kind)
            held = sum(size for size, place in zip(sizes, places, strict=True) if place == at)
            high = held + self.beside(index, places.count(at))
            rows.append(
                DeviceMemory(device.id, device.pool, held, 0, self.working, 0, 0, high, high)
            )
        memory = Memory.of(rows, mapped_bytes=0, growth_limit_bytes=0)
        judgement = judge(memory, placement, self.machine)
        return Trial(request, self.settings, placement, memory, judgement, NO_GROWTH)

    def search(self, request: PlacementRequest | None = None) -> SplitSearch:
        """Return a search that has seen how a request comes out under llama.cpp's own split."""
        like = self.attempt(request or PlacementRequest())
        self.tried.clear()
        return SplitSearch(self.model, self.machine, self, self.attempt, like=like)  # type: ignore[arg-type]

    def own(self, request: PlacementRequest) -> tuple[int, ...]:
        """Return llama.cpp's own split."""
        return split_counts(resolve_placement(self.model, request, self.machine))

    def holds(self, counts: Sequence[int]) -> bool:
        """Return whether every card has room under a split."""
        ends = [0, *accumulate(counts)]
        return all(
            sum(self.layers[start:end]) + self.beside(index, end - start)
            <= (self.machine.pools[index].free_low_bytes or 0)
            for index, (start, end) in enumerate(pairwise(ends))
        )
