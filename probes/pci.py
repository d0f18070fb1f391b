"""Which graphics functions lie on the PCI bus: class, vendor, driver and link, from sysfs.

What is a GPU is decided here, by PCI class and vendor: never by order, by name, or by what a
Vulkan loader lists (llvmpipe, Dozen and virtual adapters are listed there, too).
"""

from __future__ import annotations

from whatfits.probes.drafts import Draft, read_text_or_none, whole_number
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
    "INTEL",
    "NVIDIA",
    "GpuFunction",
    "hexadecimal",
    "link_bytes_per_s",
    "parse_gpu_functions",
    "probe",
    "read_gpu_functions",
    "read_link_bytes_per_s",
]

NVIDIA: Final = 0x10DE
AMD: Final = 0x1002
INTEL: Final = 0x8086

_BUS: Final = "/sys/bus/pci/devices"
_DRM: Final = "/sys/class/drm"
_DISPLAY_CLASS: Final = 0x03
_ACCELERATOR_CLASS: Final = 0x12

# Adapters that draw a console or a virtual screen and compute nothing.
_NO_GPU_VENDORS: Final = {
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

# GT/s a lane -> bytes/s a lane and direction, after line coding (8b/10b, 128b/130b, FLIT).
_LANE_BYTES_PER_S: Final = {
    "2.5": 250_000_000,
    "5": 500_000_000,
    "8": 984_600_000,
    "16": 1_969_200_000,
    "32": 3_938_400_000,
    "64": 7_563_000_000,
}
_GENERATION_SPEED: Final = {1: "2.5", 2: "5", 3: "8", 4: "16", 5: "32", 6: "64"}
_MAX_LANES: Final = 32
_EXTERNAL_HOPS: Final = 2  # root port and card: more means a switch in between


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
        return self.vendor_id not in _NO_GPU_VENDORS


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
                maker = _NO_GPU_VENDORS.get(function.vendor_id, "unknown maker")
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
        paths = [f"{_BUS}/{name}" for name in system.list_dir(_BUS)]
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


def link_bytes_per_s(*, speed: str | int | None, lanes: int | None) -> int | None:
    """Return the one-way rate of a PCIe link.

    Args:
        speed: a generation (4), or sysfs text (`16.0 GT/s PCIe`).
        lanes: width of the link.
    """
    if lanes is None or not 1 <= lanes <= _MAX_LANES or speed is None:
        return None
    if isinstance(speed, int):
        rate = _GENERATION_SPEED.get(speed)
    else:
        rate = speed.split()[0].removesuffix(".0") if speed.split() else None
    per_lane = _LANE_BYTES_PER_S.get(rate or "")
    return None if per_lane is None else per_lane * lanes


def read_link_bytes_per_s(system: System, function: GpuFunction) -> int | None:
    """Return the one-way rate between the host and a card: the narrowest hop on its way.

    The card's own function is not enough: many cards carry a switch whose inner link is wider than
    the slot, or (Arc) states 2.5 GT/s and one lane. Idle links slow down but keep their width, so
    each hop counts with the highest speed it can reach and the lanes it has. Ports that a virtual
    machine makes up tell nothing; None where the way, or a hop on it, cannot be read.
    """
    try:
        hops = _hops(system, function)
        return _narrowest_bytes_per_s(system, function, hops)
    except ProbeError:
        return None


def _narrowest_bytes_per_s(system: System, function: GpuFunction, hops: list[str]) -> int | None:
    vendors = [hexadecimal(_read_if_there(system, f"{hop}/vendor")) for hop in hops]
    if len(hops) > _EXTERNAL_HOPS and vendors[-2] == function.vendor_id:
        del hops[-2:]  # the link inside the card: its switch's port, and the GPU itself
    rates = [
        rate
        for hop, vendor in zip(hops, vendors, strict=False)
        if vendor not in _NO_GPU_VENDORS and (rate := _hop_bytes_per_s(system, hop))
    ]
    return min(rates, default=None)


def _hop_bytes_per_s(system: System, hop: str) -> int | None:
    names = ("max_link_width", "current_link_width")
    widths = [whole_number(_read_if_there(system, f"{hop}/{name}")) for name in names]
    return link_bytes_per_s(
        speed=_read_if_there(system, f"{hop}/max_link_speed"),
        lanes=min((width for width in widths if width), default=None),
    )


def _read_if_there(system: System, path: str) -> str | None:
    """Return a file; None when there is none: ports of a root complex have no link of their own."""
    try:
        return system.read_text(path).strip()
    except SourceMissingError:
        return None


def _hops(system: System, function: GpuFunction) -> list[str]:
    try:
        target = system.read_link(f"{_BUS}/{function.address}")
    except SourceMissingError:
        return [function.path]
    bridges = [part for part in target.split("/") if part.count(":") == 2 and "." in part]  # noqa: PLR2004
    return [f"{_BUS}/{address}" for address in bridges] or [function.path]
