"""GPUs of a Windows machine that no vendor's library speaks for: their pools and devices.

Dedicated and shared memory are kept apart: shared memory is RAM.
"""

from __future__ import annotations

from whatfits.probes.adapter_list import QUALCOMM, VENDORS, Adapter, listed_adapters
from whatfits.probes.drafts import Draft, catalog_rates, count, error_name, items, mapping
from whatfits.probes.pci import AMD, NVIDIA
from whatfits.probes.unified import held_of
from whatfits.probes.windows import parse_memory
from whatfits.sizing.errors import ProbeError
from whatfits.sizing.machine import Device, Pool
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import GIB, format_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from whatfits.probes.meminfo import HostRam
    from whatfits.probes.report import Partial
    from whatfits.probes.system import System

__all__ = ["parse_adapters", "probe"]

_STRIX_HALO: Final = (0x1586,)
_CARVE_OUT_BYTES: Final = 2 * GIB  # below, what is set aside is only for the display


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
    for adapter in listed_adapters(snapshot):
        if adapter.vendor_id == NVIDIA and has_nvml:
            continue
        if adapter.is_integrated:
            _add_integrated(draft, adapter, host)
        else:
            _add_card(draft, adapter)
    return draft.partial()


def _add_card(draft: Draft, adapter: Adapter) -> None:
    pool = draft.next_pool()
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
        only = " Runtimes reach it through OpenCL only." if adapter.vendor_id in QUALCOMM else ""
        taken = f"{format_bytes(dedicated)} were taken from the RAM at start, " if dedicated else ""
        draft.say(
            "integrated_gpu",
            f"{adapter.name} is an integrated GPU: it adds no memory; {taken}"
            f"{format_bytes(shared)} that it may share are RAM.{only}",
        )


def _add_carve_out(draft: Draft, adapter: Adapter, *, dedicated: int, shared: int) -> None:
    """Memory that the firmware keeps from Windows: a pool of its own."""
    pool = draft.next_pool()
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
    kind = "opencl" if adapter.vendor_id in QUALCOMM else "vulkan"
    memory = None if extra else adapter.total_bytes
    vendor = VENDORS.get(adapter.vendor_id)
    rates = catalog_rates(adapter.name, vendor=vendor, memory_bytes=memory) if vendor else None
    draft.devices.append(
        Device(
            draft.next_device(kind),
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
