"""One measurement of this machine: the kernels, then llama.cpp on each device, then the sums."""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from whatfits.bench.bandwidth import buffer_bytes, measure_rates, thread_counts
from whatfits.bench.calibrate import calibrated
from whatfits.bench.fast import Room, fast_trials, is_fast
from whatfits.bench.micro import Target, run_trials, trials
from whatfits.bench.surroundings import Watch
from whatfits.probes.measurements import fingerprint
from whatfits.sizing.calibration import CALIBRATION_SCHEMA_VERSION, Calibration
from whatfits.sizing.errors import ProbeError
from whatfits.sizing.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from whatfits.bench.bandwidth import MachineRates
    from whatfits.bench.micro import Measured, Trial
    from whatfits.probes.report import ProbeReport

__all__ = ["Session", "cache_bytes", "host_threads", "measure", "planned", "targets", "versions"]

# No driver tells it. The largest: 96 MiB (NVIDIA, Blackwell GB202), 96 MiB (AMD, Navi 31).
_ACCELERATOR_CACHE_BYTES: Final = 96 << 20
_DRIVER: Final = "driver_version"
_PACKAGES: Final = ("numpy", "llama_cpp_python")


@dataclass(frozen=True, slots=True)
class Session:
    """What was measured, and what it means.

    Attributes:
        rates: of the kernels; None when they could not be run.
        measured: timings of llama.cpp by device id; empty with `quick`.
        calibration: what to keep.
        warnings: what is to be said of the whole.
        seconds: wall time.
    """

    rates: MachineRates | None
    measured: Mapping[str, tuple[Measured, ...]]
    calibration: Calibration
    warnings: tuple[str, ...]
    seconds: float


def measure(
    report: ProbeReport,
    accelerators: Mapping[str, str] | None,
    *,
    budget_s: float,
    progress: Callable[[str], None] | None = None,
) -> Session:
    """Return the measurement of the machine that was probed.

    Args:
        report: what was read of this machine.
        accelerators: llama.cpp's name of each accelerator; None: llama.cpp is not asked at all.
        budget_s: after so many seconds no further step is begun.
        progress: told what is being measured.
    """
    started = time.monotonic()
    watch = Watch()
    if progress is not None:
        progress("reading memory")
    rates, warnings = _rates(report)
    found: dict[str, tuple[Measured, ...]] = {}
    devices = []
    host_pool = report.machine.host_pool
    chosen = targets(report, accelerators or {})
    for number, target in enumerate(chosen):
        is_host = target.llama_name is None
        measured: tuple[Measured, ...] = ()
        notes: tuple[str, ...] = ()
        if accelerators is not None:
            # what is left of the time is shared by the devices that are left
            left_s = started + budget_s - time.monotonic()
            ends_s = time.monotonic() + left_s / (len(chosen) - number)
            measured, notes = run_trials(
                target,
                planned(target, report),
                ends_s=ends_s,
                free_bytes=None if host_pool is None else host_pool.free_bytes,
                progress=progress,
            )
        found[target.device] = measured
        if measured or is_host:
            own = rates if is_host else None
            devices.append(calibrated(target, measured, own, notes=notes))
        else:
            warnings = (*warnings, *(f"{target.device}: {note}" for note in notes))
    calibration = Calibration(
        schema_version=CALIBRATION_SCHEMA_VERSION,
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        fingerprint=fingerprint(report.machine),
        versions=versions(report),
        devices=tuple(devices),
    )
    warnings = (*warnings, *watch.warnings())
    return Session(rates, found, calibration, warnings, time.monotonic() - started)


def planned(target: Target, report: ProbeReport) -> tuple[Trial, ...]:
    """Return what is timed on a device, the most needed first: large models where it is fast."""
    if target.llama_name is None:
        sweep = thread_counts(target.threads)
        return trials(threads=target.threads, sweep=sweep, cache_bytes=cache_bytes(report))
    machine = report.machine
    device = next(device for device in machine.devices if device.id == target.device)
    peak = device.bandwidth_bytes_per_s
    large: tuple[Trial, ...] = ()
    if peak is not None and is_fast(peak):
        pool = machine.pool(device.pool)
        large = fast_trials(peak, Room(_free_disk_bytes(), pool.free_bytes))
    return large or trials(
        threads=target.threads, cache_bytes=_ACCELERATOR_CACHE_BYTES, on_accelerator=True
    )


def _free_disk_bytes() -> int | None:
    try:
        return shutil.disk_usage(tempfile.gettempdir()).free
    except OSError:
        return None


def _rates(report: ProbeReport) -> tuple[MachineRates | None, tuple[str, ...]]:
    pool = report.machine.host_pool
    total = buffer_bytes(
        cache_bytes=cache_bytes(report),
        free_bytes=None if pool is None else pool.free_bytes,
    )
    try:
        return measure_rates(total_bytes=total, cores=host_threads(report)), ()
    except ProbeError as error:
        return None, (str(error),)


def targets(report: ProbeReport, accelerators: Mapping[str, str]) -> tuple[Target, ...]:
    """Return what is measured: each accelerator that llama.cpp can use, then the processor."""
    threads = host_threads(report)
    devices = report.machine.devices
    found = [Target(d.id, d.name, accelerators[d.id], 1) for d in devices if d.id in accelerators]
    host = report.machine.host
    if host is not None:
        found.append(Target(host.id, host.name, None, threads))
    return tuple(found)


def host_threads(report: ProbeReport) -> int:
    """Return how many threads llama.cpp would compute with: one a core that may be used."""
    cores = _count(report, "cpu.performance_cores") or _count(report, "cpu.physical_cores")
    usable = _count(report, "cpu.usable_cores") or _count(report, "cpu.logical_cores")
    return min((count for count in (cores, usable) if count), default=1)


def cache_bytes(report: ProbeReport) -> int | None:
    """Return the bytes of the last-level cache, of all sockets; None when unknown."""
    return _count(report, "cpu.l3_total_bytes") or _count(report, "cpu.l3_bytes")


def versions(report: ProbeReport) -> tuple[tuple[str, str], ...]:
    """Return names and versions of what measured, drivers among them."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - for this only

    found = [("whatfits", VERSION)]
    for package in _PACKAGES:
        try:
            found.append((package, version(package)))
        except PackageNotFoundError:
            continue
    drivers = [item for item in report.evidence if item.key.endswith(_DRIVER) and item.value]
    return (*found, *((item.key, str(item.value)) for item in drivers))


def _count(report: ProbeReport, key: str) -> int | None:
    value = next((item.value for item in report.evidence if item.key == key), None)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
