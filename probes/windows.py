"""What the Windows snapshot says of RAM, version and display adapters: pure parsers.

`windows_api` takes the snapshot; `adapters` makes GPUs of what it lists.
"""

from __future__ import annotations

from whatfits.probes.drafts import count, mapping, size, text
from whatfits.probes.meminfo import HostRam
from whatfits.probes.system import SourceGarbledError
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Final

__all__ = ["merge_adapters", "parse_memory", "parse_version"]

_FIRST_BUILD_OF_11: Final = 22_000


def parse_memory(snapshot: Mapping[str, object]) -> HostRam:
    """Return the RAM that Windows sees; what can be had is bounded by what may be committed.

    Raises:
        SourceGarbledError: it tells no total.
    """
    memory = mapping(snapshot.get("memory"))
    total = size(memory.get("total_bytes"))
    if not total:
        raise SourceGarbledError("Windows told no size of the RAM")
    available = size(memory.get("available_bytes"))
    commit = size(memory.get("commit_available_bytes"))
    if available is not None and commit is not None:
        available = min(available, commit)
    installed = size(memory.get("installed_bytes"))
    return HostRam(
        total_bytes=total,
        available_bytes=None if available is None else min(available, total),
        source="GlobalMemoryStatusEx",
        available_kind="reported",
        installed_bytes=installed or None,
        is_clamped=available is not None and available > total,
    )


def parse_version(snapshot: Mapping[str, object]) -> str | None:
    """Return the version as people know it: `Windows 11 24H2 (26100)`; None when not told."""
    version = mapping(snapshot.get("version"))
    product, build = text(version.get("product")), text(version.get("build"))
    if product is None:
        return None
    if build and build.isdecimal() and int(build) >= _FIRST_BUILD_OF_11:
        # Windows 11 still calls itself 10 here.
        product = product.replace("Windows 10", "Windows 11")
    display = text(version.get("display"))
    return " ".join(filter(None, (product, display, f"({build})" if build else None)))


def merge_adapters(
    listed: Sequence[Mapping[str, object]], keys: Sequence[Mapping[str, object]]
) -> list[dict[str, object]]:
    """Return the adapters DXGI lists with the figures of their drivers' registry keys.

    Args:
        listed: DXGI's adapters; when there are none, those of the registry are returned.
        keys: values of the display class's keys, which name vendor and device in
            `MatchingDeviceId` (`pci, ven_10de&dev_2684&…`).
    """
    drivers = [_driver(key) for key in keys]
    if not listed:
        return [driver for driver in drivers if driver["vendor_id"] is not None]
    merged = []
    for adapter in listed:
        ids = (adapter.get("vendor_id"), adapter.get("device_id"))
        driver = next((d for d in drivers if (d["vendor_id"], d["device_id"]) == ids), None)
        both = dict(adapter)
        if driver is not None:
            both["adapter_ram_bytes"] = driver["adapter_ram_bytes"]
            both["driver_version"] = driver["driver_version"]
            both["registry_bytes"] = driver["dedicated_bytes"]
        merged.append(both)
    return merged


def _driver(key: Mapping[str, object]) -> dict[str, object]:
    matching = str(key.get("MatchingDeviceId", "")).lower()
    return {
        "name": key.get("DriverDesc"),
        "vendor_id": _hexadecimal_after(matching, "ven_"),
        "device_id": _hexadecimal_after(matching, "dev_"),
        "dedicated_bytes": count(key.get("HardwareInformation.qwMemorySize")),
        "adapter_ram_bytes": count(key.get("HardwareInformation.MemorySize")),
        "driver_version": key.get("DriverVersion"),
    }


def _hexadecimal_after(matching: str, mark: str) -> int | None:
    _, found, rest = matching.partition(mark)
    digits = rest[:4]
    if not found or not digits or not all(digit in "0123456789abcdef" for digit in digits):
        return None
    return int(digits, 16)
