"""The JSON answer of `whatfits hardware`, by itself: the classes of the others cost time."""

from __future__ import annotations

from whatfits.probes.report import Evidence, Finding, Holder
from whatfits.sizing.machine import Machine
from whatfits.sizing.values import dataclass

__all__ = ["HardwareAnswer"]


@dataclass(frozen=True, slots=True)
class HardwareAnswer:
    """`whatfits hardware`: the machine with everything that backs it; `--machine` accepts it."""

    schema_version: str
    machine: Machine
    evidence: tuple[Evidence, ...]
    findings: tuple[Finding, ...]
    holders: tuple[Holder, ...]
    free_disk_bytes: int | None
