"""Whether the NVIDIA driver can be asked, and what to say and list when it cannot.

A card whose driver does not answer is still a card: it is listed, marked `unusable`, its memory
unknown. What is wrong is named, with the step that repairs it.
"""

from __future__ import annotations

from whatfits.probes.drafts import Draft, error_name, items, mapping
from whatfits.probes.nvidia_smi import read_smi
from whatfits.probes.system import SourceHungError, SourceMissingError
from whatfits.probes.unified import held_of
from whatfits.sizing.errors import ProbeError
from whatfits.sizing.machine import Device, Pool
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from whatfits.probes.nvidia_context import Context
    from whatfits.probes.pci import GpuFunction
    from whatfits.probes.report import Partial
    from whatfits.probes.system import System

__all__ = ["Trouble", "read_snapshot", "snapshot_trouble", "unusable"]

_FOREIGN_DRIVERS: Final = ("nouveau", "nova", "vfio-pci")


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
