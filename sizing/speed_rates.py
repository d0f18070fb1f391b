"""Peak rates of devices: memory, arithmetic and the way from the host, as told or as assumed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whatfits.sizing.speed_families import family_of
from whatfits.sizing.speed_terms import Rates
from whatfits.sizing.speed_unknown import assumed_memory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whatfits.sizing.calibration import DeviceCalibration
    from whatfits.sizing.machine import Device, Machine

__all__ = ["measured_device", "peak_rates"]

# PCIe 4.0 with eight lanes: 16 GT/s x 8 x 128/130 / 8 bits.
_UNKNOWN_LINK_BYTES_PER_S: Final = 15.75e9
_SHARED: Final = frozenset({"integrated", "unified"})
# Hopper's peak is that of `wgmma`; `mma` attains 62.9 % of it on the average.
# Source: Dissecting the NVIDIA Hopper Architecture (arXiv 2501.12084), tensor cores.
_HOPPER: Final = ("cuda", "hopper")
_HOPPER_MMA_SHARE: Final = 0.629
# Byte-wise dot products, four times the FP32 rate: half of it here, as every card's rate of prompts
# is half of what it multiplies bytes at. Source: NVIDIA Tesla P40 data sheet (12 TFLOPS, 47 TOPS
# of INT8); ggml/src/ggml-cuda/common.cuh (GGML_CUDA_CC_DP4A, no matrix units before 7.0).
_BYTEWISE: Final = "cc6.1"
_BYTEWISE_OVER_FLOATS: Final = 2


def peak_rates(
    devices: Sequence[Device], machine: Machine | None, engine: str | None = None
) -> list[Rates]:
    """Return the peak rates of the devices, the host last; where unknown, what was measured here.

    Of memory whose speed nobody told, a usual one is assumed; nothing is copied where CPU and GPU
    share it. llama.cpp (`engine` None) multiplies by `mma` instructions, which do not reach the
    peak of every generation.
    """
    links = {}
    if machine is not None:
        links = {link.to: link.bandwidth_bytes_per_s for link in machine.links}
    rates = []
    for device in devices:
        found = measured_device(device, machine)
        peak: float | None = device.bandwidth_bytes_per_s
        flops: float | None = device.fp16_flops_per_s
        if flops and engine is None and family_of(device) == _HOPPER:
            flops *= _HOPPER_MMA_SHARE
        if found is not None:
            peak = peak or found.read_bytes_per_s
            flops = flops or next((rate.flops_per_s for rate in found.prefill), None)
        is_told = device.kind != "cpu" or peak
        assumed = None if is_told else assumed_memory(device, machine)
        peak = peak if assumed is None else assumed.bytes_per_s
        is_shared = device.kind == "metal" or not _SHARED.isdisjoint(device.features)
        link = peak if is_shared else links.get(device.id) or _UNKNOWN_LINK_BYTES_PER_S
        bytewise = None
        if flops and _is_bytewise(device, engine) and not (found and found.prefill):
            bytewise = _BYTEWISE_OVER_FLOATS * flops
        rates.append(Rates(peak, flops, link, assumed, bytewise))
    return rates


def _is_bytewise(device: Device, engine: str | None) -> bool:
    """Return whether llama.cpp multiplies quantised weights by byte-wise dot products there."""
    return engine is None and device.kind == "cuda" and _BYTEWISE in device.features


def measured_device(device: Device, machine: Machine | None) -> DeviceCalibration | None:
    """Return what was measured of a device here; None without."""
    if machine is None or machine.calibration is None:
        return None
    return machine.calibration.device(device.id)
