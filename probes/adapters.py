"""GPUs of a Windows machine that no vendor's library speaks for: what DXGI and the registry say.

Dedicated and shared memory are kept apart: shared memory is RAM. The 32-bit `AdapterRAM` saturates
just below 4 GiB; such a reading is "capped" and never a size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from whatfits.probes.amd_names import is_apu
from whatfits.probes.drafts import (
    Draft,
    catalog_rates,
    count,
    error_name,
    items,
    mapping,
    size,
    text,
)
from whatfits.probes.intel import is_discrete_intel
from whatfits.probes.pci import AMD, INTEL, NVIDIA
from whatfits.probes.unified import held_of
from whatfits.probes.windows import parse_memory
from whatfits.sizing.errors import ProbeError
from whatfits.sizing.machine import Device, Pool
from whatfits.sizing.units import GIB, MIB, format_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from whatfits.probes.meminfo import HostRam
    from whatfits.probes.report import Partial
    from whatfits.probes.system import System

__all__ = ["CAPPED_BYTES", "Adapter", "parse_adapters", "probe"]

CAPPED_BYTES: Final = 4 * GIB - MIB
"""Where the 32-bit reading ends: 4,293,918,720."""

_SIGNED_CAP_BYTES: Final = 2 * GIB - 4096  # drivers that take it for signed: oshi/oshi issue 2907
_SOFTWARE_FLAGS: Final = 0b11  # DXGI_ADAPTER_FLAG_REMOTE and _SOFTWARE

_MICROSOFT: Final = 0x1414  # Basic Render Driver, remote and virtual displays
_QUALCOMM: Final = (0x4D4F4351, 0x5143, 0x17CB)
_STRIX_HALO: Final = (0x1586,)
_CARVE_OUT_BYTES: Final = 2 * GIB  # below, what is set aside is only for the display
_VENDORS: Final = {NVIDIA: "NVIDIA", AMD: "AMD", INTEL: "Intel"}


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
        return self.vendor_id in _QUALCOMM or (self.vendor_id == AMD and is_known_apu)


def probe(system: System, *, has_nvml: bool = False) -> Partial:
    """Return the GPUs that Windows lists; empty on other systems.

    Args:
        system: the machine.
        has_nvml: whether NVML lists the NVIDIA cards already.
    """
    if system.platform != "win32":
        return Draft().partial()
    try:
        snapshot = system.query("windows")
    except ProbeError as error:
        draft = Draft()
        draft.say(
            "windows_adapters_unread",
            f"Windows did not list its graphics adapters: {error}.",
            warn=True,
        )
        return draft.partial()
    try:
        host = parse_memory(snapshot)
    except ProbeError:
        host = None
    return parse_adapters(snapshot, host=host, has_nvml=has_nvml)


def parse_adapters(
    snapshot: Mapping[str, object], *, host: HostRam | None = None, has_nvml: bool = False
) -> Partial:
    """Return pools and devices for the adapters of a `windows` snapshot (see `windows_api`).

    `heaps` (sizes of device-local heaps) is used where a snapshot has it.
    """
    draft = Draft()
    trouble = error_name(snapshot.get("adapters"))
    if trouble is None and not isinstance(snapshot.get("adapters", []), (list, tuple)):
        trouble = "no list"
    if trouble is not None:
        draft.say(
            "windows_adapters_unread",
            f"Windows did not list its graphics adapters ({trouble}).",
            warn=True,
        )
    listed = items(snapshot.get("adapters"), at_most=64)
    nameless = sum(count(mapping(raw).get("vendor_id")) is None for raw in listed)
    if nameless:
        draft.say(
            "windows_adapter_unread",
            f"Windows lists {nameless} graphics adapter(s) without a maker: not counted.",
            warn=True,
        )
    for adapter in _adapters(snapshot):
        if adapter.vendor_id == NVIDIA and has_nvml:
            continue
        if adapter.is_integrated:
            _add_integrated(draft, adapter, host)
        else:
            _add_card(draft, adapter)
    return draft.partial()


def _adapters(snapshot: Mapping[str, object]) -> list[Adapter]:
    """Return each adapter once: Windows lists one again for every output and translation layer."""
    found: list[Adapter] = []
    listed: list[Mapping[str, object]] = []
    for raw in map(mapping, items(snapshot.get("adapters"), at_most=64)):
        vendor = count(raw.get("vendor_id"))
        if vendor is None or vendor == _MICROSOFT:
            continue
        name = text(raw.get("name")) or f"unknown {_VENDORS.get(vendor, 'vendor')} GPU"
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


def _add_card(draft: Draft, adapter: Adapter) -> None:
    pool = f"vram{sum(p.kind == 'vram' for p in draft.pools)}"
    total = sum(adapter.heaps) or adapter.total_bytes or None
    limit = adapter.dedicated_bytes or None
    if total is None or (limit is not None and limit >= total):
        limit = None
    source = None if limit is None else "DXGI: the driver keeps the rest"
    draft.pools.append(
        Pool(
            pool,
            "vram",
            total,
            limit_bytes=limit,
            used_bytes=adapter.used_bytes,
            limit_source=source,
        )
    )
    _know(draft, adapter, pool)
    _add_device(draft, adapter, pool)
    if total is None:
        reading = "only a 32-bit reading that ends at 4 GiB" if adapter.is_capped else "no reading"
        draft.say(
            "vram_capped" if adapter.is_capped else "vram_unknown",
            f"{adapter.name}: its memory is not known ({reading}).",
            next_step="update the graphics driver, or state it with --machine",
            warn=True,
        )


def _add_integrated(draft: Draft, adapter: Adapter, host: HostRam | None) -> None:
    """Graphics inside the processor: on the RAM, or on what the firmware sets aside of it."""
    dedicated = sum(adapter.heaps) or adapter.total_bytes or 0
    shared = adapter.shared_bytes or 0
    is_amd = adapter.vendor_id == AMD
    is_strix_halo = is_amd and adapter.device_id in _STRIX_HALO
    if is_amd and dedicated >= _CARVE_OUT_BYTES and (dedicated > shared or not is_strix_halo):
        _add_carve_out(draft, adapter, dedicated=dedicated, shared=shared)
    elif is_strix_halo:
        _add_unified(draft, adapter, dedicated=dedicated, shared=shared, host=host)
    else:
        _add_device(draft, adapter, "ram", extra=("integrated",))
        _know(draft, adapter, "ram")
        only = " Runtimes reach it through OpenCL only." if adapter.vendor_id in _QUALCOMM else ""
        taken = f"{format_bytes(dedicated)} were taken from the RAM at start, " if dedicated else ""
        draft.say(
            "integrated_gpu",
            f"{adapter.name} is an integrated GPU: it adds no memory; {taken}"
            f"{format_bytes(shared)} that it may share are RAM.{only}",
        )


def _add_carve_out(draft: Draft, adapter: Adapter, *, dedicated: int, shared: int) -> None:
    """Memory that the firmware keeps from Windows: a pool of its own."""
    pool = f"vram{sum(p.kind == 'vram' for p in draft.pools)}"
    source = "carved out of the RAM by the firmware"
    draft.pools.append(
        Pool(pool, "vram", dedicated, used_bytes=adapter.used_bytes, limit_source=source)
    )
    _add_device(draft, adapter, pool, extra=("carve-out",))
    _know(draft, adapter, pool)
    parts = " + ".join(format_bytes(heap) for heap in adapter.heaps)
    heaps = f" (heaps {parts})" if len(adapter.heaps) > 1 else ""
    draft.say(
        "amd_carve_out",
        f"{adapter.name}: the firmware sets {format_bytes(dedicated)} aside{heaps}, which Windows "
        f"leaves out of its RAM; it may share {format_bytes(shared)} more.",
        next_step="AMD Software, 'Variable Graphics Memory', or the firmware sets the split",
    )


def _add_unified(
    draft: Draft, adapter: Adapter, *, dedicated: int, shared: int, host: HostRam | None
) -> None:
    """Strix Halo with little set aside ("Auto" reads zero): the RAM is shared."""
    limit, used = dedicated + shared, None
    ram = None if host is None else host.total_bytes
    total = None if ram is None else ram + dedicated
    if total is not None:
        limit = min(limit, total)
        if host is not None and host.available_bytes is not None:
            used = held_of(total, available_bytes=host.available_bytes + dedicated)
    draft.pools.append(
        Pool(
            "unified",
            "unified",
            total,
            limit_bytes=limit or None,
            used_bytes=used,
            limit_low_bytes=min(limit, max(dedicated, shared)) or None,
            limit_source=f"dedicated {format_bytes(dedicated)} + shared {format_bytes(shared)}",
            limit_scope="accelerators" if limit else "pool",
        )
    )
    _add_device(draft, adapter, "unified", extra=("integrated",))
    _know(draft, adapter, "unified")


def _know(draft: Draft, adapter: Adapter, pool: str) -> None:
    source = "DXGI, registry qwMemorySize"
    for key, value in (
        ("dedicated_bytes", adapter.dedicated_bytes),
        ("shared_bytes", adapter.shared_bytes),
    ):
        draft.know(f"adapters.{adapter.name}.{key}", value, unit="bytes", source=source)
    for heap in adapter.heaps:
        draft.know(f"pools.{pool}.heap_bytes", heap, unit="bytes", source="device-local heap")


def _add_device(draft: Draft, adapter: Adapter, pool: str, *, extra: tuple[str, ...] = ()) -> None:
    kind = "opencl" if adapter.vendor_id in _QUALCOMM else "vulkan"
    memory = None if extra else adapter.total_bytes
    vendor = _VENDORS.get(adapter.vendor_id)
    rates = catalog_rates(adapter.name, vendor=vendor, memory_bytes=memory) if vendor else None
    number = sum(device.kind == kind for device in draft.devices)
    draft.devices.append(
        Device(
            f"{kind}{number}",
            kind,
            adapter.name,
            pool,
            bandwidth_bytes_per_s=rates.bandwidth_bytes_per_s if rates else None,
            fp16_flops_per_s=rates.fp16_flops_per_s if rates else None,
            features=(*_ids(adapter), *extra),
        )
    )


def _ids(adapter: Adapter) -> tuple[str, ...]:
    if adapter.device_id is None:
        return ()
    return (f"pciid:{adapter.vendor_id:04x}:{adapter.device_id:04x}",)
