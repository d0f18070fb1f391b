"""vLLM's memory bill: what is not cache, the pool that is left for it, and what the pool holds.

requested = ceil(total x utilisation); pool = requested - weights - peak activation - libraries -
graphs, on each device. Ranks and stages take the smallest number of blocks of all.
Source: vllm-project/vllm 0.33.0 vllm/v1/worker/gpu_worker.py, vllm/v1/worker/utils.py,
vllm/config/cache.py; the parts are explained in the files that work them out.
"""

from __future__ import annotations

from itertools import islice
from math import ceil

from whatfits.sizing.estimate import DeviceMemory, Memory
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.quants.layouts.parts import HALF
from whatfits.sizing.runtimes.vllm_devices import capability
from whatfits.sizing.runtimes.vllm_kv_plan import plan_stages
from whatfits.sizing.runtimes.vllm_layers import CacheRules, cache_layers
from whatfits.sizing.runtimes.vllm_overheads import (
    activation_range,
    context_range,
    graph_range,
    graphs_beyond_bytes,
    rest_range,
)
from whatfits.sizing.runtimes.vllm_weights import stage_weights
from whatfits.sizing.speculation import prediction_layer
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from whatfits.sizing.machine import Device, Machine, Pool
    from whatfits.sizing.model import ByteRange, LayerSpec, ModelSpec
    from whatfits.sizing.runtimes.vllm_kv_plan import CachePlan
    from whatfits.sizing.runtimes.vllm_kv_specs import CacheSpec
    from whatfits.sizing.runtimes.vllm_settings import VllmSettings

__all__ = ["DEFAULT_UTILISATION_PERMILLE", "Bill", "DeviceBill", "bill_of"]

DEFAULT_UTILISATION_PERMILLE: Final = 920
_EIGHT_BITS: Final = 1


