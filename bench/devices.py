"""The accelerators that this build of llama.cpp sees."""

from __future__ import annotations

import ctypes
from typing import Final, NamedTuple

__all__ = ["SeenDevice", "seen_devices"]

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
    from whatfits.bench.llama_cpp import library  # noqa: PLC0415 - loads llama.cpp

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
