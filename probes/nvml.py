"""Everything NVML is asked, as one JSON-plain snapshot that can be recorded and replayed.

This is the only module that imports `pynvml`, and `_ask` the only place that calls it: each answer
is the value, or `{"error": name}`. Nothing is raised. The caller runs `read_nvml` in a process it
can abandon: a call into a broken driver may never return.

    {"library": {"tried": [[name, reason], ...], "loaded": name | null},
     "init": null | {"error": ...}, "driver_version", "cuda_version", "nvml_version", "count",
     "devices": [{"index", "handle": null | {"error": ...}, "name", "uuid", "pci_bus_id", ...}]}
"""

from __future__ import annotations

import sys

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

    Answer = Any  # what JSON knows, or {"error": name}

__all__ = ["read_nvml"]

_LIBRARY: Final = "libnvidia-ml.so.1"
# Where the library lies when the loader does not find it, or finds one of another word size:
# distributions, WSL, NixOS, Google's container images.
_LIBRARY_PATHS: Final = (
    "/usr/lib/wsl/lib",
    "/usr/lib64",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib",
    "/usr/lib64/nvidia",
    "/usr/lib/x86_64-linux-gnu/nvidia/current",
    "/run/opengl-driver/lib",
    "/usr/local/nvidia/lib64",
    "/home/kubernetes/bin/nvidia/lib64",
)
_MAX_DEVICES: Final = 64
_MAX_MIG: Final = 16
_MAX_PROCESSES: Final = 64
_MAX_NVLINKS: Final = 36


def read_nvml() -> dict[str, object]:
    """Return the snapshot; `init` says why there are no devices."""
    try:
        import pynvml  # noqa: PLC0415 - only where there is a driver
    except Exception as error:  # noqa: BLE001 - a shadowing package may fail in any way
        return {"library": _no_library(f"pynvml: {type(error).__name__}"), "init": _no("NoPynvml")}
    library = _load(pynvml)
    if library["loaded"] is None:
        return {"library": library, "init": _no("LibraryNotFound")}
    failed = _ask(pynvml.nvmlInit)
    if failed is not None:
        return {"library": library, "init": failed}
    try:
        return {"library": library, "init": None, **_snapshot(pynvml)}
    finally:
        _ask(pynvml.nvmlShutdown)


def _no(name: str) -> dict[str, str]:
    return {"error": name}


def _no_library(reason: str) -> dict[str, object]:
    return {"tried": [[_LIBRARY, reason]], "loaded": None}


def _ask(call: Callable[..., Any], *arguments: object) -> Answer:
    """Return what a driver call answers, or its error by name; never raise."""
    try:
        return call(*arguments)
    except Exception as error:  # noqa: BLE001 - bindings raise NVMLError, ctypes and Unicode errors
        name = type(error).__name__.removeprefix("NVMLError_")
        return _no(name if name != "NVMLError" else str(error)[:80])


def _ask_first(calls: tuple[tuple[Callable[..., Any] | None, tuple[object, ...]], ...]) -> Answer:
    """Return the first answer that a driver has the symbol for, newest symbol first."""
    answer: Answer = _no("FunctionNotFound")
    for call, arguments in calls:
        if call is None:
            continue
        answer = _ask(call, *arguments)
        if not _is_error(answer) or answer["error"] not in _OLDER_MAY_WORK:
            return answer
    return answer


_OLDER_MAY_WORK: Final = (
    "FunctionNotFound",
    "ArgumentVersionMismatch",
    "InvalidArgument",
    "NotSupported",
)


def _is_error(answer: Answer) -> bool:
    return isinstance(answer, dict) and "error" in answer


def _load(pynvml: Any) -> dict[str, object]:  # noqa: ANN401 - a C binding without types
    """Load the driver's library, past candidates of the wrong kind, and say what was tried."""
    if sys.platform == "win32":
        failed = _ask(pynvml._LoadNvmlLibrary)  # noqa: SLF001 - loads without initialising
        if _is_error(failed):
            return {"tried": [["nvml.dll", failed["error"]]], "loaded": None}
        return {"tried": [], "loaded": "nvml.dll"}
    from ctypes import CDLL  # noqa: PLC0415 - same

    tried: list[list[str]] = []
    for name in (_LIBRARY, *(f"{folder}/{_LIBRARY}" for folder in _LIBRARY_PATHS)):
        try:
            pynvml.nvmlLib = CDLL(name)
        except OSError as error:
            tried.append([name, str(error)[:160]])
        else:
            return {"tried": tried, "loaded": name}
    return {"tried": tried, "loaded": None}


