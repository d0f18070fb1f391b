"""What Windows tells: one JSON-plain snapshot from its API, DXGI and the registry.

    {"memory": {...}, "cpu": {...}, "version": {...}, "adapters": [...]}

Each part that fails is `{"error": "garbled", "text": why}`; the rest stays. The size of a card is
DXGI's or the registry's 64-bit figure; the 32-bit one, which ends at 4 GiB, is kept apart.

Sources: Microsoft Learn, DXGI_ADAPTER_DESC1, IDXGIAdapter3, MEMORYSTATUSEX,
GetLogicalProcessorInformationEx, IsProcessorFeaturePresent.
"""

from __future__ import annotations

import ctypes
import sys
from importlib import import_module

from whatfits.probes.system import SourceMissingError
from whatfits.probes.windows import merge_adapters
from whatfits.probes.windows_cpu import parse_processor_information
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

__all__ = ["read_windows"]

_DISPLAY_CLASS: Final = (
    "SYSTEM\\CurrentControlSet\\Control\\Class\\{4d36e968-e325-11ce-bfc1-08002be10318}"
)
_VERSION_KEY: Final = "SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion"
_CPU_KEY: Final = "HARDWARE\\DESCRIPTION\\System\\CentralProcessor\\0"
_MAX_ADAPTERS: Final = 32

# PF_* of IsProcessorFeaturePresent. Every processor with AVX2 has FMA and F16C, too.
_FEATURES: Final = {
    19: ("neon",),
    39: ("avx",),
    40: ("avx2", "fma", "f16c"),
    41: ("avx512f",),
    43: ("dotprod",),
    46: ("sve",),
    47: ("sve2",),
}


def read_windows() -> dict[str, object]:
    """Return the snapshot.

    Raises:
        SourceMissingError: this is not Windows.
    """
    if sys.platform != "win32":
        raise SourceMissingError("this is not Windows")
    return {
        "memory": _attempt(_memory),
        "cpu": _attempt(_cpu),
        "version": _attempt(_version),
        "adapters": _attempt(_adapters),
    }


def _attempt(read: Callable[[], object]) -> object:
    try:
        return read()
    except Exception as error:  # noqa: BLE001 - one part that fails must not take the others along
        return {"error": "garbled", "text": f"{type(error).__name__}: {error}"}


class _MemoryStatus(ctypes.Structure):
    _fields_ = [
        ("length", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        ("total", ctypes.c_uint64),
        ("available", ctypes.c_uint64),
        ("commit_limit", ctypes.c_uint64),
        ("commit_available", ctypes.c_uint64),
        ("virtual_total", ctypes.c_uint64),
        ("virtual_available", ctypes.c_uint64),
        ("extended", ctypes.c_uint64),
    ]


def _library(name: str) -> Any:  # noqa: ANN401 - a library of functions that only Windows has
    return getattr(ctypes, "WinDLL")(name)  # noqa: B009 - absent from other systems' ctypes


def _memory() -> dict[str, object]:
    kernel = _library("kernel32.dll")
    status = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
    if not kernel.GlobalMemoryStatusEx(ctypes.byref(status)):
        return {"error": "garbled", "text": "GlobalMemoryStatusEx failed"}
    installed_kib = ctypes.c_uint64()
    told = kernel.GetPhysicallyInstalledSystemMemory(ctypes.byref(installed_kib))
    return {
        "total_bytes": status.total,
        "available_bytes": status.available,
        "commit_available_bytes": status.commit_available,
        "installed_bytes": installed_kib.value * 1024 if told else None,
    }


def _cpu() -> dict[str, object]:
    kernel = _library("kernel32.dll")
    key = _values(_CPU_KEY)
    present = (n for n in _FEATURES if kernel.IsProcessorFeaturePresent(n))
    length = ctypes.c_uint32(0)
    everything = 0xFFFF
    kernel.GetLogicalProcessorInformationEx(everything, None, ctypes.byref(length))
    buffer = ctypes.create_string_buffer(length.value)
    kernel.GetLogicalProcessorInformationEx(everything, buffer, ctypes.byref(length))
    return {
        "brand": key.get("ProcessorNameString"),
        "features": [feature for number in present for feature in _FEATURES[number]],
        **parse_processor_information(buffer.raw[: length.value]),
    }


def _version() -> dict[str, object]:
    values = _values(_VERSION_KEY)
    return {
        "product": values.get("ProductName"),
        "display": values.get("DisplayVersion"),
        "build": values.get("CurrentBuild"),
    }


def _values(path: str) -> dict[str, object]:
    """Return the numbers and texts of a registry key of the machine; bytes as an integer."""
    registry: Any = import_module("winreg")
    found: dict[str, object] = {}
    with registry.OpenKey(registry.HKEY_LOCAL_MACHINE, path) as key:
        for index in range(registry.QueryInfoKey(key)[1]):
            name, value, _ = registry.EnumValue(key, index)
            if isinstance(value, bytes):
                value = int.from_bytes(value[:8], "little")
            if isinstance(value, (int, str)):
                found[name] = value
    return found


def _display_keys() -> list[dict[str, object]]:
    """Return what each display driver wrote into the registry."""
    registry: Any = import_module("winreg")
    with registry.OpenKey(registry.HKEY_LOCAL_MACHINE, _DISPLAY_CLASS) as key:
        names = [registry.EnumKey(key, n) for n in range(registry.QueryInfoKey(key)[0])]
    found = []
    for name in filter(str.isdecimal, names):
        try:
            found.append(_values(f"{_DISPLAY_CLASS}\\{name}"))
        except OSError:  # a key for the system only
            continue
    return found


class _Guid(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_ubyte * 16)]


