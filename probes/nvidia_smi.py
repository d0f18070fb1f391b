"""`nvidia-smi` as a stand-in for NVML: its CSV made into the same snapshot.

Asked only when the library cannot be loaded here but the driver's own program can be run, from
known places of the system: never from the current directory or the search path.
"""

from __future__ import annotations

from whatfits.probes.drafts import whole_number
from whatfits.sizing.errors import ProbeError, printable
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import MIB

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from whatfits.probes.system import System

__all__ = ["parse_smi", "read_smi"]

_PROGRAMS: Final = (
    "/usr/bin/nvidia-smi",
    "/usr/lib/wsl/lib/nvidia-smi",
    "/run/current-system/sw/bin/nvidia-smi",
)
_FIELDS: Final = (
    "index",
    "name",
    "uuid",
    "pci.bus_id",
    "memory.total",
    "memory.reserved",
    "memory.used",
    "compute_cap",
    "clocks.max.memory",
    "pcie.link.gen.max",
    "pcie.link.width.max",
    "pcie.link.width.current",
    "display_active",
    "mig.mode.current",
    "driver_version",
)
# Older programs refuse the whole query for one field they do not know.
_OLD_FIELDS: Final = ("index", "name", "uuid", "pci.bus_id", "memory.total", "memory.used")
_MAX_ROWS: Final = 64


def read_smi(system: System) -> dict[str, object] | None:
    """Return the snapshot that `nvidia-smi` gives; None when there is none to be had."""
    for program in _PROGRAMS:
        for fields in (_FIELDS, _OLD_FIELDS):
            query = f"--query-gpu={','.join(fields)}"
            try:
                text = system.run((program, query, "--format=csv,noheader,nounits"))
            except ProbeError:
                break
            snapshot = parse_smi(text, fields)
            if snapshot is not None:
                return snapshot
    return None


def parse_smi(text: str, fields: Sequence[str] = _FIELDS) -> dict[str, object] | None:
    """Return a snapshot from `--format=csv,noheader,nounits`; None when no row is one.

    `[N/A]`, `[Not Supported]`, `[Unknown Error]` and whatever else is no number become errors by
    that name. Memory is in MiB there.
    """
    rows = [line.split(", ") for line in text.splitlines()[:_MAX_ROWS]]
    devices = [
        _device(dict(zip(fields, (cell.strip() for cell in row), strict=True)))
        for row in rows
        if len(row) == len(fields) and whole_number(row[0].strip()) is not None
    ]
    if not devices:
        return None
    versions = [d.pop("driver_version") for d in devices]
    return {
        "library": {"tried": [], "loaded": "nvidia-smi"},
        "init": None,
        "driver_version": versions[0],
        "count": len(devices),
        "devices": devices,
    }


def _device(cells: dict[str, str]) -> dict[str, object]:
    total = _number(cells.get("memory.total"), times=MIB)
    lost = cells.get("name", "").startswith("[GPU is lost")
    memory: object = total
    if isinstance(total, int):
        memory = {"version": 1, "total": total}
        for key in ("reserved", "used"):
            value = _number(cells.get(f"memory.{key}"), times=MIB)
            if isinstance(value, int):
                memory[key] = value
                memory["version"] = 2 if key == "reserved" else memory["version"]
    return {
        "index": whole_number(cells["index"]),
        "handle": {"error": "GpuIsLost"} if lost else None,
        "name": _text(cells.get("name")),
        "uuid": _text(cells.get("uuid")),
        "pci_bus_id": _text(cells.get("pci.bus_id")),
        "memory": memory,
        "compute_capability": _capability(cells.get("compute_cap")),
        "max_memory_clock_mhz": _number(cells.get("clocks.max.memory")),
        "pcie_generation": _number(cells.get("pcie.link.gen.max")),
        "pcie_lanes": _number(cells.get("pcie.link.width.max")),
        "pcie_lanes_now": _number(cells.get("pcie.link.width.current")),
        "display_active": int(cells.get("display_active") == "Enabled"),
        "mig_mode": int(cells.get("mig.mode.current") == "Enabled"),
        "mig": {"error": "NotAsked"},
        "processes": {"error": "NotAsked"},
        "driver_version": _text(cells.get("driver_version")),
    }


def _number(cell: str | None, *, times: int = 1) -> int | dict[str, str]:
    number = whole_number(cell)
    return {"error": _error(cell)} if number is None else number * times


def _text(cell: str | None) -> str | dict[str, str]:
    return {"error": _error(cell)} if not cell or cell.startswith("[") else cell


def _error(cell: str | None) -> str:
    words = (cell or "no answer").strip("[]")
    return "NotSupported" if words in ("N/A", "Not Supported") else printable(words)


def _capability(cell: str | None) -> object:
    parts = [whole_number(part) for part in (cell or "").split(".")]
    return {"error": _error(cell)} if None in parts else parts
