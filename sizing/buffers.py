"""How back ends round what they allocate.

Source: llama.cpp (0c1e57098) ggml/src/ggml-alloc.c (every tensor is padded to the buffer's
alignment), ggml/src/ggml-cuda/ggml-cuda.cu (alignment 128; a quantised tensor whose row is no
multiple of 512 gets the missing part of one row), ggml-metal (32).
"""

from __future__ import annotations

from whatfits.sizing.quants.ggml_types import GGML_TYPES
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import pad

if TYPE_CHECKING:
    from typing import Final

__all__ = ["alignment_of", "allocated_bytes", "has_pinned_host_memory", "supports_mmap"]

_ALIGNMENT: Final = {"cuda": 128, "rocm": 128}
_DEFAULT_ALIGNMENT: Final = 32
_ROW_PADDED: Final = frozenset({"cuda", "rocm"})
_ROW_PADDING_ELEMENTS: Final = 512


def alignment_of(device_kind: str) -> int:
    """Return the bytes every tensor in this back end's buffers is padded to."""
    return _ALIGNMENT.get(device_kind, _DEFAULT_ALIGNMENT)


def allocated_bytes(type_name: str, row_elements: int, n_bytes: int, *, device_kind: str) -> int:
    """Return what a tensor of `n_bytes` takes in a buffer of this back end."""
    kind = GGML_TYPES[type_name]
    size = n_bytes
    if device_kind in _ROW_PADDED and kind.block_elements > 1:
        missing = -row_elements % _ROW_PADDING_ELEMENTS
        size += missing * kind.block_bytes // kind.block_elements
    return pad(size, alignment_of(device_kind))


def has_pinned_host_memory(device_kind: str) -> bool:
    """Return whether host weights go to this back end's pinned memory, and so are not repacked."""
    return device_kind in ("cuda", "rocm", "sycl", "vulkan")


def supports_mmap(device_kind: str, features: tuple[str, ...]) -> bool:
    """Return whether a model may stay mapped when this device takes part.

    Integrated CUDA and Vulkan devices, OpenCL and Hexagon say they cannot; one such device turns
    mapping off for the whole model. Source: llama.cpp src/llama-model.cpp:load_tensors.
    """
    if device_kind in ("opencl", "hexagon"):
        return False
    return not (device_kind in ("cuda", "vulkan") and "integrated" in features)
