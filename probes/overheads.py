"""What real loads on this machine say about the next one: overheads as they were measured here."""

from __future__ import annotations

from whatfits.probes.measurements import MeasurementStore, fingerprint
from whatfits.probes.report import Finding
from whatfits.sizing.machine import MeasuredOverhead
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import MIB
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Final

    from whatfits.probes.measurements import LoadRecord
    from whatfits.probes.report import ProbeReport
    from whatfits.sizing.machine import Machine

__all__ = ["measured_report", "with_measured_overheads"]

_ENOUGH_LOADS: Final = 3
# CUDA's and HIP's own, without which nothing runs: 200 MiB is the least that was seen.
_WITH_CONTEXT: Final = frozenset({"cuda", "rocm"})
_LEAST_CONTEXT_BYTES: Final = 100 * MIB
# 19 loads on one H200 lie up to 134 MiB apart (tests/recorded/llama_cpp/cuda_loads.json).
_LEAST_CARD_SPREAD_BYTES: Final = 140 * MIB
_LEAST_SPREAD_BYTES: Final = 8 * MIB  # loads of one model differ by pages and thread stacks


def with_measured_overheads(machine: Machine, records: Sequence[LoadRecord]) -> Machine:
    """Return the machine with what its own loads took beside the predicted buffers.

    A device counts from three loads on. The interval is theirs, widened on both sides by how far
    they lie apart (at least 8 MiB, on a card 140: what models of other types need of its libraries
    and pools); below zero it is cut.
    """
    found = []
    for device in machine.devices:
        sizes = sorted(r.overhead_bytes for r in records if r.device == device.id and _counts(r))
        if len(sizes) < _ENOUGH_LOADS:
            continue
        least = _LEAST_SPREAD_BYTES if device.kind == "cpu" else _LEAST_CARD_SPREAD_BYTES
        spread = max(sizes[-1] - sizes[0], least)
        newest = max(r.when for r in records if r.device == device.id)
        found.append(
            MeasuredOverhead(
                device=device.id,
                low_bytes=max(0, sizes[0] - spread),
                mid_bytes=max(0, sizes[len(sizes) // 2]),
                high_bytes=max(0, sizes[-1] + spread),
                source=f"{len(sizes)} real loads on this machine, the last on {newest[:10]}",
            )
        )
    return replace(machine, overheads=tuple(found))


def _counts(record: LoadRecord) -> bool:
    """Whether a load was measured from before the card's context was there; older ones were not."""
    has_context = record.device_kind in _WITH_CONTEXT
    return not has_context or record.overhead_bytes >= _LEAST_CONTEXT_BYTES


def measured_report(report: ProbeReport, path: Path) -> ProbeReport:
    """Return a report of this machine with what its own loads have measured, and how many."""
    store = MeasurementStore(path)
    records = store.loads(machine=fingerprint(report.machine))
    if store.unreadable:
        finding = Finding(
            "measurements_not_understood",
            "warning",
            f"The measurements in {path} cannot be used ({store.unreadable}).",
            "the next 'whatfits verify MODEL.gguf' sets the file aside and begins a new one",
        )
        return replace(report, findings=(*report.findings, finding))
    if not records:
        return report
    machine = with_measured_overheads(report.machine, records)
    finding = Finding("loads_measured", "info", _sentence(machine, records))
    return replace(report, machine=machine, findings=(*report.findings, finding))


def _sentence(machine: Machine, records: Sequence[LoadRecord]) -> str:
    newest = max(record.when for record in records)
    loads = "1 real load" if len(records) == 1 else f"{len(records)} real loads"
    said = f"{loads} measured on this machine, the last on {newest[:10]}"
    if not machine.overheads:
        return f"{said}; from {_ENOUGH_LOADS} a device on they replace the usual overheads."
    known = ", ".join(
        f"{o.device} {o.low_bytes / MIB:,.0f} to {o.high_bytes / MIB:,.0f} MiB"
        for o in machine.overheads
    )
    return f"{said}; beside its buffers an answer now allows for: {known}."
