"""Whether the NVIDIA driver can be asked, and what to say and list when it cannot.

A card whose driver does not answer is still a card: it is listed, marked `unusable`, its memory
unknown. What is wrong is named, with the step that repairs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whatfits.probes.drafts import (
    Draft,
    error_name,
    items,
    mapping,
    read_text_or_none,
)
from whatfits.probes.nvidia_smi import read_smi
from whatfits.probes.pci import NVIDIA, GpuFunction, read_gpu_functions
from whatfits.probes.system import SourceHungError, SourceMissingError
from whatfits.probes.unified import held_of, read_host_ram
from whatfits.sizing.errors import ProbeError
from whatfits.sizing.machine import Device, Pool
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping

    from whatfits.probes.meminfo import HostRam
    from whatfits.probes.report import Partial
    from whatfits.probes.system import System

__all__ = ["Context", "Trouble", "read_context", "read_snapshot", "snapshot_trouble", "unusable"]

_PROC: Final = "/proc/driver/nvidia"
_FOREIGN_DRIVERS: Final = ("nouveau", "nova", "vfio-pci")


@dataclass(frozen=True, slots=True)
class Context:
    """What is known of NVIDIA hardware without its driver library.

    Attributes:
        functions: NVIDIA functions on the PCI bus.
        names: model by PCI address, as the kernel driver tells it.
        kernel_version: version of the loaded kernel driver; None when it is not loaded.
        nodes: the driver's names in `/dev`; None when `/dev` cannot be listed.
        board: name of a Jetson board; None elsewhere.
        host: the system's memory.
        is_wsl: whether this is a Linux inside Windows.
        worth_asking: whether there is any sign of NVIDIA hardware.
        is_asleep: whether a card was powered down: waking it may take longer than an answer may.
    """

    functions: tuple[GpuFunction, ...]
    names: Mapping[str, str]
    kernel_version: str | None
    nodes: tuple[str, ...] | None
    board: str | None
    host: HostRam | None
    is_wsl: bool
    worth_asking: bool
    is_asleep: bool = False


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why there is no snapshot: a stable code, a sentence, and the way out."""

    code: str
    text: str
    next_step: str
    is_transient: bool = False


_TROUBLES: Final = {
    "LibraryNotFound": Trouble(
        "nvidia_library_missing",
        "No NVIDIA driver library was found (libnvidia-ml)",
        "install NVIDIA's driver; in a container start it with --gpus all "
        "(NVIDIA Container Toolkit)",
    ),
    "LibRmVersionMismatch": Trouble(
        "nvidia_driver_mismatch",
        "The NVIDIA driver library and the loaded kernel driver are of different versions "
        "(an update without a reboot)",
        "reboot",
    ),
    "NoPermission": Trouble(
        "nvidia_no_permission",
        "The NVIDIA GPU is visible but not accessible to this user",
        "see 'ls -l /dev/nvidia*' and join the group that owns it (often video); in a container "
        "pass the devices in (--gpus all), with SELinux 'setsebool -P container_use_devices 1'",
    ),
    "DriverNotLoaded": Trouble(
        "nvidia_driver_not_loaded",
        "The NVIDIA kernel driver is not loaded",
        "'sudo modprobe nvidia'; if that fails, reinstall the driver for this kernel",
    ),
    "Hung": Trouble(
        "nvidia_driver_hung",
        "The NVIDIA driver did not answer in time: it is not responding",
        "try again; if it stays so, reboot ('dmesg | grep -i xid' shows why)",
        is_transient=True,
    ),
    "NoPynvml": Trouble(
        "nvidia_binding_missing",
        "The Python package nvidia-ml-py cannot be imported",
        "pip install --force-reinstall nvidia-ml-py, and uninstall 'pynvml' below version 12",
    ),
}
# What may be gone a moment later: asked once more, never remembered.
_TRANSIENT: Final = ("Unknown", "Timeout", "InUse", "ResetRequired", "Memory", "OperatingSystem")


