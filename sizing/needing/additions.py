"""A machine with more in it than it has: cards behind its own, or RAM."""

from __future__ import annotations

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from whatfits.sizing.machine import Machine

__all__ = ["takes_cards", "takes_parts", "with_cards", "with_ram"]


def takes_parts(machine: Machine) -> bool:
    """Return whether cards and RAM can be put into a machine: not where all memory is one."""
    return machine.host_pool is not None and machine.host_pool.kind == "ram"


def takes_cards(machine: Machine) -> bool:
    """Return whether there may be a slot for a card: not in a laptop, known by its GPU's name."""
    return not any(
        "laptop" in device.features or "laptop" in device.name.casefold()
        for device in machine.accelerators
    )


def with_cards(machine: Machine, cards: Machine) -> Machine:
    """Return a machine with the accelerators of another one behind its own."""
    taken = {device.id for device in machine.devices}
    pools, devices = list(machine.pools), list(machine.accelerators)
    for number, device in enumerate(cards.accelerators, start=len(machine.accelerators)):
        pool = replace(cards.pool(device.pool), id=f"added{number}", reserve_bytes=0)
        device_id = next(
            name for n in range(len(taken) + 1) if (name := f"{device.kind}{n}") not in taken
        )
        taken.add(device_id)
        pools.append(pool)
        devices.append(replace(device, id=device_id, pool=pool.id))
    host = machine.host
    if host is None:
        raise InvalidRequestError(
            what="machine", got=machine.name, allowed="a machine with a device of kind 'cpu'"
        )
    return replace(machine, pools=tuple(pools), devices=(*devices, host))


def with_ram(machine: Machine, more_bytes: int) -> Machine:
    """Return a machine with so much more RAM; what is used of it stays."""
    host = machine.host_pool
    return replace(
        machine,
        pools=tuple(
            replace(
                pool,
                total_bytes=None if pool.total_bytes is None else pool.total_bytes + more_bytes,
                total_low_bytes=None
                if pool.total_low_bytes is None
                else pool.total_low_bytes + more_bytes,
            )
            if pool is host
            else pool
            for pool in machine.pools
        ),
    )