class _AdapterDescription(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_uint16 * 128),
        ("vendor_id", ctypes.c_uint32),
        ("device_id", ctypes.c_uint32),
        ("subsystem_id", ctypes.c_uint32),
        ("revision", ctypes.c_uint32),
        ("dedicated_bytes", ctypes.c_size_t),
        ("dedicated_system_bytes", ctypes.c_size_t),
        ("shared_bytes", ctypes.c_size_t),
        ("luid", ctypes.c_uint64),
        ("flags", ctypes.c_uint32),
    ]


class _VideoMemory(ctypes.Structure):
    _fields_ = [
        ("budget_bytes", ctypes.c_uint64),
        ("usage_bytes", ctypes.c_uint64),
        ("for_reservation", ctypes.c_uint64),
        ("reserved", ctypes.c_uint64),
    ]


def _guid(text: str) -> _Guid:
    from uuid import UUID  # noqa: PLC0415 - Windows only

    return _Guid((ctypes.c_ubyte * 16)(*UUID(text).bytes_le))


# Positions in the tables of methods, counted from IUnknown.
_QUERY_INTERFACE, _RELEASE = 0, 2
_ENUM_ADAPTERS1, _GET_DESC1, _QUERY_VIDEO_MEMORY = 12, 10, 14


def _method(pointer: ctypes.c_void_p, index: int, *types: Any) -> Any:  # noqa: ANN401 - ctypes
    """Return a method of a COM object, its object bound."""
    table = ctypes.cast(pointer, ctypes.POINTER(ctypes.POINTER(ctypes.c_void_p)))
    prototype = getattr(ctypes, "WINFUNCTYPE")(ctypes.c_int32, ctypes.c_void_p, *types)  # noqa: B009
    function = prototype(table[0][index])
    return lambda *arguments: function(pointer, *arguments)


def _adapters() -> list[dict[str, object]]:
    """Return every adapter of DXGI and what the registry adds, or the registry's alone."""
    keys = _attempt(_display_keys)
    known = keys if isinstance(keys, list) else []
    try:
        listed = _dxgi_adapters()
    except (OSError, AttributeError):
        listed = []
    return merge_adapters(listed, known)


def _dxgi_adapters() -> list[dict[str, object]]:
    factory = ctypes.c_void_p()
    wanted = _guid("770aae78-f26f-4dba-a829-253c83d1b387")
    status = _library("dxgi.dll").CreateDXGIFactory1(ctypes.byref(wanted), ctypes.byref(factory))
    if status < 0:
        raise OSError(f"CreateDXGIFactory1 failed with {status:#x}")
    enumerate_adapters = _method(factory, _ENUM_ADAPTERS1, ctypes.c_uint32, ctypes.c_void_p)
    found = []
    for number in range(_MAX_ADAPTERS):
        adapter = ctypes.c_void_p()
        if enumerate_adapters(number, ctypes.byref(adapter)) < 0:
            break
        found.append(_adapter(adapter))
        _method(adapter, _RELEASE)()
    _method(factory, _RELEASE)()
    return found


def _adapter(adapter: ctypes.c_void_p) -> dict[str, object]:
    description = _AdapterDescription()
    if _method(adapter, _GET_DESC1, ctypes.c_void_p)(ctypes.byref(description)) < 0:
        raise OSError("GetDesc1 failed")
    name = bytes(description.name).decode("utf-16-le", "replace").partition("\0")[0]
    fields = [field[0] for field in _AdapterDescription._fields_ if field[0] != "name"]
    budget = _budget(adapter)
    dedicated = description.dedicated_bytes
    return {
        "name": name,
        **{field: getattr(description, field) for field in fields},
        "budget_bytes": budget,
        # Windows takes from a program's budget what others hold.
        "used_bytes": None if budget is None else max(0, dedicated - budget),
    }


def _budget(adapter: ctypes.c_void_p) -> int | None:
    """Return what Windows grants a program of the adapter's own memory now; None before 10."""
    third = ctypes.c_void_p()
    wanted = _guid("645967a4-1392-4310-a798-8053ce3e93fd")
    query = _method(adapter, _QUERY_INTERFACE, ctypes.c_void_p, ctypes.c_void_p)
    if query(ctypes.byref(wanted), ctypes.byref(third)) < 0:
        return None
    memory = _VideoMemory()
    ask = _method(third, _QUERY_VIDEO_MEMORY, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p)
    status = ask(0, 0, ctypes.byref(memory))
    _method(third, _RELEASE)()
    return memory.budget_bytes if status >= 0 else None
