"""What one model and its context take in llama.cpp, device by device, without anything beside it.

Rules live in `weights`, `kv_cache` and `compute`; this file adds them up the way the program does.
Source: llama.cpp (0c1e57098), see those modules.
"""

from __future__ import annotations

from whatfits.sizing.buffers import allocated_bytes
from whatfits.sizing.compute import ComputeBytes, compute_buffers
from whatfits.sizing.graph.index import TensorIndex
from whatfits.sizing.kv_cache import cache_tensors, widest_value_row
from whatfits.sizing.share import Share
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.weights import HostByName, Weights, WeightTable

if TYPE_CHECKING:
    from whatfits.sizing.graph.index import Replays
    from whatfits.sizing.model import LayerSpec, ModelSpec
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.settings import Settings

__all__ = ["ModelShares"]


class ModelShares:
    """One model's own memory; keeps what does not depend on the placement."""

    def __init__(self, model: ModelSpec, *, replays: Replays | None = None) -> None:
        """Group the model's tensors once; `replays` are those of the model under any file type."""
        self._model = model
        self._weights = WeightTable(model)
        self._index = TensorIndex(model, replays=replays)
        self._widest_value = widest_value_row(model)
        self._placed: tuple[Placement, Weights] | None = None
        self._cache_sizes: dict[tuple[LayerSpec, Settings, str], int] = {}

    def weights(self, placement: Placement) -> Weights:
        """Return where the weights lie under a placement; the last one is known already.

        Contexts are tried one after the other under one placement, which is what most trials are.
        """
        if self._placed is None or self._placed[0] != placement:
            self._placed = placement, self._weights.place(placement)
        return self._placed[1]

    def host_by_name(self, placement: Placement) -> HostByName:
        """Return what names put on the host although its layers are on accelerators."""
        return self._weights.host_by_name(placement)

    def of(self, settings: Settings, placement: Placement, weights: Weights) -> list[Share]:
        """Return a share for each accelerator, the host last; `weights` are those placed."""
        model = self._model
        caches = self._cache(settings, placement)
        compute = compute_buffers(
            model,
            settings,
            placement,
            streamed_bytes=weights.streamed_bytes,
            tensors=self._index,
        )
        parts = _layer_shares(placement) if model.weights is not None else None
        exact = (*weights.devices, weights.host.total_bytes)
        outputs = [0] * len(placement.accelerators) + [_output_bytes(model, settings)]
        return [
            _share(
                _weights_range(model, exact[index], parts, index),
                cache=caches[index],
                cache_error=model.cache_interval,
                compute=compute[index],
                output=outputs[index],
            )
            for index in range(len(exact))
        ]

    def weights_and_caches(self, settings: Settings, placement: Placement) -> list[int]:
        """Return the bytes of weights and caches of each accelerator, the host last."""
        weights = self.weights(placement)
        caches = self._cache(settings, placement)
        sizes = (*weights.devices, weights.host.total_bytes)
        return [size + cache for size, cache in zip(sizes, caches, strict=True)]

    def by_layer(self, settings: Settings, placement: Placement, kind: str) -> list[int]:
        """Return the bytes of weights and cache of each layer on a device of a kind.

        The output layer's come last. Weights known by their interval alone count at its upper end.
        """
        sizes = self._weights.by_layer(placement, kind)
        if self._model.weights is not None:
            sizes = [self._model.weights.high_bytes // len(sizes)] * len(sizes)
        if placement.kv_offload:
            for index, layer in enumerate(self._model.layers):
                sizes[index] += self._layer_cache(layer, settings, kind)
        return sizes

    def _cache(self, settings: Settings, placement: Placement) -> list[int]:
        sizes = [0] * (len(placement.accelerators) + 1)
        # zip stops at the last loaded layer: next-token-prediction layers keep no cache
        for layer, target in zip(self._model.layers, placement.layer_device, strict=False):
            if target is None or not placement.kv_offload:
                sizes[-1] += self._layer_cache(layer, settings, "cpu")
            else:
                kind = placement.accelerators[target].kind
                sizes[target] += self._layer_cache(layer, settings, kind)
        return sizes

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


def _share(
    weights: ComputeBytes, *, cache: int, cache_error: float, compute: ComputeBytes, output: int
) -> Share:
    slack = round(cache * cache_error)
    certain = cache + output
    return Share(
        weights_bytes=weights.mid,
        kv_cache_bytes=cache,
        compute_bytes=compute.mid,
        output_bytes=output,
        low_bytes=weights.low + compute.low + certain - slack,
        high_bytes=weights.high + compute.high + certain + slack,
    )
