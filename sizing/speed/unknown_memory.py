"""System memory whose speed nobody told: a usual one stands in, with how far off it may be."""

from __future__ import annotations

from math import exp, inf, log

from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import GB, GIB

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.machine import Device, Machine

__all__ = ["PC_MEMORY", "AssumedMemory", "assumed_memory"]

# A PC has two channels, which take four modules of at most 64 GiB.
_MOST_OF_A_PC_BYTES: Final = 256 * GIB


class AssumedMemory(NamedTuple):
    """A bandwidth, and the logarithm of the factor by which the true one may differ.

    `is_shared` where another device's bandwidth of the same memory is known: no processor reads
    faster than that.
    """

    bytes_per_s: float
    spread: float
    is_shared: bool = False

    @property
    def words(self) -> str:
        """What was assumed."""
        peak, factor = self.bytes_per_s / GB, exp(self.spread)
        what = "the system memory"
        if self.is_shared:
            what = f"the processor, out of memory that gives the GPU {peak * factor:.0f} GB/s,"
        return (
            f"the speed of {what} is not known: {peak / factor:.0f} to "
            f"{peak * factor:.0f} GB/s were assumed"
        )

    @property
    def room(self) -> float:
        """How many times faster than assumed it can be at the very most; infinite if not known."""
        return exp(self.spread) if self.is_shared else inf


PC_MEMORY: Final = AssumedMemory(76.8e9, log(1.5))
"""Two channels of DDR5-4800; with DDR4-3200 or DDR5-7200 it is a third less or half more."""

# Eight channels of DDR4-3200; four of DDR4-2133 have a third of it, twelve of DDR5-6400 three
# times as much.
_SERVER_MEMORY: Final = AssumedMemory(204.8e9, log(3.0))


# A processor beside a GPU that reads the same memory: of large chips it gets a part alone, of small
# ones nearly all (AnandTech, Apple's M1 Pro, M1 Max SoCs Investigated, 2021-10-25, page 2). That it
# is from 4/9 to all is a choice; no figure that bounds it was read.
_SHARE_OF_SHARED: Final = 1 / 1.5


def assumed_memory(device: Device, machine: Machine | None) -> AssumedMemory:
    """Return what stands in for a CPU's memory: a server's where a PC takes less.

    Where a GPU's bandwidth of the same memory is known, it is a part of that.
    """
    beside = () if machine is None else machine.devices
    shared = [one.bandwidth_bytes_per_s or 0 for one in beside if one.pool == device.pool]
    if any(shared):
        return AssumedMemory(_SHARE_OF_SHARED * max(shared), -log(_SHARE_OF_SHARED), True)
    pools = () if machine is None else machine.pools  # of a fleet it may be another node's
    total = next((pool.total_bytes for pool in pools if pool.id == device.pool), None)
    is_server = total is not None and total > _MOST_OF_A_PC_BYTES
    return _SERVER_MEMORY if is_server else PC_MEMORY
