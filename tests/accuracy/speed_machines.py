"""The computers that recorded speeds were measured on, as the engine sees them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from whatfits.sizing.catalog.device_entries import device_entries
from whatfits.sizing.catalog.lookup import pcie_bandwidth_bytes_per_s
from whatfits.sizing.catalog.machine_parts import features_of
from whatfits.sizing.catalog.machines import KIND_OF_VENDOR
from whatfits.sizing.machine import Device, Link, Machine, Pool
from whatfits.sizing.units import GB, GIB

if TYPE_CHECKING:
    from collections.abc import Mapping

    from whatfits.sizing.catalog.device_entries import DeviceEntry
    from whatfits.sizing.model import ModelSpec

__all__ = ["machine_of"]

_FITS: Final = 0.92  # of the marketed memory: what the driver and the cache leave for weights


def machine_of(run: Mapping[str, Any], model: ModelSpec) -> Machine | None:
    """Return the computer of a row; None where it is not told how the model fitted on it."""
    return _processor(run) if "memory_gb_per_s" in run else _cards(run, model)


def _processor(run: Mapping[str, Any]) -> Machine:
    """Return a machine without an accelerator."""
    peak = round(run["memory_gb_per_s"] * GB)
    return Machine(
        pools=(Pool("ram", "ram", None),),
        devices=(
            Device(
                "cpu",
                "cpu",
                f"{run['device']} ({run['cores']})" if "cores" in run else run["device"],
                "ram",
                peak,
                features=tuple(run.get("features", ())),
                cores=run["threads"],
                fast_cores=run.get("fast_cores"),
                clock_hz=None if "clock_ghz" not in run else round(run["clock_ghz"] * 1e9),
            ),
        ),
    )


def _cards(run: Mapping[str, Any], model: ModelSpec) -> Machine | None:
    """Return a machine with the accelerators of a run; None where it is not told how they fit."""
    entry, count = _entries()[run["device"]], run.get("devices", 1)
    room = _FITS * GIB * count * max(entry.memory_gib or (64,))
    if run["trust"] == "low" and model.tensor_bytes > room:
        return None
    return _machine(entry, count, run.get("back_end"))


@cache
def _entries() -> dict[str, DeviceEntry]:
    return {entry.id: entry for entry in device_entries()}


@cache
def _machine(entry: DeviceEntry, count: int, back_end: str | None) -> Machine:
    """Return a machine with room for anything: what fits is not asked here."""
    kind = back_end or KIND_OF_VENDOR[entry.vendor]
    link = None
    if entry.pcie_gen is not None and entry.pcie_lanes is not None:
        link = pcie_bandwidth_bytes_per_s(entry.pcie_gen, entry.pcie_lanes)
    shared: Any = "unified" if entry.unified_memory else "vram"
    largest = max(entry.memory_gib, default=0)
    devices = [
        Device(
            f"device{number}",
            kind,
            entry.name,
            f"pool{number}",
            entry.bandwidth_of(largest),
            entry.compute_flops_per_s,
            features_of(entry),
        )
        for number in range(count)
    ]
    pools = [Pool(f"pool{number}", shared, 1 << 42) for number in range(count)]
    return Machine(
        pools=(*pools, Pool("ram", "ram", None)),  # what its size is nobody told
        devices=(*devices, Device("cpu", "cpu", "CPU", "ram")),
        links=tuple(Link("cpu", device.id, link) for device in devices),
    )
