"""What was measured on this machine, kept between runs: read by every answer, written by `bench`.

One JSON file in the user's data folder (`kept_rows`).
"""

from __future__ import annotations

from whatfits.probes.kept_paths import MEASUREMENTS, kept_path
from whatfits.probes.kept_rows import KeptRows
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass, field_names

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any, Final

    from whatfits.sizing.machine import Machine

__all__ = ["LoadRecord", "MeasurementStore", "default_measurements_path", "fingerprint"]

_MAX_RECORDS: Final = 500
_MAX_BYTES: Final = 4 << 20
_LARGEST: Final = 2**63 - 1


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


def default_measurements_path() -> Path:
    """Return where the file lies."""
    return kept_path(MEASUREMENTS)


class MeasurementStore(KeptRows[LoadRecord]):
    """The file of measurements."""

    def __init__(self, path: Path) -> None:
        """Open nothing yet."""
        super().__init__(path, key="loads", most_bytes=_MAX_BYTES, parse=_record)

    def loads(self, *, machine: str) -> tuple[LoadRecord, ...]:
        """Return the loads of one machine, oldest first; empty when there is no file.

        A reader moves nothing: `unreadable` says what is wrong with the file.
        """
        return tuple(record for record in self.known() if record.machine == machine)

    def add(self, records: Sequence[LoadRecord]) -> None:
        """Add records; the oldest go when there are too many.

        Raises:
            OSError: the file cannot be read or written; what was there stays as it was.
        """
        self.change(lambda known: (*known, *records)[-_MAX_RECORDS:])


def _record(row: dict[str, Any]) -> LoadRecord:
    record = LoadRecord(**row)
    for name in field_names(record) or ():
        value = getattr(record, name)
        if name.endswith("_bytes"):
            if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _LARGEST:
                raise TypeError(f"{name} is no whole number of bytes")
        elif not isinstance(value, str) and not (name == "file_type" and value is None):
            raise TypeError(f"{name} is no text")
    return record


def fingerprint(machine: Machine) -> str:
    """Return what tells this machine from others: its devices and the size of its pools."""
    import hashlib  # noqa: PLC0415 - where measurements are looked up

    parts = [f"{device.kind}:{device.name}" for device in machine.devices]
    # the OS may show a few MiB more or less of its RAM from boot to boot
    parts += [f"{pool.id}:{round((pool.total_bytes or 0) / 2**30)}" for pool in machine.pools]
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]
