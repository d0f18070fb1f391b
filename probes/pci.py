"""Which graphics functions lie on the PCI bus: class, vendor and driver, from sysfs.

What is a GPU is decided here, by PCI class and vendor: never by order, by name, or by what a
Vulkan loader lists (llvmpipe, Dozen and virtual adapters are listed there, too).
"""

from __future__ import annotations

from whatfits.probes.drafts import Draft, read_text_or_none
from whatfits.probes.system import SourceMissingError
from whatfits.sizing.errors import ProbeError
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from typing import Final

    from whatfits.probes.report import Partial
    from whatfits.probes.system import System

__all__ = [
    "AMD",
    "BUS",
    "INTEL",
    "NO_GPU_VENDORS",
    "NVIDIA",
    "GpuFunction",
    "hexadecimal",
    "parse_gpu_functions",
    "probe",
    "read_gpu_functions",
]

NVIDIA: Final = 0x10DE
AMD: Final = 0x1002
INTEL: Final = 0x8086

BUS: Final = "/sys/bus/pci/devices"
_DRM: Final = "/sys/class/drm"
_DISPLAY_CLASS: Final = 0x03
_ACCELERATOR_CLASS: Final = 0x12

# Adapters that draw a console or a virtual screen and compute nothing.
NO_GPU_VENDORS: Final = {
    0x1013: "Cirrus",
    0x102B: "Matrox",
    0x126F: "Silicon Motion",
    0x1234: "QEMU",
    0x1414: "Microsoft",
    0x15AD: "VMware",
    0x18CA: "XGI",
    0x19E5: "Huawei",
    0x1A03: "ASPEED",
    0x1AB8: "Parallels",
    0x1AF4: "virtio",
    0x1B36: "QXL",
    0x1D0F: "Amazon",
    0x80EE: "VirtualBox",
}


@dataclass(frozen=True, slots=True)
class GpuFunction:
    """One graphics or accelerator function of the PCI bus.

    Attributes:
        address: `domain:bus:device.function` in lower case, as `0000:01:00.0`.
        class_code: 24-bit class, as 0x030000.
        vendor_id: PCI vendor.
        device_id: PCI device.
        revision: PCI revision; None when it could not be read.
        driver: kernel driver bound to it; None when none is, or when that cannot be read.
        path: its directory in sysfs.
        nodes: its DRM nodes, as `card0`, `renderD128`.
        is_driver_read: whether it could be read which driver that is.
    """

    address: str
    class_code: int
    vendor_id: int
    device_id: int
    revision: int | None
    driver: str | None
    path: str
    nodes: tuple[str, ...]
    is_driver_read: bool = True

    def may_be_bound_to(self, *drivers: str) -> bool:
        """Return whether one of these drivers has it; True when that cannot be read."""
        return not self.is_driver_read or self.driver in drivers

    @property
    def ids(self) -> str:
        """Vendor and device as lspci prints them, `10de:2684`."""
        return f"{self.vendor_id:04x}:{self.device_id:04x}"

    @property
    def is_gpu(self) -> bool:
        """Whether models could run on it: a display class of a vendor that makes GPUs.

        Class 0x12 (processing accelerator) counts only where the amdgpu driver claims it (Instinct
        cards): NPUs share that class.
        """
        if self.class_code >> 16 == _ACCELERATOR_CLASS:
            return self.vendor_id == AMD and self.driver == "amdgpu"
        return self.vendor_id not in NO_GPU_VENDORS


def hexadecimal(value: str | None) -> int | None:
    """Return the number in `0x030000`; None when it is no such number."""
    if value is None or not value.lower().startswith("0x"):
        return None
    try:
        return int(value, 16)
    except ValueError:
        return None


def parse_gpu_functions(functions: tuple[GpuFunction, ...]) -> Partial:
    """Return findings on adapters that are no GPUs, or GPUs nobody here understands."""
    draft = Draft()
    for function in functions:
        if not function.is_gpu:
            if function.class_code >> 16 == _DISPLAY_CLASS:
                maker = NO_GPU_VENDORS.get(function.vendor_id, "unknown maker")
                draft.say(
                    "display_adapter_is_no_gpu",
                    f"Display adapter {function.ids} at {function.address} ({maker}) "
                    "cannot run models and is not counted.",
                )
        elif function.vendor_id not in (NVIDIA, AMD, INTEL):
            draft.say(
                "gpu_of_unknown_vendor",
                f"GPU {function.ids} at {function.address} is of a vendor that is not understood; "
                "it is not counted.",
                warn=True,
            )
    return draft.partial()


def probe(system: System) -> Partial:
    """Return findings on the display adapters of the bus; the vendors' probes list the GPUs."""
    return parse_gpu_functions(read_gpu_functions(system) or ())


def read_gpu_functions(system: System) -> tuple[GpuFunction, ...] | None:
    """Return every display and accelerator function, by address.

    None when there is no PCI bus to look at (WSL, a sandbox, a board without PCI).
    """
    try:
        paths = [f"{BUS}/{name}" for name in system.list_dir(BUS)]
    except ProbeError:
        paths = []
    if not paths:
        paths = _drm_paths(system)
    functions = [function for path in paths if (function := _read_function(system, path))]
    if not functions and not paths:
        return None
    return tuple(sorted({f.address: f for f in functions}.values(), key=lambda f: f.address))


def _drm_paths(system: System) -> list[str]:
    """Return the PCI devices behind the DRM cards: the way in when the bus is hidden."""
    try:
        names = system.list_dir(_DRM)
    except ProbeError:
        return []
    cards = [n for n in names if n.startswith(("card", "renderD")) and "-" not in n]
    return [f"{_DRM}/{name}/device" for name in cards]


def _read_function(system: System, path: str) -> GpuFunction | None:
    class_code = hexadecimal(read_text_or_none(system, f"{path}/class"))
    if class_code is None or class_code >> 16 not in (_DISPLAY_CLASS, _ACCELERATOR_CLASS):
        return None
    vendor = hexadecimal(read_text_or_none(system, f"{path}/vendor"))
    device = hexadecimal(read_text_or_none(system, f"{path}/device"))
    address = _address(system, path)
    if vendor is None or device is None or address is None:
        return None
    driver, is_driver_read = _driver(system, path)
    return GpuFunction(
        address=address,
        class_code=class_code,
        vendor_id=vendor,
        device_id=device,
        revision=hexadecimal(read_text_or_none(system, f"{path}/revision")),
        driver=driver,
        path=path,
        nodes=_names(system, f"{path}/drm"),
        is_driver_read=is_driver_read,
    )


def _address(system: System, path: str) -> str | None:
    """Return the PCI address of a device directory: its name, or its uevent's slot."""
    name = path.rpartition("/")[2]
    if name.count(":") == 2:  # noqa: PLR2004 - domain:bus:device.function
        return name.lower()
    for line in (read_text_or_none(system, f"{path}/uevent") or "").splitlines():
        key, _, value = line.partition("=")
        if key == "PCI_SLOT_NAME":
            return value.strip().lower() or None
    return None


def _driver(system: System, path: str) -> tuple[str | None, bool]:
    """Return the driver bound to a device, and whether that could be read: no link, no driver."""
    try:
        return system.read_link(f"{path}/driver").rstrip("/").rpartition("/")[2] or None, True
    except SourceMissingError:
        return None, True
    except ProbeError:
        return None, False


def _names(system: System, path: str) -> tuple[str, ...]:
    try:
        return system.list_dir(path)
    except ProbeError:
        return ()