class DeviceBill(NamedTuple):
    """One device.

    Attributes:
        device: which.
        pool: what it computes out of.
        weights: of the checkpoint on it.
        activation: peak of the profiling run.
        rest: libraries outside torch.
        graphs: captured graphs.
        context: the driver's context.
        cache: groups of the layers on it.
    """

    device: Device
    pool: Pool
    weights: ByteRange
    activation: ByteRange
    rest: ByteRange
    graphs: ByteRange
    context: ByteRange
    cache: CachePlan

    @property
    def subtracted(self) -> tuple[ByteRange, ...]:
        """What vLLM subtracts from the memory it may use."""
        return self.weights, self.activation, self.rest, self.graphs

    @property
    def startup_bytes(self) -> int:
        """What has to stay free beside the memory vLLM may use, at most."""
        return self.context.high_bytes + graphs_beyond_bytes(self.graphs)

    def utilisation_permille(self, *, idle: bool = False) -> int:
        """Return the largest share that is free at the start, in thousandths.

        vLLM refuses to start when it is told to use more. `idle` is as after everything else on
        the device has been closed.
        """
        free = self.pool.free_when_idle_bytes if idle else self.pool.free_low_bytes
        room = max(0, (free or 0) - self.startup_bytes)
        return min(DEFAULT_UTILISATION_PERMILLE, room * 1000 // (self.pool.total_bytes or 1))


class Bill(NamedTuple):
    """The bill of all devices under one utilisation.

    Attributes:
        devices: in their order.
        utilisation_permille: thousandths of each device's memory that vLLM may use.
        n_blocks: blocks of the cache: in the worst case, expected, in the best case.
        request_tokens: the longest request.
        state_slots: blocks that have to be there for the states of requests in progress.
    """

    devices: tuple[DeviceBill, ...]
    utilisation_permille: int
    n_blocks: tuple[int, int, int]
    request_tokens: int
    state_slots: int

    def allowed_bytes(self, one: DeviceBill) -> int:
        """Return the memory of a device that vLLM may use."""
        return requested_bytes(one.pool.total_bytes or 0, self.utilisation_permille)

    def admits(self, n_blocks: int) -> bool:
        """Return whether every device's cache of so many blocks holds what vLLM asks for.

        That is one longest request, and the states of all requests in progress.
        """
        return n_blocks >= self.state_slots and all(
            not one.cache.groups or one.cache.admits(n_blocks, request_tokens=self.request_tokens)
            for one in self.devices
        )

    def holds(self, n_requests: int) -> bool:
        """Return whether every device's cache surely holds so many longest requests at once."""
        low = self.n_blocks[0]
        return all(
            one.cache.concurrency(low, request_tokens=self.request_tokens) >= n_requests
            for one in self.devices
            if one.cache.groups
        )

    def least_cache_bytes(self, one: DeviceBill) -> int:
        """Return the smallest cache of a device that vLLM starts with."""
        slots = self.state_slots * one.cache.block_bytes
        return max(one.cache.request_bytes(self.request_tokens), slots)

    def longest_request(self, n_blocks: int, *, most_tokens: int) -> int | None:
        """Return the longest request that fits on every device; None when none does."""
        if n_blocks < self.state_slots:
            return None
        found = [
            one.cache.longest_request(n_blocks, most_tokens=most_tokens)
            for one in self.devices
            if one.cache.groups
        ]
        known = [tokens for tokens in found if tokens is not None]
        return min(known, default=None) if len(known) == len(found) else None

    def memory(self, *, fits: bool) -> Memory:
        """Return the bill in the answer's terms.

        What fits has the cache filled up to what vLLM may use; what does not has the least cache
        that vLLM starts with.
        """
        return Memory.of(
            [self._row(one, fits=fits) for one in self.devices],
            mapped_bytes=0,
            growth_limit_bytes=0,
        )

    def _row(self, one: DeviceBill, *, fits: bool) -> DeviceMemory:
        filled = self.n_blocks[1] * one.cache.block_bytes
        cache = filled if fits else self.least_cache_bytes(one)
        beside = (one.rest, one.graphs, one.context)
        mid = one.weights.mid_bytes + one.activation.mid_bytes + cache
        mid += sum(part.mid_bytes for part in beside)
        if fits:
            low = mid - sum(p.mid_bytes - p.low_bytes for p in (one.graphs, one.context))
            high = max(mid, self.allowed_bytes(one) + one.startup_bytes)
        else:
            low = cache + sum(p.low_bytes for p in (*one.subtracted, one.context))
            high = cache + sum(p.high_bytes for p in (*one.subtracted, one.context))
        return DeviceMemory(
            device=one.device.id,
            pool=one.pool.id,
            weights_bytes=one.weights.mid_bytes,
            kv_cache_bytes=cache,
            compute_bytes=one.activation.mid_bytes,
            output_bytes=0,
            overhead_bytes=sum(part.mid_bytes for part in beside),
            low_bytes=low,
            high_bytes=high,
            limit_bytes=one.pool.allowance_bytes,
            free_bytes=one.pool.free_bytes,
        )


def requested_bytes(total_bytes: int, utilisation_permille: int) -> int:
    """Return the memory that vLLM may use of a device."""
    return ceil(total_bytes * (utilisation_permille / 1000))


def bill_of(
    model: ModelSpec,
    machine: Machine,
    settings: VllmSettings,
    *,
    idle: bool = False,
    permille: int | None = None,
) -> Bill:
    """Return the bill; nothing is free where that is not known.

    `idle` is as after everything else on the devices has been closed. `permille` is the share that
    vLLM was told to use, where that is known; else the largest that is free.
    """
    devices = _devices(model, machine, settings)
    if permille is None:
        permille = min(one.utilisation_permille(idle=idle) for one in devices)
    cached = [one for one in devices if one.cache.groups]
    low, mid, high = (
        min((_n_blocks(one, permille, which) for one in cached), default=0)
        for which in ("low", "mid", "high")
    )
    return Bill(devices, permille, (low, mid, high), settings.request_tokens, settings.state_slots)


def _n_blocks(one: DeviceBill, permille: int, which: str) -> int:
    """Return the blocks of a device's cache in the worst, the expected or the best case."""
    total, least = one.pool.total_bytes or 0, one.pool.total_low_bytes
    if which == "low":
        asked = requested_bytes(total if least is None else least, permille)
        return one.cache.n_blocks(asked - sum(part.high_bytes for part in one.subtracted))
    asked = requested_bytes(total, permille)
    if which == "mid":
        return one.cache.n_blocks(asked - sum(part.mid_bytes for part in one.subtracted))
    return one.cache.n_blocks(asked - sum(part.low_bytes for part in one.subtracted))


def _pages_of_stages(
    model: ModelSpec, stages: Sequence[range], predicting: list[LayerSpec], rules: CacheRules
) -> list[tuple[CacheSpec, ...]]:
    """Return the pages on each stage, aligned with those of all; predictions are on the last."""
    held = [[model.layers[index] for index in layers] for layers in stages]
    held[-1] += predicting
    pages = iter(cache_layers(model, [layer for layers in held for layer in layers], rules))
    counts = [len(cache_layers(model, layers, rules)) for layers in held]
    return [tuple(islice(pages, count)) for count in counts]


def _devices(model: ModelSpec, machine: Machine, settings: VllmSettings) -> tuple[DeviceBill, ...]:
    cut = settings.cut
    stages = cut.layers(model.n_layers)
    drafting = settings.drafted_tokens > 0
    kind = capability(settings.devices[0])
    weights = stage_weights(model, cut, drafting=drafting, capability=kind)
    activation = activation_range(model, settings)
    rules = CacheRules(
        ranks=cut.ranks,
        element_bytes=_EIGHT_BITS if settings.keeps_fp8(model) else HALF,
        latent_block_tokens=settings.latent_block_tokens,
        states_in_f32=None if model.checkpoint is None else model.checkpoint.states_in_f32,
        plain_sparse_rows=settings.plain_sparse_rows,
        drafted_tokens=settings.drafted_tokens,
    )
    predicting = [prediction_layer(model)] * model.hparams.n_layer_nextn if drafting else []
    caches = plan_stages(
        _pages_of_stages(model, stages, predicting, rules),
        in_flight_tokens=settings.in_flight_tokens,
    )
    bills = []
    for index, device in enumerate(settings.devices):
        stage = index // cut.ranks
        pool = machine.pool(device.pool)
        total = pool.total_bytes or 0
        n_layers = len(stages[stage]) + len(predicting)
        bills.append(
            DeviceBill(
                device=device,
                pool=pool,
                weights=weights[stage],
                activation=activation,
                rest=rest_range(device, total_bytes=total, several=cut.ranks > 1),
                graphs=graph_range(model, settings, n_layers=n_layers, total_bytes=total),
                context=context_range(device),
                cache=caches[stage],
            )
        )
    return tuple(bills)
