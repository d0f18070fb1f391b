"""GPUs that no model is placed on: it is said, and why."""

from __future__ import annotations

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from whatfits.sizing.machine import Machine

__all__ = ["left_out_notes"]


def left_out_notes(machine: Machine) -> tuple[str, ...]:
    """Return one sentence for each integrated GPU that computes out of the RAM.

    `usable_accelerators` leaves it out: it would take the memory that the CPU computes out of.
    """
    return tuple(
        dict.fromkeys(
            f"{device.name} is left out: it shares the RAM and adds no memory of its own, so that "
            "nothing is placed on it."
            for device in machine.accelerators
            if machine.pool(device.pool).kind == "ram" and device.is_usable
        )
    )