def read_context(system: System, functions: tuple[GpuFunction, ...] | None) -> Context:
    """Return what can be told without the driver library."""
    seen = read_gpu_functions(system) if functions is None else functions
    ours = tuple(f for f in seen or () if f.vendor_id == NVIDIA)
    version = read_text_or_none(system, "/proc/version") or ""
    nodes = _device_nodes(system)
    board = _jetson_board(system)
    is_wsl = "microsoft" in version.lower()
    has_kernel_driver = read_text_or_none(system, f"{_PROC}/version")
    # A bus that shows no NVIDIA function settles it, unless the part is not on the bus.
    signs = bool(ours or nodes or board or has_kernel_driver or is_wsl)
    return Context(
        functions=ours,
        names=_kernel_names(system) if ours else {},
        kernel_version=_kernel_version(has_kernel_driver),
        nodes=nodes,
        board=board,
        host=read_host_ram(system) if signs else None,
        is_wsl=is_wsl,
        worth_asking=signs or system.platform == "win32",
        is_asleep=any(_is_asleep(system, function) for function in ours),
    )


def _is_asleep(system: System, function: GpuFunction) -> bool:
    return read_text_or_none(system, f"{function.path}/power/runtime_status") == "suspended"


def _device_nodes(system: System) -> tuple[str, ...] | None:
    try:
        return tuple(n for n in system.list_dir("/dev") if n.startswith(("nvidia", "nvhost-gpu")))
    except ProbeError:
        return None


def _jetson_board(system: System) -> str | None:
    model = read_text_or_none(system, "/proc/device-tree/model")
    if model is None or "nvidia" not in model.lower():
        return None
    return model.rstrip("\0").strip() or None


def _kernel_names(system: System) -> dict[str, str]:
    names: dict[str, str] = {}
    try:
        addresses = system.list_dir(f"{_PROC}/gpus")
    except ProbeError:
        return names
    for address in addresses[:64]:
        lines = (
            read_text_or_none(system, f"{_PROC}/gpus/{address}/information") or ""
        ).splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line[:6] == "Model:"), "")
        if model and model != "Unknown":
            names[address.lower()] = model
    return names


def _kernel_version(version_text: str | None) -> str | None:
    """Return `550.54.14` from `NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14 …`."""
    for line in (version_text or "").splitlines():
        if line.startswith("NVRM version"):
            words = (word for word in line.split() if word[:1].isdecimal() and "." in word)
            return next(words, None)
    return None


def read_snapshot(system: System) -> Mapping[str, object]:
    """Return the driver's snapshot; a failure that may pass is asked once more.

    When the library cannot be loaded, a known `nvidia-smi` of the driver's own is asked instead.
    """
    snapshot = _query(system)
    trouble = error_name(snapshot.get("init"))
    if trouble in _TRANSIENT:
        snapshot = _query(system)
        trouble = error_name(snapshot.get("init"))
    if trouble in ("LibraryNotFound", "NoPynvml"):
        return read_smi(system) or snapshot
    return snapshot


def _query(system: System) -> Mapping[str, object]:
    try:
        snapshot = system.query("nvml")
    except SourceHungError:
        return {"init": {"error": "Hung"}}
    except SourceMissingError:
        return {"init": {"error": "LibraryNotFound"}}
    except ProbeError as error:
        return {"init": {"error": str(error)}}
    if error_name(snapshot.get("init")) is None and not isinstance(snapshot.get("devices"), list):
        return {"init": {"error": "it answered with something else than its cards"}}
    return snapshot


