"""GPUs that are not on the PCI bus: Adreno, Mali, VideoCore, Asahi, by their kernel driver."""

from __future__ import annotations

from whatfits.probes.drafts import Draft, read_text_or_none
from whatfits.sizing.errors import ProbeError
from whatfits.sizing.machine import Device
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from whatfits.probes.report import Partial
    from whatfits.probes.system import System

__all__ = ["parse_platform_cards", "probe"]

_DRM: Final = "/sys/class/drm"
# Kernel driver -> (name, back end that runtimes have for it).
_DRIVERS: Final = {
    "msm": ("Qualcomm Adreno", "opencl"),
    "msm_dpu": ("Qualcomm Adreno", "opencl"),
    "adreno": ("Qualcomm Adreno", "opencl"),
    "asahi": ("Apple GPU (Asahi Linux)", "vulkan"),
    "panthor": ("Arm Mali", "vulkan"),
    "panfrost": ("Arm Mali", "vulkan"),
    "v3d": ("Broadcom VideoCore", "vulkan"),
    "powervr": ("Imagination PowerVR", "vulkan"),
}
_MAX_CARDS: Final = 32


def probe(system: System) -> Partial:
    """Return the GPUs of a system on a chip; empty where there is none."""
    try:
        names = system.list_dir(_DRM)
    except ProbeError:
        return Draft().partial()
    cards = [n for n in names if n.startswith("card") and "-" not in n][:_MAX_CARDS]
    uevents = {c: read_text_or_none(system, f"{_DRM}/{c}/device/uevent") or "" for c in cards}
    return parse_platform_cards(uevents)


def parse_platform_cards(uevents: Mapping[str, str]) -> Partial:
    """Return the GPUs among DRM cards, given each card's `device/uevent`.

    Cards on the PCI bus, displays without a GPU and unknown drivers are left out. All of these
    share the system's memory: they add none.
    """
    draft = Draft()
    seen: set[str] = set()
    for uevent in uevents.values():
        values = dict(line.split("=", 1) for line in uevent.splitlines() if "=" in line)
        driver = values.get("DRIVER", "")
        known = _DRIVERS.get(driver)
        if known is None or "PCI_SLOT_NAME" in values or known[0] in seen:
            continue
        name, kind = known
        seen.add(name)
        device = Device(draft.next_device(kind), kind, name, "ram", features=("integrated",))
        draft.devices.append(device)
        draft.know(f"devices.{device.id}.driver", driver, unit="text", source="uevent DRIVER")
        only = "; runtimes reach it through OpenCL only" if kind == "opencl" else ""
        draft.say(
            "integrated_gpu",
            f"{name} is an integrated GPU: it adds no memory, it uses the system's RAM{only}.",
        )
    return draft.partial()
