"""The calibration of this machine, kept between runs: written by `bench`, read by every answer.

One JSON file in the user's data folder (`kept_rows`) holds the newest calibration of each machine
that shares the folder, by fingerprint. It is parsed by hand: an answer may not wait for a library.
"""

from __future__ import annotations

from whatfits.probes.kept_paths import CALIBRATION, kept_path
from whatfits.probes.kept_rows import KeptRows
from whatfits.sizing.calibration import (
    Calibration,
    DeviceCalibration,
    MeasuredDecode,
    MeasuredPrefill,
    calibration_fault,
)
from whatfits.sizing.errors import printable
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any, Final

    from whatfits.sizing.machine import Machine

__all__ = [
    "CalibrationStore",
    "default_calibration_path",
    "with_calibration",
]

_MOST_MACHINES: Final = 16
_MOST_BYTES: Final = 1 << 20
_RATES: Final = (
    "read_bytes_per_s",
    "cpu_share",
    "matrix_flops_per_s",
    "layer_seconds",
    "token_seconds",
    "cache_bytes_per_s",
    "attention_flops_per_s",
)
# older files are without
_LATER_RATES: Final = (
    "activation_bytes_per_s",
    "decode_attention_flops_per_s",
    "prompt_layer_seconds",
)


def default_calibration_path() -> Path:
    """Return where the file lies."""
    return kept_path(CALIBRATION)


def with_calibration(machine: Machine, path: Path) -> Machine:
    """Return the machine with its calibration; one of another machine is not looked at."""
    from whatfits.probes.measurements import fingerprint  # noqa: PLC0415 - where there is a file

    found = CalibrationStore(path).calibration(fingerprint(machine))
    if found is None or calibration_fault(found, {device.id for device in machine.devices}):
        return machine
    return replace(machine, calibration=found)


class CalibrationStore(KeptRows[Calibration]):
    """The file of calibrations.

    Attributes:
        others: machines that the file has a calibration of beside the one that was asked for.
    """

    def __init__(self, path: Path) -> None:
        """Open nothing yet."""
        super().__init__(path, key="machines", most_bytes=_MOST_BYTES, parse=_calibration)
        self.others = 0

    def calibration(self, machine: str) -> Calibration | None:
        """Return the calibration of the machine with that fingerprint; None when there is none.

        A reader moves nothing: `unreadable` says what is wrong with the file.
        """
        known = self.known()
        self.others = sum(one.fingerprint != machine for one in known)
        return next((one for one in known if one.fingerprint == machine), None)

    def keep(self, calibration: Calibration) -> None:
        """Keep a calibration in place of an older one of its machine.

        Raises:
            OSError: the file cannot be read or written; what was there stays as it was.
        """

        def changed(known: tuple[Calibration, ...]) -> list[Calibration]:
            others = [one for one in known if one.fingerprint != calibration.fingerprint]
            return [*others, calibration][-_MOST_MACHINES:]

        self.change(changed)


def _calibration(row: object) -> Calibration:
    row = _object(row)
    found = Calibration(
        schema_version=_text(row["schema_version"]),
        measured_at=_text(row["measured_at"]),
        fingerprint=_text(row["fingerprint"]),
        versions=tuple(_pair(pair) for pair in _list(row["versions"])),
        devices=tuple(_device(device) for device in _rows(row["devices"])),
    )
    fault = calibration_fault(found, {device.device for device in found.devices})
    if fault is not None:
        raise ValueError(f"{fault.what} is {fault.got}")
    return found


def _device(row: dict[str, Any]) -> DeviceCalibration:
    rates: dict[str, Any] = {name: _optional(row[name], _number) for name in _RATES}
    rates |= {name: _optional(row.get(name), _number) for name in _LATER_RATES}
    return DeviceCalibration(
        device=_text(row["device"]),
        name=_text(row["name"]),
        read_threads=_optional(row["read_threads"], _count),
        decode=tuple(
            MeasuredDecode(
                _text(r["quant_kind"]),
                _number(r["bytes_per_s"]),
                _number(r["spread"]),
                _optional(r.get("type_name"), _text),
                _optional(r.get("row_seconds"), _number),
            )
            for r in _rows(row["decode"])
        ),
        prefill=tuple(
            MeasuredPrefill(
                _text(r["quant_kind"]),
                _number(r["flops_per_s"]),
                _number(r["spread"]),
                _optional(r.get("type_name"), _text),
            )
            for r in _rows(row["prefill"])
        ),
        warnings=tuple(_text(warning) for warning in _list(row["warnings"])),
        **rates,
    )


def _optional(value: object, parse: Callable[[object], Any]) -> Any:  # noqa: ANN401 - what `parse` gives
    return None if value is None else parse(value)


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("a list is missing")
    return value


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("an object is missing")
    return value


def _rows(value: object) -> list[dict[str, Any]]:
    return [_object(row) for row in _list(value)]


def _pair(value: object) -> tuple[str, str]:
    name, version = _list(value)
    return _text(name), _text(version)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{printable(value)} is no text")
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{printable(value)} is no number")
    return float(value)


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{printable(value)} is no whole number")
    return value
