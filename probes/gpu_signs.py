"""Whether anything here looks like a GPU: asked before the probes for GPUs are even imported."""

from __future__ import annotations

from whatfits.probes.drafts import read_text_or_none
from whatfits.probes.system import SourceMissingError
from whatfits.sizing.errors import ProbeError
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.probes.system import System

__all__ = ["NVIDIA_NODES", "has_signs_of_gpu"]

NVIDIA_NODES: Final = ("nvidia", "nvhost", "nvmap", "nvgpu", "dxg")
_NODES: Final = (*NVIDIA_NODES, "dri", "kfd", "mali")
_BUS: Final = "/sys/bus/pci/devices"
_CLASSES: Final = ("0x03", "0x12")  # display, processing accelerator


def has_signs_of_gpu(system: System) -> bool:
    """Return False only where a Linux system shows plainly that it has none.

    A place that may not be looked at counts as a sign: the probes say why they found nothing.
    """
    if system.platform != "linux":
        return True
    if any(name.endswith("VISIBLE_DEVICES") for name in system.environment):
        return True
    model = read_text_or_none(system, "/proc/device-tree/model") or ""
    version = read_text_or_none(system, "/proc/version") or ""
    return (
        "nvidia" in model.lower()
        or "microsoft" in version.lower()
        or read_text_or_none(system, "/proc/driver/nvidia/version") is not None
        or _lists(system, "/dev", _NODES)
        or _lists(system, "/sys/class/drm", ("",))
        or _is_on_the_bus(system)
    )


def _lists(system: System, folder: str, starts: tuple[str, ...]) -> bool:
    try:
        names = system.list_dir(folder)
    except SourceMissingError:
        return False
    except ProbeError:
        return True
    return any(name.startswith(starts) for name in names)


def _is_on_the_bus(system: System) -> bool:
    if not _lists(system, _BUS, ("",)):
        return False
    try:
        names = system.list_dir(_BUS)
    except ProbeError:
        return True
    classes = (read_text_or_none(system, f"{_BUS}/{name}/class") or "" for name in names)
    return any(text.startswith(_CLASSES) for text in classes)
