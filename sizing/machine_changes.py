"""A machine as it would be: after a restart, or with more memory kept back."""

from __future__ import annotations

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.reserve import idle_ram_reserve_bytes, idle_unified_reserve_bytes
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import MIB, parse_bytes
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from whatfits.sizing.machine import Machine

__all__ = ["idle_machine", "with_reserves"]


def idle_machine(machine: Machine) -> Machine:
    """Return the machine as after a restart: nothing held by other programs."""
    pools = []
    for pool in machine.pools:
        changes: dict[str, Any] = {"used_bytes": 0}
        if pool.kind == "ram" or pool.limit_scope == "accelerators":
            changes["reserve_bytes"] = idle_ram_reserve_bytes(machine.os)
        elif pool.kind == "unified" and pool.total_bytes is not None:
            changes["reserve_bytes"] = idle_unified_reserve_bytes(
                os=machine.os, total_bytes=pool.total_bytes, limit_bytes=pool.limit_bytes
            )
        pools.append(replace(pool, **changes))
    return replace(machine, pools=tuple(pools))


def with_reserves(machine: Machine, texts: Sequence[str]) -> Machine:
    """Return the machine with so much kept free: `SIZE` of the host's pool, or `POOL=SIZE`.

    Raises:
        InvalidRequestError: no such pool, one of unknown size, or no size.
    """
    host = machine.host_pool
    by_id = {pool.id: pool for pool in machine.pools}
    for text in texts:
        name, equals, size = text.rpartition("=")
        pool_id = name if equals else (host.id if host else "")
        if pool_id not in by_id:
            raise InvalidRequestError(
                what="pool of --reserve", got=pool_id, allowed=", ".join(by_id) or "no pool known"
            )
        if by_id[pool_id].total_bytes is None:
            raise InvalidRequestError(
                what="pool of --reserve",
                got=pool_id,
                allowed="one whose size is known",
                next_step="name the machine with --machine",
            )
        by_id[pool_id] = replace(by_id[pool_id], reserve_bytes=_reserve_bytes(size))
    return replace(machine, pools=tuple(by_id.values()))


def _reserve_bytes(text: str) -> int:
    n_bytes = parse_bytes(text)
    if 0 < n_bytes < MIB:  # `24`: of what?
        raise InvalidRequestError(
            what="size to keep free",
            got=text,
            allowed="0, or 1 MiB and more with its unit, as 2GiB",
        )
    return n_bytes
