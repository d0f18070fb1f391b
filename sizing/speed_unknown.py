"""System memory whose speed nobody told: a usual one stands in, with how far off it may be."""

from __future__ import annotations

from math import exp, log
from typing import TYPE_CHECKING, Final

from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.units import GB, GIB

if TYPE_CHECKING:
    from whatfits.sizing.machine import Device, Machine

__all__ = ["PC_MEMORY", "AssumedMemory", "assumed_memory"]

# A PC has two channels, which take four modules of at most 64 GiB.
_MOST_OF_A_PC_BYTES: Final = 256 * GIB


class AssumedMemory(NamedTuple):
    """A bandwidth, and the logarithm of the factor by which the true one may differ."""

    bytes_per_s: float
    spread: float

    @property
    def words(self) -> str:
        """What was assumed."""
        peak, factor = self.bytes_per_s / GB, exp(self.spread)
        return (
            f"the speed of the system memory is not known: {peak / factor:.0f} to "
            f"{peak * factor:.0f} GB/s were assumed"
        )


PC_MEMORY: Final = AssumedMemory(76.8e9, log(1.5))
"""Two channels of DDR5-4800; with DDR4-3200 or DDR5-7200 it is a third less or half more."""

# Eight channels of DDR4-3200; four of DDR4-2133 have a third of it, twelve of DDR5-6400 three
# times as much.
_SERVER_MEMORY: Final = AssumedMemory(204.8e9, log(3.0))


def assumed_memory(device: Device, machine: Machine | None) -> AssumedMemory:
    """Return what stands in for a CPU's memory: a server's where a PC takes less."""
    pools = () if machine is None else machine.pools  # of a fleet it may be another node's
    total = next((pool.total_bytes for pool in pools if pool.id == device.pool), None)
    is_server = total is not None and total > _MOST_OF_A_PC_BYTES
    return _SERVER_MEMORY if is_server else PC_MEMORY