def _snapshot(pynvml: Any) -> dict[str, object]:  # noqa: ANN401
    number = _ask(pynvml.nvmlDeviceGetCount)
    listed = min(number, _MAX_DEVICES) if isinstance(number, int) else 0
    return {
        "driver_version": _plain(_ask(pynvml.nvmlSystemGetDriverVersion)),
        "nvml_version": _plain(_ask(pynvml.nvmlSystemGetNVMLVersion)),
        "cuda_version": _plain(_ask(pynvml.nvmlSystemGetCudaDriverVersion)),
        "count": number,
        "devices": [_device(pynvml, index) for index in range(listed)],
    }


def _device(pynvml: Any, index: int) -> dict[str, object]:  # noqa: ANN401
    handle = _ask(pynvml.nvmlDeviceGetHandleByIndex, index)
    if _is_error(handle):
        return {"index": index, "handle": handle}
    pci = _ask(pynvml.nvmlDeviceGetPciInfo, handle)
    plain = {name: _plain(_ask(getattr(pynvml, call, _absent), handle)) for name, call in _PLAIN}
    return {
        "index": index,
        "handle": None,
        **plain,
        "pci_bus_id": pci if _is_error(pci) else _plain(pci.busId),
        "pci_device_id": pci if _is_error(pci) else pci.pciDeviceId,
        "memory": _memory(pynvml, handle),
        "max_memory_clock_mhz": _ask(
            pynvml.nvmlDeviceGetMaxClockInfo, handle, pynvml.NVML_CLOCK_MEM
        ),
        "c2c": _flag(
            _ask(getattr(pynvml, "nvmlDeviceGetC2cModeInfoV", _absent), handle), "isC2cEnabled"
        ),
        "processes": _processes(pynvml, handle),
        "mig_mode": _first(_ask(pynvml.nvmlDeviceGetMigMode, handle)),
        "mig": _mig(pynvml, handle),
        "nvlink": _nvlink(pynvml, handle),
        "nvlink_mb_per_s": _nvlink_speed(pynvml, handle),
        "driver_model": _first(_ask(pynvml.nvmlDeviceGetDriverModel, handle)),
        "ecc": _first(_ask(pynvml.nvmlDeviceGetEccMode, handle)),
    }


# Field of the snapshot -> binding that takes the handle alone and answers with a plain value.
_PLAIN: Final = (
    ("name", "nvmlDeviceGetName"),
    ("uuid", "nvmlDeviceGetUUID"),
    ("compute_capability", "nvmlDeviceGetCudaComputeCapability"),
    ("bus_width_bits", "nvmlDeviceGetMemoryBusWidth"),
    ("pcie_generation", "nvmlDeviceGetMaxPcieLinkGeneration"),
    ("pcie_lanes", "nvmlDeviceGetMaxPcieLinkWidth"),
    ("pcie_lanes_now", "nvmlDeviceGetCurrPcieLinkWidth"),
    ("display_active", "nvmlDeviceGetDisplayActive"),
    ("display_attached", "nvmlDeviceGetDisplayMode"),
    ("addressing_mode", "nvmlDeviceGetAddressingMode"),
    ("virtualization_mode", "nvmlDeviceGetVirtualizationMode"),
    ("power_limit_mw", "nvmlDeviceGetEnforcedPowerLimit"),
)


def _absent(*_arguments: object) -> None:
    raise AttributeError("this binding is not there")


