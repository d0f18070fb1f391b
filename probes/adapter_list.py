"""The graphics adapters that Windows lists, their fields checked: what DXGI and the registry say.

The 32-bit `AdapterRAM` saturates just below 4 GiB; such a reading is "capped" and never a size.
"""

from __future__ import annotations

from whatfits.probes.amd_names import is_apu
from whatfits.probes.drafts import count, items, mapping, size, text
from whatfits.probes.intel import is_discrete_intel
from whatfits.probes.pci import AMD, INTEL, NVIDIA
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import GIB, MIB
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

__all__ = ["CAPPED_BYTES", "QUALCOMM", "VENDORS", "Adapter", "listed_adapters"]

CAPPED_BYTES: Final = 4 * GIB - MIB
"""Where the 32-bit reading ends: 4,293,918,720."""

_SIGNED_CAP_BYTES: Final = 2 * GIB - 4096  # drivers that take it for signed: oshi/oshi issue 2907
_SOFTWARE_FLAGS: Final = 0b11  # DXGI_ADAPTER_FLAG_REMOTE and _SOFTWARE
_MICROSOFT: Final = 0x1414  # Basic Render Driver, remote and virtual displays
QUALCOMM: Final = (0x4D4F4351, 0x5143, 0x17CB)
VENDORS: Final = {NVIDIA: "NVIDIA", AMD: "AMD", INTEL: "Intel"}


@dataclass(frozen=True, slots=True)
class Adapter:
    """One display adapter, its fields checked; None where Windows does not say.

    Attributes:
        name: as the driver describes it.
        vendor_id: PCI vendor.
        device_id: PCI device; None when not told.
        total_bytes: memory of its own (the larger of DXGI's and the registry's figure).
        dedicated_bytes: what programs may have of it (DXGI).
        shared_bytes: RAM it may use besides.
        used_bytes: dedicated memory in use.
        is_capped: only the 32-bit reading is there, and it is at its end.
        heaps: sizes of its device-local heaps, where a card splits its memory.
    """

    name: str
    vendor_id: int
    device_id: int | None
    total_bytes: int | None
    dedicated_bytes: int | None
    shared_bytes: int | None
    used_bytes: int | None
    is_capped: bool
    heaps: tuple[int, ...]

    @property
    def is_integrated(self) -> bool:
        """Whether it sits in the processor, by vendor and device number."""
        if self.vendor_id == INTEL:
            return self.device_id is None or not is_discrete_intel(self.device_id)
        is_known_apu = self.device_id is not None and is_apu(self.device_id)
        return self.vendor_id in QUALCOMM or (self.vendor_id == AMD and is_known_apu)


def listed_adapters(snapshot: Mapping[str, object]) -> list[Adapter]:
    """Return each adapter once: Windows lists one again for every output and translation layer."""
    found: list[Adapter] = []
    listed: list[Mapping[str, object]] = []
    for raw in map(mapping, items(snapshot.get("adapters"), at_most=64)):
        vendor = count(raw.get("vendor_id"))
        if vendor is None or vendor == _MICROSOFT:
            continue
        name = text(raw.get("name")) or f"unknown {VENDORS.get(vendor, 'vendor')} GPU"
        if (count(raw.get("flags")) or 0) & _SOFTWARE_FLAGS:
            continue
        if not any(_is_same(raw, other) for other in listed):
            listed.append(raw)
            found.append(_adapter(raw, name=name, vendor_id=vendor))
    return found


def _is_same(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    """Return whether both are one adapter: by its LUID, and where that is no number, by its kind.

    The registry gives no LUID, and lists each adapter once.
    """
    if "luid" not in one or "luid" not in other:
        return False
    kinds = [(count(raw.get("vendor_id")), count(raw.get("device_id"))) for raw in (one, other)]
    luids = [raw["luid"] for raw in (one, other) if type(raw["luid"]) is int]
    return kinds[0] == kinds[1] and (len(luids) < len(kinds) or luids[0] == luids[1])


def _adapter(raw: Mapping[str, object], *, name: str, vendor_id: int) -> Adapter:
    dedicated, registry = size(raw.get("dedicated_bytes")), size(raw.get("registry_bytes"))
    short = size(raw.get("adapter_ram_bytes"))
    is_known = dedicated is not None or registry is not None
    is_capped = short is not None and (short >= CAPPED_BYTES or short == _SIGNED_CAP_BYTES)
    if not is_known and not is_capped:
        dedicated = short
    heaps = (size(value) for value in items(raw.get("heaps"), at_most=8))
    sizes = [value for value in (dedicated, registry) if value is not None]
    return Adapter(
        name=name,
        vendor_id=vendor_id,
        device_id=count(raw.get("device_id")),
        total_bytes=max(sizes, default=None),
        dedicated_bytes=dedicated,
        shared_bytes=size(raw.get("shared_bytes")),
        used_bytes=size(raw.get("used_bytes")),
        is_capped=is_capped and not is_known,
        heaps=tuple(heap for heap in heaps if heap),
    )
