"""What was measured on this machine, kept between runs: read by every answer, written by `bench`.

One JSON file in the user's data folder, replaced whole so that no reader ever sees half of it. A
file that cannot be understood is set aside under another name and named to the caller, never lost.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from whatfits.sizing.machine import MeasuredOverhead
from whatfits.sizing.units import MIB

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from whatfits.sizing.machine import Machine

__all__ = ["LoadRecord", "Store", "default_path", "fingerprint", "with_measured_overheads"]

VERSION: Final = 1
_MAX_RECORDS: Final = 500
_MAX_BYTES: Final = 4 << 20
_ENOUGH_LOADS: Final = 3
_LEAST_SPREAD_BYTES: Final = 8 * MIB  # loads of one model differ by pages and thread stacks


@dataclass(frozen=True, slots=True)
class LoadRecord:
    """One real load, and how far the prediction was off.

    Attributes:
        when: date and time, ISO 8601.
        machine: fingerprint of the machine it ran on.
        reference: what loaded it, with its version.
        model: name of the model.
        architecture: GGUF architecture.
        file_type: quantisation.
        device: device id, or the host's.
        device_kind: back end family.
        predicted_bytes: weights, cache and output (and compute, on an accelerator) as predicted.
        measured_bytes: what was gone from the device, or what the process grew by.
    """

    when: str
    machine: str
    reference: str
    model: str
    architecture: str
    file_type: str | None
    device: str
    device_kind: str
    predicted_bytes: int
    measured_bytes: int

    @property
    def overhead_bytes(self) -> int:
        """What was held beside the predicted buffers."""
        return self.measured_bytes - self.predicted_bytes


def default_path() -> Path:
    """Return where the file lies."""
    import platformdirs  # noqa: PLC0415 - not on the cold path of other answers

    return platformdirs.user_data_path("whatfits") / "measurements.json"


class Store:
    """The file of measurements.

    Attributes:
        set_aside: where a file that could not be understood was moved; None when all is well.
    """

    def __init__(self, path: Path) -> None:
        """Open nothing yet."""
        self._path = path
        self.set_aside: Path | None = None

    def loads(self, *, machine: str) -> tuple[LoadRecord, ...]:
        """Return the loads of one machine, oldest first; empty when there is no file."""
        return tuple(record for record in self._read() if record.machine == machine)

    def add(self, records: Sequence[LoadRecord]) -> None:
        """Add records; the oldest go when there are too many.

        Raises:
            OSError: the file cannot be written; what was there stays as it was.
        """
        kept = (*self._read(), *records)[-_MAX_RECORDS:]
        text = json.dumps({"version": VERSION, "loads": [asdict(record) for record in kept]})
        self._path.parent.mkdir(parents=True, exist_ok=True)
        half = self._path.with_name(f"{self._path.name}.{os.getpid()}.half")
        try:
            with half.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            half.replace(self._path)
        finally:
            with contextlib.suppress(OSError):
                half.unlink(missing_ok=True)

    def _read(self) -> tuple[LoadRecord, ...]:
        try:
            with self._path.open("rb") as file:
                data = file.read(_MAX_BYTES + 1)
        except OSError:
            return ()
        try:
            return _parsed(data)
        except (ValueError, TypeError, KeyError, RecursionError):
            self._put_aside()
            return ()

    def _put_aside(self) -> None:
        aside = self._path.with_suffix(".broken.json")
        with contextlib.suppress(OSError):
            self._path.replace(aside)
            self.set_aside = aside


def _parsed(data: bytes) -> tuple[LoadRecord, ...]:
    if len(data) > _MAX_BYTES:
        raise ValueError("too large")
    document: Any = json.loads(data)
    if document["version"] != VERSION:
        raise ValueError("written by another version")
    records = tuple(LoadRecord(**row) for row in document["loads"])
    if not all(isinstance(r.predicted_bytes, int) for r in records):
        raise TypeError("bytes are whole numbers")
    if not all(isinstance(r.measured_bytes, int) for r in records):
        raise TypeError("bytes are whole numbers")
    return records


def fingerprint(machine: Machine) -> str:
    """Return what tells this machine from others: its devices and the size of its pools."""
    import hashlib  # noqa: PLC0415 - where measurements are looked up

    parts = [f"{device.kind}:{device.name}" for device in machine.devices]
    # the OS may show a few MiB more or less of its RAM from boot to boot
    parts += [f"{pool.id}:{round((pool.total_bytes or 0) / 2**30)}" for pool in machine.pools]
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]


def with_measured_overheads(machine: Machine, records: Sequence[LoadRecord]) -> Machine:
    """Return the machine with what its own loads took beside the predicted buffers.

    A device counts from three loads on. The interval is theirs, widened on both sides by how far
    they lie apart (at least 8 MiB); below zero it is cut.
    """
    found = []
    for device in machine.devices:
        sizes = sorted(r.overhead_bytes for r in records if r.device == device.id)
        if len(sizes) < _ENOUGH_LOADS:
            continue
        spread = max(sizes[-1] - sizes[0], _LEAST_SPREAD_BYTES)
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
