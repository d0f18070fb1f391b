"""The accelerators that this build of llama.cpp sees."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Final

from whatfits.bench.driver_memory import normal_address
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
_ASKED_WITHIN: Final = ("CUDA", "ROCm")
_ACCELERATORS: Final = frozenset({1, 2})  # a graphics card, an integrated one


class SeenDevice(NamedTuple):
    """An accelerator as llama.cpp names it.

    Attributes:
        name: llama.cpp's.
        free_bytes: as its back end tells it now.
        address: on the PCI bus; None where the back end does not say.
    """

    name: str
    free_bytes: int
    address: str | None = None

    @property
    def is_asked_within(self) -> bool:
        """Whether asking its back end for free memory takes some of it, for a context."""
        return self.name.startswith(_ASKED_WITHIN)


class _Properties(ctypes.Structure):
    """ggml_backend_dev_props; what follows the address is not looked at."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("description", ctypes.c_char_p),
        ("memory_free", ctypes.c_size_t),
        ("memory_total", ctypes.c_size_t),
        ("type", ctypes.c_int),
        ("device_id", ctypes.c_char_p),
        ("capabilities", ctypes.c_char * 64),
    )


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
    base.ggml_backend_dev_type.argtypes = [ctypes.c_void_p]
    base.ggml_backend_dev_get_props.argtypes = [ctypes.c_void_p, ctypes.POINTER(_Properties)]
    base.ggml_backend_dev_get_props.restype = None
    found = []
    for index in range(ggml.ggml_backend_dev_count()):
        device = ggml.ggml_backend_dev_get(index)
        if base.ggml_backend_dev_type(device) not in _ACCELERATORS:
            continue
        told = _Properties()
        base.ggml_backend_dev_get_props(device, ctypes.byref(told))
        address = told.device_id
        found.append(
            SeenDevice(
                told.name.decode(),
                told.memory_free,
                None if address is None else normal_address(address.decode()),
            )
        )
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
