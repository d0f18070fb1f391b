"""llama.cpp: the memory bill of one run, device by device.

Rules live in `weights`, `kv_cache`, `compute` and `overhead`; this file adds them up the way the
program does. Source: llama.cpp (0c1e57098), see those modules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whatfits.sizing.buffers import allocated_bytes
from whatfits.sizing.compute import ComputeBytes, compute_buffers
from whatfits.sizing.estimate import DeviceMemory, Memory
from whatfits.sizing.graph.index import TensorIndex
from whatfits.sizing.kv_cache import cache_tensors, widest_value_row
from whatfits.sizing.overhead import overhead_of
from whatfits.sizing.units import MIB
from whatfits.sizing.weights import Weights, WeightTable

if TYPE_CHECKING:
    from whatfits.sizing.machine import Device, Machine
    from whatfits.sizing.model import LayerSpec, ModelSpec
    from whatfits.sizing.overhead import Overhead
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.settings import Settings

__all__ = ["PROMPT_CACHE_BYTES", "Bill"]

PROMPT_CACHE_BYTES: Final = 8192 * MIB
"""llama-server's default limit of the host prompt cache (common/common.h: cache_ram_mib)."""


class Bill:
    """One model's memory bill; keeps what does not depend on the placement."""

    def __init__(self, model: ModelSpec) -> None:
        """Group the model's tensors once."""
        self._model = model
        self._weights = WeightTable(model)
        self._index = TensorIndex(model)
        self._widest_value = widest_value_row(model)
        self._cache_sizes: dict[tuple[LayerSpec, Settings, str], int] = {}

    def weights(self, placement: Placement) -> Weights:
        """Return where the weights lie under a placement."""
        return self._weights.place(placement)

    def memory(
        self, settings: Settings, placement: Placement, machine: Machine, *, is_server: bool
    ) -> Memory:
        """Return the bytes of a run: a row per accelerator, the host last."""
        model = self._model
        weights = self._weights.place(placement)
        cache_devices, cache_host = self._cache(settings, placement)
        compute = compute_buffers(
            model,
            settings,
            placement,
            streamed_bytes=weights.streamed_bytes,
            tensors=self._index,
        )
        shares = _layer_shares(placement) if model.weights is not None else None
        rows = []
        for index, device in enumerate((*placement.accelerators, placement.host)):
            on_host = device is placement.host
            exact = weights.host.total_bytes if on_host else weights.devices[index]
            rows.append(
                _row(
                    machine,
                    device,
                    weights=_weights_range(model, exact, shares, index),
                    cache=cache_host if on_host else cache_devices[index],
                    cache_error=model.cache_interval,
                    compute=compute[index],
                    output=_output_bytes(model, settings) if on_host else 0,
                    overhead=overhead_of(machine, device, is_server=is_server),
                )
            )
        grows = is_server and model.hparams.causal
        return Memory.of(
            rows,
            mapped_bytes=weights.mapped_bytes,
            growth_limit_bytes=PROMPT_CACHE_BYTES if grows else 0,
        )

    def _cache(self, settings: Settings, placement: Placement) -> tuple[list[int], int]:
        devices, host = [0] * len(placement.accelerators), 0
        # zip stops at the last loaded layer: next-token-prediction layers keep no cache
        for layer, target in zip(self._model.layers, placement.layer_device, strict=False):
            if target is None or not placement.kv_offload:
                host += self._layer_cache(layer, settings, "cpu")
            else:
                kind = placement.accelerators[target].kind
                devices[target] += self._layer_cache(layer, settings, kind)
        return devices, host

    def _layer_cache(self, layer: LayerSpec, settings: Settings, kind: str) -> int:
        key = (layer, settings, kind)
        size = self._cache_sizes.get(key)
        if size is None:
            size = sum(
                allocated_bytes(t.type, t.row_elements, t.n_bytes, device_kind=kind)
                for t in cache_tensors(layer, settings, widest_value=self._widest_value)
            )
            self._cache_sizes[key] = size
        return size


def _output_bytes(model: ModelSpec, settings: Settings) -> int:
    """Return the buffer logits (and embeddings) are handed out in: one row a sequence at start.

    Source: llama.cpp src/llama-context.cpp:output_reserve.
    """
    hparams = model.hparams
    width = hparams.n_vocab
    if settings.embeddings:
        width += hparams.n_embd_out or hparams.n_embd
    return 4 * width * settings.sequences


def _layer_shares(placement: Placement) -> list[float]:
    """Return each device's share of the layers, the host last: for weights without a table."""
    places = (*placement.layer_device, placement.output_device)
    devices = [places.count(index) for index in range(len(placement.accelerators))]
    return [count / len(places) for count in (*devices, places.count(None))]


def _weights_range(
    model: ModelSpec, exact: int, shares: list[float] | None, index: int
) -> ComputeBytes:
    if shares is None or model.weights is None:
        return ComputeBytes(exact, exact, exact)
    known = model.weights
    sizes = (known.low_bytes, known.mid_bytes, known.high_bytes)
    return ComputeBytes(*(round(size * shares[index]) for size in sizes))


def _row(
    machine: Machine,
    device: Device,
    *,
    weights: ComputeBytes,
    cache: int,
    cache_error: float,
    compute: ComputeBytes,
    output: int,
    overhead: Overhead,
) -> DeviceMemory:
    pool = machine.pool(device.pool)
    cache_slack = round(cache * cache_error)
    certain = cache + output
    low = weights.low + compute.low + overhead.low_bytes + certain - cache_slack
    high = weights.high + compute.high + overhead.high_bytes + certain + cache_slack
    return DeviceMemory(
        device=device.id,
        pool=device.pool,
        weights_bytes=weights.mid,
        kv_cache_bytes=cache,
        compute_bytes=compute.mid,
        output_bytes=output,
        overhead_bytes=overhead.mid_bytes,
        low_bytes=low,
        high_bytes=high,
        limit_bytes=pool.allowance_bytes,
        free_bytes=pool.free_bytes,
    )
