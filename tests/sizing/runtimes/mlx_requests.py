"""Requests to `--runtime mlx` that its tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from whatfits.sizing import check
from whatfits.sizing.machine import Device, Machine, Pool
from whatfits.sizing.units import GIB

if TYPE_CHECKING:
    from whatfits.sizing.estimate import Plan

MAC = "mac-m4-max-64gb"


def planned(model: str = "qwen3-8b", machine: str | Machine = MAC, **request: Any) -> Plan:  # noqa: ANN401 - as check takes it
    """Return the plan of a request."""
    return check(model, machine=machine, runtime="mlx", **request)


def mac(limit_gib: float, *, total_gib: float = 24, used_gib: float = 0) -> Machine:
    """Return a Mac whose GPU may use so much."""
    pool = Pool(
        "unified",
        "unified",
        int(total_gib * GIB),
        limit_bytes=int(limit_gib * GIB),
        used_bytes=int(used_gib * GIB),
    )
    devices = (
        Device("metal", "metal", "Apple M4", "unified", 120 * 10**9),
        Device("cpu", "cpu", "Apple M4", "unified"),
    )
    return Machine((pool,), devices, os="macos")
