"""Accelerators that take no part: without room for the driver's own, or unseen by a program.

llama.cpp opens every device that it is not told to leave alone, and each loses that part. Layers
cannot be shared out so that a full one holds it: the device has to be left out by name.
"""

from __future__ import annotations

from whatfits.sizing.overhead import overhead_of
from whatfits.sizing.placement import usable_accelerators
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import format_bytes
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from whatfits.sizing.machine import Device, Machine
    from whatfits.sizing.workload import PlacementRequest

__all__ = ["beside_crowded", "crowded_notes", "of_one_slice", "slice_notes"]


def beside_crowded(request: PlacementRequest, machine: Machine) -> PlacementRequest:
    """Return a request for the accelerators with room, where it names none and some have none.

    As it is where all are as full, or where it says by itself what lies on which.
    """
    if _says_where(request):
        return request
    usable = usable_accelerators(machine)
    roomy = tuple(device.id for device in usable if not _is_crowded(device, machine))
    return replace(request, devices=roomy) if 0 < len(roomy) < len(usable) else request


def of_one_slice(request: PlacementRequest, machine: Machine) -> PlacementRequest:
    """Return a request for the roomiest slice, where cards are cut up (MIG) and it names none.

    A process of CUDA sees no more of them, whichever program it runs.
    """
    usable = usable_accelerators(machine)
    if _says_where(request) or not any(device.is_slice for device in usable):
        return request
    free_bytes = {d.id: machine.pool(d.pool).free_low_bytes or 0 for d in usable}
    return replace(request, devices=(max(free_bytes, key=free_bytes.__getitem__),))


def _says_where(request: PlacementRequest) -> bool:
    """Return whether a request says by itself what lies on which accelerator."""
    named = request.devices is not None or request.tensor_split is not None
    return named or bool(request.overrides) or request.split_mode not in (None, "layer")


def crowded_notes(
    asked: PlacementRequest, kept: Collection[str] | None, machine: Machine
) -> tuple[str, ...]:
    """Return one sentence for each accelerator that is left out, unasked, as too full.

    `kept` are the ids of the others; none where nothing was left out.
    """
    if asked.devices is not None or not kept:
        return ()
    left_out = (
        device
        for device in usable_accelerators(machine)
        if device.id not in kept and _is_crowded(device, machine)
    )
    return tuple(
        f"{device.name} ({device.id}) is left out: "
        f"{format_bytes(machine.pool(device.pool).free_low_bytes or 0)} are free there, and its "
        "driver alone may take more."
        for device in left_out
    )


def slice_notes(devices: Iterable[Device]) -> tuple[str, ...]:
    """Return how a program comes to the slices of cards among its devices."""
    return tuple(
        "A program sees one slice of a card: set CUDA_VISIBLE_DEVICES to the UUID of "
        f"{device.name} ({device.id}), as nvidia-smi -L lists it."
        for device in devices
        if device.is_slice
    )


def _is_crowded(device: Device, machine: Machine) -> bool:
    """Return whether an accelerator has less free for sure than driver and back end may take."""
    free_bytes = machine.pool(device.pool).free_low_bytes
    # a server's more is the host's, not the accelerator's
    most_bytes = overhead_of(machine, device, is_server=True).high_bytes
    return free_bytes is not None and free_bytes < most_bytes
