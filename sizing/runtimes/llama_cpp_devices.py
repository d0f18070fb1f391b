"""What llama.cpp calls its devices, and what it is told of them."""

from __future__ import annotations

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from whatfits.sizing.machine import Device
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.workload import PlacementRequest

__all__ = ["are_in_order", "device_name", "overrides_text"]

_REMOTE: Final = "rpc"
# What llama.cpp calls its devices, and the buffers in them: ggml/include/ggml-cuda.h (also for
# HIP), ggml/src/ggml-metal/ggml-metal.cpp, ggml-vulkan.cpp.
_DEVICE_NAMES: Final = {"cuda": "CUDA", "rocm": "ROCm", "metal": "MTL", "vulkan": "Vulkan"}


def overrides_text(request: PlacementRequest, placement: Placement) -> str:
    """Return which tensors were told where to lie, as llama.cpp reads it; nothing for none."""
    names = {device.id.lower(): device_name(device) for device in placement.accelerators}
    pairs = (f"{pattern}={names.get(to.lower(), 'CPU')}" for pattern, to in request.overrides)
    return ",".join(pairs)


def are_in_order(devices: Sequence[Device]) -> bool:
    """Return whether the program by itself counts devices so: those of one back end by number.

    In which order it takes back ends depends on how it was built; devices of other hosts come first
    and are named otherwise.
    """
    kinds = {device.kind for device in devices}
    told = [device.id.removeprefix(device.kind) for device in devices]
    numbers = [int(number) for number in told if number.isdecimal()]
    return _REMOTE in kinds or (len(kinds) < 2 and numbers == sorted(numbers))  # noqa: PLR2004


def device_name(device: Device) -> str:
    """Return llama.cpp's name of a device: `CUDA0` of `cuda0`, `MTL0` of `metal`."""
    name = _DEVICE_NAMES.get(device.kind)
    return device.id if name is None else f"{name}{device.id.removeprefix(device.kind) or 0}"
