"""The accelerators that this build of llama.cpp sees."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Final

from whatfits.sizing.errors import ProbeError
from whatfits.sizing.named_tuples import NamedTuple

if TYPE_CHECKING:
    from whatfits.sizing.machine import Machine

__all__ = ["SeenDevice", "named_accelerators", "seen_devices"]

# llama.cpp's names of its devices, by the kind they are here
_KINDS: Final = {
    "CUDA": "cuda",
    "ROCm": "rocm",
    "Vulkan": "vulkan",
    "SYCL": "sycl",
    "MTL": "metal",
    "Metal": "metal",
}
_ACCELERATORS: Final = frozenset({1, 2})  # a graphics card, an integrated one


class SeenDevice(NamedTuple):
    """An accelerator as llama.cpp names it, and its free memory now."""

    name: str
    free_bytes: int


def seen_devices() -> tuple[SeenDevice, ...]:
    """Return llama.cpp's accelerators in its order; empty for a build that knows only the CPU.

    Raises:
        MissingExtraError: llama-cpp-python is not installed.
    """
    from whatfits.bench.llama_library import library  # noqa: PLC0415 - loads llama.cpp
    from whatfits.bench.loads import require_llama_cpp  # noqa: PLC0415 - before that

    require_llama_cpp()
    ggml, base = library("ggml"), library("ggml-base")
    ggml.ggml_backend_dev_count.restype = ctypes.c_size_t
    ggml.ggml_backend_dev_get.restype = ctypes.c_void_p
    ggml.ggml_backend_dev_get.argtypes = [ctypes.c_size_t]
    base.ggml_backend_dev_name.restype = ctypes.c_char_p
    for name in ("ggml_backend_dev_name", "ggml_backend_dev_type"):
        getattr(base, name).argtypes = [ctypes.c_void_p]
    size = ctypes.POINTER(ctypes.c_size_t)
    base.ggml_backend_dev_memory.argtypes = [ctypes.c_void_p, size, size]
    found = []
    for index in range(ggml.ggml_backend_dev_count()):
        device = ggml.ggml_backend_dev_get(index)
        if base.ggml_backend_dev_type(device) not in _ACCELERATORS:
            continue
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        base.ggml_backend_dev_memory(device, ctypes.byref(free), ctypes.byref(total))
        found.append(SeenDevice(base.ggml_backend_dev_name(device).decode(), free.value))
    return tuple(found)


def named_accelerators(machine: Machine) -> dict[str, str]:
    """Return device id → llama.cpp's name, for the accelerators this build of it can use.

    Raises:
        MissingExtraError: llama-cpp-python is not installed.
        ProbeError: llama.cpp sees one that the machine does not list.
    """
    found: dict[str, str] = {}
    for seen in seen_devices():
        kind = _KINDS.get(seen.name.rstrip("0123456789"))
        taken = [d for d in machine.accelerators if d.kind == kind and d.id not in found]
        if not taken:
            raise ProbeError(f"llama.cpp sees a device '{seen.name}' that the probes do not")
        found[taken[0].id] = seen.name
    return found