def snapshot_trouble(snapshot: Mapping[str, object]) -> Trouble | None:
    """Return why a snapshot says nothing of devices; None when it does."""
    name = error_name(snapshot.get("init"))
    if name is None:
        return None
    trouble = _TROUBLES.get(name)
    if trouble is None:
        trouble = Trouble(
            "nvidia_driver_failed",
            f"The NVIDIA driver could not be started ({name})",
            "try again; if it stays so, reboot or reinstall the driver",
            is_transient=name in _TRANSIENT,
        )
    reasons = _load_failures(snapshot)
    if trouble.code == "nvidia_library_missing" and "wrong ELF class" in reasons:
        return Trouble(
            "nvidia_library_wrong_class",
            "The only NVIDIA driver library that was found is for another word size "
            "(wrong ELF class)",
            "install the 64-bit libraries of the driver",
        )
    return trouble


def _load_failures(snapshot: Mapping[str, object]) -> str:
    tried = items(mapping(snapshot.get("library")).get("tried"))
    return " ".join(str(part) for pair in tried for part in items(pair, at_most=2))


def unusable(context: Context, trouble: Trouble) -> Partial:
    """Return the cards that are there but cannot be used, and why.

    A Jetson without the library keeps its memory: it is the system's.
    """
    draft = Draft()
    if context.board is not None and not context.functions:
        _add_board(draft, context, context.board)
        return draft.partial()
    is_hardware_certain = bool(context.functions or context.nodes)
    if not is_hardware_certain and trouble.code == "nvidia_library_missing":
        return draft.partial()  # WSL or Windows without an NVIDIA card: nothing to say
    for number, function in enumerate(context.functions):
        _add_card(draft, context, function, number=number)
    versions = f"; kernel driver {context.kernel_version}" if context.kernel_version else ""
    if trouble.code == "nvidia_driver_hung" and context.is_asleep:
        versions += "; the card was powered down and had to wake up"
    draft.say(
        trouble.code,
        trouble.text + versions + (" (may pass)." if trouble.is_transient else "."),
        next_step=trouble.next_step,
        warn=True,
    )
    if context.functions and context.nodes == () and trouble.code == "nvidia_no_permission":
        draft.say(
            "nvidia_nodes_absent",
            "There are no /dev/nvidia* nodes here: the devices were not passed in.",
            next_step="start the container with --gpus all, or --device nvidia.com/gpu=all",
            warn=True,
        )
    return draft.partial()


def _add_card(draft: Draft, context: Context, function: GpuFunction, *, number: int) -> None:
    name = context.names.get(function.address, f"unknown NVIDIA GPU ({function.ids})")
    draft.pools.append(Pool(f"vram{number}", "vram", None, used_bytes=None))
    draft.devices.append(
        Device(
            f"cuda{number}",
            "cuda",
            name,
            f"vram{number}",
            features=(f"pci:{function.address}", "unusable"),
        )
    )
    draft.know(f"pools.vram{number}.total_bytes", None, unit="bytes", source="NVML did not answer")
    if function.driver in _FOREIGN_DRIVERS:
        draft.say(
            "nvidia_other_driver",
            f"{name} at {function.address} is bound to the driver '{function.driver}', which CUDA "
            "cannot use.",
            next_step="give it to NVIDIA's driver"
            if function.driver != "vfio-pci"
            else "it is set aside for a virtual machine",
            warn=True,
        )


def _add_board(draft: Draft, context: Context, board: str) -> None:
    """A Jetson whose NVML is absent (JetPack 5 and before): its GPU and RAM are known anyway."""
    host = context.host
    total = None if host is None else host.total_bytes
    used = None
    if total is not None and host is not None:
        used = held_of(total, available_bytes=host.available_bytes)
    draft.pools.append(Pool("unified", "unified", total, used_bytes=used))
    draft.devices.append(Device("cuda0", "cuda", board, "unified", features=("integrated",)))
    draft.know("pools.unified.total_bytes", total, unit="bytes", source="/proc/meminfo MemTotal")
    draft.say(
        "unified_memory",
        f"{board}: GPU and CPU share the system's memory; NVML is not there to say more.",
    )
