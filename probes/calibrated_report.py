"""A report of this machine with what `bench` has measured on it, how old that is, and what for."""

from __future__ import annotations

from datetime import datetime

from whatfits.probes.calibration import CalibrationStore
from whatfits.probes.measurements import fingerprint
from whatfits.probes.report import Finding
from whatfits.sizing.calibration import calibration_fault
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import GB
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Final

    from whatfits.probes.report import ProbeReport
    from whatfits.sizing.calibration import Calibration, DeviceCalibration

__all__ = ["age_in_words", "calibrated_report"]

_AGAIN: Final = "'whatfits bench' measures it anew"
_DAY_S: Final = 24 * 3600
_OLD_DAYS: Final = 180


def calibrated_report(report: ProbeReport, path: Path, *, now: datetime) -> ProbeReport:
    """Return the report with the calibration of its machine, and a finding that says of when."""
    store = CalibrationStore(path)
    found = store.calibration(fingerprint(report.machine))
    if store.unreadable:
        text = f"The calibration in {path} cannot be used ({store.unreadable})."
        step = "the next 'whatfits bench' sets the file aside and begins a new one"
        return _with(report, Finding("calibration_not_understood", "warning", text, step))
    if found is None:
        if not store.others:
            return report
        text = "The calibration that is kept here is of another machine; it is not used."
        return _with(report, Finding("calibration_of_another_machine", "info", text, _AGAIN))
    fault = calibration_fault(found, {device.id for device in report.machine.devices})
    if fault is not None:
        text = f"The calibration does not fit this machine ({fault.what} {fault.got})."
        return _with(report, Finding("calibration_not_fitting", "warning", text, _AGAIN))
    report = replace(report, machine=replace(report.machine, calibration=found))
    return _with(report, *_findings(found, now), *_other_drivers(report, found))


def _other_drivers(report: ProbeReport, found: Calibration) -> tuple[Finding, ...]:
    """Return a finding where a driver is another than when it was measured."""
    now = {item.key: str(item.value) for item in report.evidence if item.value is not None}
    changed = [
        f"{name} {version}, now {now[name]}"
        for name, version in found.versions
        if now.get(name, version) != version
    ]
    if not changed:
        return ()
    text = f"Measured with another driver: {', '.join(changed)}."
    return (Finding("calibration_of_another_driver", "warning", text, _AGAIN),)


def _with(report: ProbeReport, *findings: Finding) -> ProbeReport:
    return replace(report, findings=(*report.findings, *findings))


def _findings(found: Calibration, now: datetime) -> tuple[Finding, ...]:
    when, days = found.measured_at[:10], _days(found.measured_at, now)
    figures = "; ".join(filter(None, (_figures(device) for device in found.devices)))
    text = f"Measured on this machine on {when} ({age_in_words(days)}): {figures or 'nothing'}."
    is_old = days is not None and days > _OLD_DAYS
    first = Finding("machine_calibrated", "info", text, _AGAIN if is_old else "")
    warnings = tuple(
        Finding("calibration_disturbed", "warning", f"{device.device}: {warning}.", _AGAIN)
        for device in found.devices
        for warning in device.warnings
    )
    return (first, *warnings)


def _days(measured_at: str, now: datetime) -> int | None:
    """Return whole days since; None when that cannot be known."""
    try:
        then = datetime.fromisoformat(measured_at)
        return max(0, int((now - then).total_seconds() // _DAY_S))
    except (ValueError, TypeError):
        return None


def age_in_words(days: int | None) -> str:
    """Return an age in words."""
    if days is None:
        return "age unknown"
    if days == 0:
        return "today"
    return "1 day old" if days == 1 else f"{days:,} days old"


def _figures(device: DeviceCalibration) -> str:
    parts = []
    if device.read_bytes_per_s is not None:
        threads = "" if device.read_threads is None else f" with {device.read_threads} threads"
        parts.append(f"reads {device.read_bytes_per_s / GB:,.1f} GB/s{threads}")
    if device.decode:
        rates = ", ".join(
            f"{r.type_name or r.quant_kind} {r.bytes_per_s / GB:,.1f}" for r in device.decode
        )
        parts.append(f"decodes at {rates} GB/s")
    return f"{device.device} {', '.join(parts)}" if parts else ""
