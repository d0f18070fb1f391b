"""The room that a placement leaves in each pool: exact where it was tried, rough before that."""

from __future__ import annotations

from whatfits.sizing.placement import usable_accelerators
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.verdict import pool_needs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from whatfits.sizing.machine import Machine, Pool
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.runtimes.llama_cpp import Bill
    from whatfits.sizing.search.trial import Trial

__all__ = ["least_room", "room_of_all", "room_on_accelerators", "rooms_of", "rough_rooms"]


def room_of_all(machine: Machine) -> int | None:
    """Return what all pools have free together by the lower end; None when one is not known."""
    return _together(pool.whole.free_low_bytes for pool in machine.pools)


def room_on_accelerators(machine: Machine) -> int | None:
    """Return the same of the pools that accelerators fill."""
    usable = {device.pool for device in usable_accelerators(machine)}
    return _together(pool.free_low_bytes for pool in machine.pools if pool.id in usable)


def _together(rooms: Iterable[int | None]) -> int | None:
    total = 0
    for room in rooms:
        if room is None:
            return None
        total += room
    return total


def rooms_of(trial: Trial, machine: Machine) -> list[tuple[Pool, int]]:
    """Return the room left in each pool in bytes; pools of unknown size count as full.

    A pool whose limit binds accelerators alone comes twice: for them, and whole.
    """
    return [
        (need.pool, -1 if need.spare_low_bytes is None else need.spare_low_bytes)
        for need in pool_needs(trial.memory, machine)
    ]


def least_room(trial: Trial, machine: Machine, *, host_too: bool = True) -> int:
    """Return the room left in the fullest pool in bytes, negative when one overflows."""
    host_pool = trial.placement.host.pool
    return min(
        room
        for pool, room in rooms_of(trial, machine)
        if host_too or pool.id != host_pool or pool.limit_scope == "accelerators"
    )


def rough_rooms(
    bill: Bill, machine: Machine, placement: Placement, *, like: Sequence[Trial]
) -> dict[str, int]:
    """Return the room in each accelerator's pool: weights and caches exact, the rest as tried.

    The rest, driver and working memory, is the least that a trial saw on each device.
    """
    rests: dict[str, int] = {}
    for trial in like:
        for row in trial.memory.devices:
            rest = row.high_bytes - row.weights_bytes - row.kv_cache_bytes
            rests[row.device] = min(rests.get(row.device, rest), rest)
    needs: dict[str, int] = {}
    *kept, _ = bill.weights_and_caches(like[-1].settings, placement)
    pools = {device.pool: machine.pool(device.pool) for device in placement.accelerators}
    for device, n_bytes in zip(placement.accelerators, kept, strict=True):
        needs[device.pool] = needs.get(device.pool, 0) + n_bytes + rests[device.id]
    return {
        pool: -1 if (free := pools[pool].free_low_bytes) is None else free - need
        for pool, need in needs.items()
        if pool != placement.host.pool or pools[pool].limit_scope == "accelerators"
    }