def _plain(value: Answer) -> Answer:
    """Return a binding's value as JSON knows it."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, tuple):
        return list(value)
    return value


def _first(value: Answer) -> Answer:
    """Return the current of a (current, pending) pair."""
    return value[0] if isinstance(value, (list, tuple)) and value else value


def _flag(value: Answer, name: str) -> Answer:
    return value if _is_error(value) else bool(getattr(value, name, 0))


def _memory(pynvml: Any, handle: object) -> Answer:  # noqa: ANN401
    """Return total, reserved, used and free; version 1 counts what is reserved as used."""
    get = pynvml.nvmlDeviceGetMemoryInfo
    answer = _ask_first(((get, (handle, pynvml.nvmlMemory_v2)), (get, (handle,))))
    if _is_error(answer):
        return answer
    names = ("total", "reserved", "used", "free")
    memory = {name: getattr(answer, name) for name in names if hasattr(answer, name)}
    return {"version": 2 if "reserved" in memory else 1, **memory}


def _processes(pynvml: Any, handle: object) -> Answer:  # noqa: ANN401
    """Return who holds memory: one row a process, or the error if neither list can be had."""
    rows: dict[int, dict[str, object]] = {}
    failed: Answer = None
    for what in ("Compute", "Graphics"):
        names = (f"nvmlDeviceGet{what}RunningProcesses{v}" for v in ("_v3", "_v2"))
        found = _ask_first(tuple((getattr(pynvml, name, None), (handle,)) for name in names))
        if _is_error(found):
            failed = failed or found
            continue
        for process in found[:_MAX_PROCESSES]:
            held = process.usedGpuMemory
            before = rows.get(process.pid, {}).get("used")
            rows[process.pid] = {
                "pid": process.pid,
                "name": _plain(_ask(pynvml.nvmlSystemGetProcessName, process.pid)),
                "used": max(held, before) if isinstance(before, int) and held else held or before,
            }
    return failed if failed is not None and not rows else list(rows.values())


def _mig(pynvml: Any, handle: object) -> Answer:  # noqa: ANN401
    """Return the instances of a card in MIG mode, each with its own memory."""
    number = _ask(pynvml.nvmlDeviceGetMaxMigDeviceCount, handle)
    if _is_error(number):
        return number
    instances: list[dict[str, object]] = []
    for index in range(min(number, _MAX_MIG)):
        instance = _ask(pynvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, index)
        if _is_error(instance):
            continue  # slots without an instance answer NotFound
        slices = _ask(pynvml.nvmlDeviceGetAttributes, instance)
        instances.append(
            {
                "index": index,
                "name": _plain(_ask(pynvml.nvmlDeviceGetName, instance)),
                "uuid": _plain(_ask(pynvml.nvmlDeviceGetUUID, instance)),
                "memory": _memory(pynvml, instance),
                "processes": _processes(pynvml, instance),
                "compute_slices": slices
                if _is_error(slices)
                else int(slices.computeInstanceSliceCount),
            }
        )
    return instances


def _nvlink(pynvml: Any, handle: object) -> list[dict[str, object]]:  # noqa: ANN401
    """Return the links that are up, with what is at the other end."""
    links: list[dict[str, object]] = []
    for index in range(_MAX_NVLINKS):
        state = _ask(pynvml.nvmlDeviceGetNvLinkState, handle, index)
        if _is_error(state):
            break
        if not state:
            continue
        remote = _ask(pynvml.nvmlDeviceGetNvLinkRemotePciInfo, handle, index)
        links.append(
            {
                "version": _ask(pynvml.nvmlDeviceGetNvLinkVersion, handle, index),
                "remote_type": _ask(
                    getattr(pynvml, "nvmlDeviceGetNvLinkRemoteDeviceType", _absent), handle, index
                ),
                "remote": remote if _is_error(remote) else _plain(remote.busId),
            }
        )
    return links


def _nvlink_speed(pynvml: Any, handle: object) -> Answer:  # noqa: ANN401
    """Return the rate of one link and direction in MB/s, as the driver states it."""
    fields = _ask(
        pynvml.nvmlDeviceGetFieldValues, handle, [pynvml.NVML_FI_DEV_NVLINK_SPEED_MBPS_COMMON]
    )
    if _is_error(fields):
        return fields
    return int(fields[0].value.uiVal) if fields[0].nvmlReturn == 0 else _no("NotSupported")
