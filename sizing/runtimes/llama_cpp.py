"""llama.cpp: the memory bill of one run, device by device.

Rules live in `weights`, `kv_cache`, `compute`, `overhead` and, for what is loaded beside the
model, `beside`; this file adds them up the way the program does.
Source: llama.cpp (0c1e57098), see those modules.
"""

from __future__ import annotations

from whatfits.sizing.beside import Beside
from whatfits.sizing.estimate import DeviceMemory, Memory, MemoryPart
from whatfits.sizing.overhead import overheads_of
from whatfits.sizing.runtimes.known_shares import shares_of
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from whatfits.sizing.graph.index import Replays
    from whatfits.sizing.growth import Growth
    from whatfits.sizing.machine import Device, Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.overhead import Overhead
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.settings import Settings
    from whatfits.sizing.share import Part, Share
    from whatfits.sizing.weights import HostByName, Weights

__all__ = ["Bill", "device_row"]


class Bill:
    """One model's memory bill; keeps what does not depend on the placement."""

    def __init__(
        self, model: ModelSpec, beside: Beside | None = None, *, replays: Replays | None = None
    ) -> None:
        """Group the model's tensors once.

        `beside` is what is loaded with it, `replays` are those of the model under any file type.
        """
        self._own = shares_of(model, replays)
        self._beside = beside or Beside(model)
        self._model = model

    def weights(self, placement: Placement) -> Weights:
        """Return where the weights lie under a placement."""
        return self._own.weights(placement)

    def host_by_name(self, placement: Placement) -> HostByName:
        """Return what names put on the host although its layers are on accelerators."""
        return self._own.host_by_name(placement)

    def weights_and_caches(self, settings: Settings, placement: Placement) -> list[int]:
        """Return the bytes of weights and caches of each accelerator, the host last."""
        return self._own.weights_and_caches(settings, placement)

    def by_layer(self, settings: Settings, placement: Placement, kind: str) -> list[int]:
        """Return the bytes of weights and cache of each layer on a device of a kind."""
        return self._own.by_layer(settings, placement, kind)

    def growth(self, settings: Settings, *, is_server: bool) -> Growth:
        """Return what the caches on the host may grow to."""
        return self._beside.growth(settings, is_server=is_server)

    def memory(
        self, settings: Settings, placement: Placement, machine: Machine, *, is_server: bool
    ) -> Memory:
        """Return the bytes of a run: a row per accelerator, the host last."""
        weights = self._own.weights(placement)
        own = self._own.of(settings, placement, weights)
        parts = self._beside.parts(settings, placement, machine, own)
        overheads = overheads_of(self._model, settings, placement, machine, is_server=is_server)
        rows = []
        for index, device in enumerate((*placement.accelerators, placement.host)):
            share = sum((part.shares[index] for part in parts), own[index])
            rows.append(device_row(machine, device, share, overheads[index]))
        return Memory.of(
            rows,
            mapped_bytes=weights.mapped_bytes + sum(part.mapped_bytes for part in parts),
            growth_limit_bytes=self.growth(settings, is_server=is_server).limit_bytes,
            parts=[_listed(part) for part in parts],
        )


def _listed(part: Part) -> MemoryPart:
    total = part.total
    return MemoryPart(
        kind=part.kind,
        name=part.name,
        weights_bytes=total.weights_bytes,
        kv_cache_bytes=total.kv_cache_bytes,
        compute_bytes=total.compute_bytes,
        output_bytes=total.output_bytes,
        total_bytes=total.total_bytes,
        low_bytes=total.low_bytes,
        high_bytes=total.high_bytes,
    )


def device_row(machine: Machine, device: Device, share: Share, overhead: Overhead) -> DeviceMemory:
    """Return the row of one device: what the program has there, and what it loses beside it."""
    pool = machine.pool(device.pool).of(device)
    return DeviceMemory(
        device=device.id,
        pool=device.pool,
        weights_bytes=share.weights_bytes,
        kv_cache_bytes=share.kv_cache_bytes,
        compute_bytes=share.compute_bytes,
        output_bytes=share.output_bytes,
        overhead_bytes=overhead.mid_bytes,
        low_bytes=share.low_bytes + overhead.low_bytes,
        high_bytes=share.high_bytes + overhead.high_bytes,
        limit_bytes=pool.allowance_bytes,
        free_bytes=pool.free_bytes,
    )
