"""The pools and features of a device that is known from the catalog alone."""

from __future__ import annotations

from whatfits.sizing.errors import CatalogError
from whatfits.sizing.machine import Pool
from whatfits.sizing.reserve import desktop_vram_reserve_bytes, idle_ram_reserve_bytes
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import GB, GIB

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.catalog.device_entries import DeviceEntry

__all__ = ["card_pool", "features_of", "unified_pool"]

# Fields that change an answer. The memory is what the request names, out of the options listed.
_UNVERIFIED: Final = (
    ("bandwidth_bytes_per_s", "unverified-bandwidth"),
    ("fp16_flops_per_s", "unverified-fp16-rate"),
)


def card_pool(entry: DeviceEntry, memory_gib: int, *, number: int, headless: bool) -> Pool:
    """Return the memory of one card, or of one of its dies.

    The total is what a driver shows of that card where a log was read, else what drivers show of
    such cards, with the lower end.

    Raises:
        CatalogError: the index has no total for that memory option.
    """
    total = entry.total_of(memory_gib)
    if total is None:
        raise CatalogError(f"catalog: {entry.id} has no total for {memory_gib} GiB")
    return Pool(
        f"vram{number}",
        "vram",
        total.total_bytes // entry.dies,
        reserve_bytes=desktop_vram_reserve_bytes(headless=headless),
        total_low_bytes=None if total.low_bytes is None else total.low_bytes // entry.dies,
        limit_source=f"total: {total.basis}",
    )


def unified_pool(entry: DeviceEntry, memory_gib: int, *, os: str | None) -> Pool:
    """Return the one pool of a machine whose CPU and GPU share memory."""
    known = entry.total_of(memory_gib)
    total = memory_gib * GIB if known is None else known.total_bytes
    limit, low, source = None, None, None if known is None else f"total: {known.basis}"
    if entry.vendor == "Apple":
        from whatfits.sizing.catalog.apple_limits import gpu_limit  # noqa: PLC0415 - Macs only

        rule = gpu_limit(total, os_version=None)
        limit, low = rule.mid_bytes, rule.low_bytes
        source = f"{rule.reason}; `sudo sysctl iogpu.wired_limit_mb=N` raises it"
    elif entry.vendor == "AMD" and entry.kind == "unified":
        limit, low = total * 3 // 4, total // 2
        source = (
            "amdgpu: half of the RAM unless raised (GTT; ttm.pages_limit), up to three quarters as "
            "a carve-out set in the firmware"
        )
    elif entry.vendor == "Intel":
        limit, low = total * 3 // 4, total // 2
        source = (
            "Mesa's Vulkan driver: three quarters of the RAM (src/intel/vulkan/anv_device.c); "
            "Windows: about half of it"
        )
    return Pool(
        "unified",
        "unified",
        total,
        limit_bytes=limit,
        reserve_bytes=idle_ram_reserve_bytes(os),
        total_low_bytes=None if known is None else known.low_bytes,
        limit_low_bytes=low,
        limit_source=source,
        limit_scope="pool" if limit is None else "accelerators",
    )


def features_of(entry: DeviceEntry) -> tuple[str, ...]:
    """Return the facts of a device that change memory, speed or commands.

    `nvlink600` is 600 GB/s in both directions together; `fp32-rate` says that the compute rate is
    that of FP32, the FP16 one being lower or not read; `unverified-…` names a value that was filled
    from memory and not re-read at a source.
    """
    found = []
    if entry.compute_capability is not None:
        found.append(f"cc{entry.compute_capability}")
    if entry.gfx_target is not None:
        found.append(entry.gfx_target)
    if entry.unified_memory:
        found += ["unified"] if entry.kind != "integrated" else []
        found += ["integrated"] if entry.vendor != "Apple" else []
    if entry.kind == "laptop":
        found.append("laptop")
    if entry.nvlink_bytes_per_s is not None:
        found.append(f"nvlink{entry.nvlink_bytes_per_s / GB:g}")
    of_matrices = (entry.fp16_flops_per_s, entry.fp16_accumulate_fp16_flops_per_s)
    if entry.compute_flops_per_s not in (None, *of_matrices):
        found.append("fp32-rate")
    found += [mark for name, mark in _UNVERIFIED if name in entry.unverified]
    return tuple(found)
