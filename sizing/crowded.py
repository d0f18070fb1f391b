"""Accelerators without room for what a driver takes there before any layer comes.

llama.cpp opens every device that it is not told to leave alone, and each loses that part. Layers
cannot be shared out so that a full one holds it: the device has to be left out by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from whatfits.sizing.overhead import overhead_of
from whatfits.sizing.placement import usable_accelerators
from whatfits.sizing.units import format_bytes
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from whatfits.sizing.machine import Device, Machine
    from whatfits.sizing.trial import Trial
    from whatfits.sizing.workload import PlacementRequest

__all__ = ["beside_crowded", "crowded_notes"]


def beside_crowded(
    request: PlacementRequest, machine: Machine, *, is_server: bool
) -> PlacementRequest:
    """Return a request for the accelerators with room, where it names none and some have none.

    As it is where all are as full, or where it says by itself what lies on which.
    """
    says_where = request.devices is not None or request.tensor_split is not None
    if says_where or request.overrides or request.split_mode not in (None, "layer"):
        return request
    usable = usable_accelerators(machine)
    roomy = tuple(
        device.id for device in usable if not _is_crowded(device, machine, is_server=is_server)
    )
    return replace(request, devices=roomy) if 0 < len(roomy) < len(usable) else request


def crowded_notes(asked: PlacementRequest, trial: Trial, machine: Machine) -> tuple[str, ...]:
    """Return one sentence for each accelerator that a trial leaves out, unasked, as too full."""
    if asked.devices is not None or not trial.request.devices:
        return ()
    left_out = (
        device for device in usable_accelerators(machine) if device.id not in trial.request.devices
    )
    return tuple(
        f"{device.name} ({device.id}) is left out: "
        f"{format_bytes(machine.pool(device.pool).free_low_bytes or 0)} are free there, and its "
        "driver alone may take more."
        for device in left_out
    )


def _is_crowded(device: Device, machine: Machine, *, is_server: bool) -> bool:
    """Return whether a device has less free for sure than it may lose to driver and back end."""
    free_bytes = machine.pool(device.pool).free_low_bytes
    most = overhead_of(machine, device, is_server=is_server).high_bytes
    return free_bytes is not None and free_bytes < most
