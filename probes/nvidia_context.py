"""What a system tells of NVIDIA hardware without its driver library."""

from __future__ import annotations

from whatfits.probes.drafts import read_text_or_none
from whatfits.probes.pci import NVIDIA, GpuFunction, read_gpu_functions
from whatfits.probes.unified import read_host_ram
from whatfits.sizing.errors import ProbeError
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from whatfits.probes.meminfo import HostRam
    from whatfits.probes.system import System

__all__ = ["Context", "read_context"]

_PROC: Final = "/proc/driver/nvidia"


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
