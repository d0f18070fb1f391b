"""Memory in use on graphics cards as their drivers count it, read without a context of its own.

To ask CUDA or HIP for free memory makes a context on the card, half a GiB on a large one, that is
gone from then on: what a program takes is only seen by who looks from outside.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["normal_address", "used_by_address"]

_PCI: Final = Path("/sys/bus/pci/devices")
_AMD_USED: Final = "mem_info_vram_used"  # amdgpu, Documentation/gpu/amdgpu/driver-misc
_ADDRESS_LENGTH: Final = len("0000:01:00.0")


def used_by_address(pci: Path = _PCI) -> dict[str, int]:
    """Return the bytes in use on each card that a driver tells of, by its PCI address.

    Empty where none does.
    """
    return {**dict(_nvidia()), **dict(_amd(pci))}


def normal_address(address: str) -> str:
    """Return a PCI address as `0000:01:00.0`; NVML writes its domain with eight digits."""
    return address.lower()[-_ADDRESS_LENGTH:]


def _nvidia() -> Iterator[tuple[str, int]]:
    from whatfits.probes.nvml import read_nvml  # noqa: PLC0415 - loads the driver's library

    devices: Any = read_nvml().get("devices", ())
    for device in devices:
        memory, address = device.get("memory"), device.get("pci_bus_id")
        used = memory.get("used") if isinstance(memory, dict) else None
        if isinstance(used, int) and isinstance(address, str):
            yield normal_address(address), used


def _amd(pci: Path) -> Iterator[tuple[str, int]]:
    for path in pci.glob(f"*/{_AMD_USED}"):
        try:
            yield path.parent.name, int(path.read_text(encoding="ascii"))
        except (OSError, ValueError):
            continue
