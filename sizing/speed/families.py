"""Which devices behave alike: the family whose efficiencies a device takes.

A family is a back end and a generation, as `cuda:ada` or `metal:m3`. What is not known of a
generation is taken from its back end, and what is not known of a back end from all.

NVIDIA's cards with matrix units are `cuda:vulkan` under Vulkan, whatever their generation: its
shaders use the same units as CUDA's kernels (VK_NV_cooperative_matrix2, ggml-vulkan.cpp), and no
other maker's. Of three places tried for them this one missed the least over the half that is fitted
on, each card left out in turn.
"""

from __future__ import annotations

import re

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.machine import Device

__all__ = ["family_of"]

# Jetsons (Xavier, Orin, Thor) are generations of their own: the GPU shares LPDDR with a small CPU.
# Source: NVIDIA CUDA C++ programming guide, compute capabilities.
_CUDA: Final = (
    ((12, 1), "gb10"),
    ((12, 0), "blackwell"),
    ((11, 0), "thor"),
    ((10, 0), "blackwell-hbm"),
    ((9, 0), "hopper"),
    ((8, 9), "ada"),
    ((8, 7), "orin"),
    ((8, 6), "ampere"),
    ((8, 0), "ampere-hbm"),
    ((7, 5), "turing"),
    ((7, 2), "xavier"),
    ((7, 0), "volta"),
    ((6, 1), "pascal"),
    ((6, 0), "pascal-hbm"),
    ((5, 0), "maxwell"),
)
# Source: LLVM AMDGPU usage, processors.
_ROCM: Final = (
    ("gfx12", "rdna4"),
    ("gfx115", "rdna3.5"),
    ("gfx11", "rdna3"),
    ("gfx101", "rdna1"),
    ("gfx10", "rdna2"),
    ("gfx908", "cdna"),
    ("gfx90a", "cdna"),
    ("gfx94", "cdna"),
    ("gfx95", "cdna"),
    ("gfx9", "gcn5"),
)
_CAPABILITY: Final = r"^cc(\d+)\.(\d+)$"
_VULKAN: Final = "vulkan"
_NVIDIA_BY_VULKAN: Final = ("cuda", _VULKAN)
_FIRST_WITH_SHARED_UNITS: Final = (7, 5)
_ARM: Final = "neon"
_APPLE: Final = r"\bM(\d+)\b"


def family_of(device: Device, engine: str | None = None) -> tuple[str, str | None]:
    """Return (back end, generation) of a device; the generation is None when it does not say.

    `engine` is a runtime with kernels of its own (`mlx`, `vllm`); None for llama.cpp's.
    """
    if engine is None and device.kind == _VULKAN:
        version = capability_of(device)
        if version is not None and version >= _FIRST_WITH_SHARED_UNITS:
            return _NVIDIA_BY_VULKAN
    return engine if engine and device.kind != "cpu" else device.kind, _generation(device)


def capability_of(device: Device) -> tuple[int, int] | None:
    """Return a CUDA device's compute capability; None when it has none or nobody told."""
    for feature in device.features:
        found = re.match(_CAPABILITY, feature) if feature.startswith("cc") else None
        if found:
            return int(found[1]), int(found[2])
    return None


def _generation(device: Device) -> str | None:
    if device.kind == "cpu":
        return "arm" if _ARM in device.features else None
    version = capability_of(device)
    if version is not None:
        return next((name for least, name in _CUDA if version >= least), None)
    for feature in device.features:
        if feature.startswith("gfx"):
            return next((name for start, name in _ROCM if feature.startswith(start)), None)
    apple = re.search(_APPLE, device.name) if device.kind == "metal" else None
    return f"m{apple[1]}" if apple else None
