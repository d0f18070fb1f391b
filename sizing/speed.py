"""How fast: a roofline with wide, stated intervals.

Decoding reads every active weight and the cache once a token, so it is bound by memory bandwidth
plus a constant a layer; reading a prompt is bound by arithmetic. Until this machine has been
measured both carry the spread that public benchmark rows show.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from whatfits.sizing.estimate import RateRange, Speed
from whatfits.sizing.kv_cache import cache_cells
from whatfits.sizing.model import LatentAttention, SlidingWindow
from whatfits.sizing.quants.ggml_types import row_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whatfits.sizing.machine import Device
    from whatfits.sizing.model import LayerSpec, ModelSpec
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.settings import Settings
    from whatfits.sizing.weights import Weights

__all__ = ["DEFAULT_PROMPT_TOKENS", "SPEED_SOURCE", "estimate_speed"]

DEFAULT_PROMPT_TOKENS: Final = 512
SPEED_SOURCE: Final = (
    "public benchmark rows: effective bandwidth of GDDR cards near the published one with "
    "0.07-0.10 ms a layer, HBM cards well under it; system memory sustains 70-90 % of its peak; "
    "prompt efficiency differs up to five-fold between device families"
)


class _Efficiency(NamedTuple):
    """Share of a peak that is reached: low, middle and high."""

    low: float
    mid: float
    high: float


_ACCELERATOR_BANDWIDTH: Final = _Efficiency(0.5, 0.85, 0.97)
_HOST_BANDWIDTH: Final = _Efficiency(0.5, 0.75, 0.9)
_LAYER_SECONDS: Final = _Efficiency(0.25e-3, 0.085e-3, 0.05e-3)  # slow, middle, fast
_ACCELERATOR_COMPUTE: Final = _Efficiency(0.15, 0.4, 1.0)
_FLOPS_PER_WEIGHT: Final = 2
# Memory whose speed nobody told: from one channel of DDR4-2400 to two of DDR5-7500.
_UNKNOWN_HOST_BYTES_PER_S: Final = _Efficiency(19.2e9, 60e9, 120e9)
_UNKNOWN_HOST: Final = "the speed of the system memory is not known: 19 to 120 GB/s were assumed"


def estimate_speed(
    model: ModelSpec,
    settings: Settings,
    placement: Placement,
    weights: Weights,
    *,
    prompt_tokens: int | None,
) -> Speed:
    """Return prompt and decode speed at the depth of the prompt, with intervals.

    A rate is None when a bandwidth or an arithmetic rate it needs is unknown; the reason says
    which.
    """
    depth = min(prompt_tokens or DEFAULT_PROMPT_TOKENS, settings.sequence_tokens)
    reads = [*weights.read_devices, weights.read_host]
    for layer, target in zip(model.layers, placement.layer_device, strict=False):
        index = -1 if target is None or not placement.kv_offload else target
        reads[index] += _cache_read(layer, settings, depth)
    devices = (*placement.accelerators, placement.host)
    missing = [
        device.name
        for device, n_bytes in zip(devices, reads, strict=True)
        if n_bytes and not device.bandwidth_bytes_per_s and device.kind != "cpu"
    ]
    if missing or not model.tensors:
        reason = (
            f"memory bandwidth of {missing[0]} is not known"
            if missing
            else "the tensor table of this model is not known"
        )
        return Speed(None, None, None, "unknown", reason)
    prefill = _prefill(model, placement)
    if not model.hparams.causal:
        return Speed(prefill, None, None, "estimated", "an encoder writes no tokens")
    decode = _decode(model, devices, reads)
    first = None if prefill is None else _first_token(depth, prefill, decode)
    assumed = bool(reads[-1]) and not placement.host.bandwidth_bytes_per_s
    return Speed(prefill, decode, first, "estimated", _UNKNOWN_HOST if assumed else None)


def _cache_read(layer: LayerSpec, settings: Settings, depth: int) -> int:
    """Return the bytes of cache one token attends to in a layer, at a depth in tokens."""
    total = 0
    cache = layer.attention
    if cache is not None:
        tokens = min(depth, cache_cells(cache, settings))
        if isinstance(cache, SlidingWindow):
            tokens = min(tokens, cache.window_tokens)
        total += tokens * row_bytes(settings.kv_type_k, cache.key_width)
        if not isinstance(cache, LatentAttention):
            total += tokens * row_bytes(settings.kv_type_v, cache.value_width)
    if layer.recurrent is not None:
        total += 4 * (layer.recurrent.shift_elements + layer.recurrent.state_elements)
    return total


def _decode(model: ModelSpec, devices: Sequence[Device], reads: Sequence[int]) -> RateRange:
    seconds = []
    for level in range(3):
        total = _LAYER_SECONDS[level] * model.n_layers
        for device, n_bytes in zip(devices, reads, strict=True):
            if n_bytes:
                total += n_bytes / _sustained(device, level)
        seconds.append(total)
    slow, middle, fast = seconds
    return RateRange(_rounded(1 / slow), _rounded(1 / middle), _rounded(1 / fast))


def _sustained(device: Device, level: int) -> float:
    """Return the bytes a second a device sustains: slow, middle or fast estimate."""
    peak = device.bandwidth_bytes_per_s
    if device.kind != "cpu":
        return _ACCELERATOR_BANDWIDTH[level] * (peak or 1)
    return _HOST_BANDWIDTH[level] * (peak or _UNKNOWN_HOST_BYTES_PER_S[level])


def _prefill(model: ModelSpec, placement: Placement) -> RateRange | None:
    """Arithmetic-bound; None when weights lie on the host, or a device's rate is unknown."""
    on_host = None in placement.layer_device or placement.has_overrides
    if model.active_parameters is None or on_host:
        return None
    indexes = {index for index in placement.layer_device if index is not None}
    used = [placement.accelerators[index] for index in sorted(indexes)]
    if not used or any(not device.fp16_flops_per_s for device in used):
        return None
    work = _FLOPS_PER_WEIGHT * model.active_parameters
    count = len(placement.layer_device)
    seconds = sum(
        work
        * placement.layer_device.count(placement.accelerators.index(device))
        / count
        / (device.fp16_flops_per_s or 1)
        for device in used
    )
    low, mid, high = (_rounded(share / seconds) for share in _ACCELERATOR_COMPUTE)
    return RateRange(low, mid, high)


def _first_token(prompt_tokens: int, prefill: RateRange, decode: RateRange) -> RateRange:
    return RateRange(
        _rounded(prompt_tokens / prefill.high + 1 / decode.high),
        _rounded(prompt_tokens / prefill.mid + 1 / decode.mid),
        _rounded(prompt_tokens / prefill.low + 1 / decode.low),
    )


def _rounded(value: float) -> float:
    """Return `value` with three significant digits: more would pretend."""
    return float(f"{value:.3g}")
