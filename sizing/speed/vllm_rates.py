"""At what rates vLLM multiplies by weights of each storage type, and how it unpacks them on Hopper.

It adds up products of 16 bits and of FP8 in 32 bits, which GeForce cards do at half of their rate:
that is told of sums in 16 bits, as llama.cpp takes them. Weights of eight bits, and of four in
NVFP4 on Blackwell, meet activations that are rounded to as many; all others are turned to 16 bits
first. Source: vllm-project/vllm 0.33.0 vllm/model_executor/kernels/linear (scaled_mm, nvfp4,
mixed_precision; Marlin where a card has no such products), vllm/platforms/rocm.py; NVIDIA's white
papers on Turing to Blackwell, its data sheets of the T4, A100, L40S, H100 and B200, and AMD's of
the MI300X: operations a second by type.
"""

from __future__ import annotations

import re

from whatfits.sizing.speed.families import capability_of
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from whatfits.sizing.machine import Device

__all__ = ["BY_MACHETE", "vllm_rates"]

_GEFORCE: Final = re.compile(r"\bGeForce\b", re.IGNORECASE)
_FP8: Final = ("FP8", "FBGEMM_FP8")
_INT8: Final = "W8A8"
_FP4: Final = "NVFP4"
# Compute capabilities; vLLM refuses integers from Blackwell on.
_INT8_FROM, _FP8_FROM, _FP4_FROM = (7, 5), (8, 9), (10, 0)
_AMD_FP8: Final = ("gfx94", "gfx95", "gfx12")
_AMD_INT8: Final = ("gfx94", "gfx95")
# Times the rate of 16 bits, summed up in as many on GeForce cards and in 32 on others.
_GEFORCE_SUMS: Final = 0.5
_EIGHT_BITS, _FOUR_BITS = 2, 4

# Machete, by which dense matrices of these are multiplied on Hopper; Marlin, on other cards and for
# experts, is not known to lose as much. As many instructions an element as llama.cpp's types of
# four bits take: they put the one figure of the half that is fitted on (Qwen3 14B in AWQ on a
# H200) within a tenth.
BY_MACHETE: Final[Mapping[str, int]] = dict.fromkeys(("AWQ", "GPTQ", "W4A16"), 7)


def vllm_rates(device: Device, flops: float) -> tuple[float, dict[str, float]]:
    """Return the rate of products of 16 bits, and that of storage types with another.

    `flops` is the device's rate of 16 bits.
    """
    capability = capability_of(device)
    if capability is None:
        return flops, _on_amd(device, flops)
    sums = _GEFORCE_SUMS if _GEFORCE.search(device.name) else 1.0
    products: dict[str, float] = {}
    if _INT8_FROM <= capability < _FP4_FROM:
        products[_INT8] = flops * _EIGHT_BITS
    if capability >= _FP8_FROM:
        products |= dict.fromkeys(_FP8, flops * sums * _EIGHT_BITS)
    if capability >= _FP4_FROM:
        products[_FP4] = flops * _FOUR_BITS
    return flops * sums, products


def _on_amd(device: Device, flops: float) -> dict[str, float]:
    has = {feature[: len("gfx94")] for feature in device.features}
    products: dict[str, float] = {}
    if not has.isdisjoint(_AMD_FP8):
        products |= dict.fromkeys(_FP8, flops * _EIGHT_BITS)
    if not has.isdisjoint(_AMD_INT8):
        products[_INT8] = flops * _EIGHT_BITS
    return products
