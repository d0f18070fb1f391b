"""What of a machine was filled from memory and not re-read at a source: it is said."""

from __future__ import annotations

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.machine import Machine

__all__ = ["unverified_notes"]

_UNVERIFIED_MARK: Final = "unverified-"


def unverified_notes(machine: Machine) -> tuple[str, ...]:
    """Return one sentence for each device with values that nobody re-read at a source."""
    said: dict[str, str] = {}
    for device in machine.devices:
        marks = [f for f in device.features if f.startswith(_UNVERIFIED_MARK)]
        if marks:
            named = ", ".join(mark.removeprefix(_UNVERIFIED_MARK) for mark in marks)
            said[device.name] = f"Unverified of {device.name}, not read at a source: {named}."
    return tuple(said.values())
