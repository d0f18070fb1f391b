"""What this engine predicts for a request that llama.cpp is then asked for itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from whatfits.sizing.flash_attention import layers_can_fuse
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.overhead import overheads_of
from whatfits.sizing.placement import resolve_placement
from whatfits.sizing.runtimes.llama_cpp import Bill
from whatfits.sizing.settings import resolve_settings

if TYPE_CHECKING:
    from whatfits.sizing.estimate import Memory
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.overhead import Overhead
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.settings import Settings
    from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = ["Prepared", "prepare"]


class Prepared(NamedTuple):
    """A request, resolved, with what this engine predicts for it.

    Attributes:
        settings: as resolved.
        placement: where layers lie.
        memory: a row a device.
        overheads: of each device, which are in its row.
    """

    settings: Settings
    placement: Placement
    memory: Memory
    overheads: tuple[Overhead, ...]


def prepare(
    spec: ModelSpec, machine: Machine, workload: Workload, request: PlacementRequest
) -> Prepared:
    """Return the prediction for a request on a machine.

    Raises:
        InvalidRequestError: a value is out of range, or llama.cpp refuses the combination.
    """
    placement = resolve_placement(spec, request, machine)
    types = workload.kv_type_k, workload.kv_type_v
    fuses = layers_can_fuse(spec, placement, kv_types=types)
    settings = resolve_settings(spec, workload, flash_supported=fuses)
    memory = Bill(spec).memory(settings, placement, machine, is_server=False)
    overheads = overheads_of(spec, settings, placement, machine, is_server=False)
    return Prepared(settings, placement, memory, tuple(overheads))
