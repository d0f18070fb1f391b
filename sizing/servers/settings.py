"""The settings that a server runs with, put together from all that is known of them."""

from __future__ import annotations

from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import field_names, replace

if TYPE_CHECKING:
    from typing import Any, TypeVar

    from whatfits.sizing.machine import Machine
    from whatfits.sizing.workload import PlacementRequest, Workload

    _T = TypeVar("_T", Workload, PlacementRequest)

__all__ = ["completed", "filled", "is_llama_server", "machine_before"]


def is_llama_server(command: tuple[str, ...]) -> bool:
    """Return whether a command line is llama-server's."""
    program = command[0].replace("\\", "/").rpartition("/")[2] if command else ""
    return program.removesuffix(".exe") == "llama-server"


def filled(base: _T, over: _T) -> _T:
    """Return `base` with every field of `over` that is not left at its default."""
    kind: Any = type(over)
    unset = kind()
    changed = {
        name: getattr(over, name)
        for name in field_names(over) or ()
        if getattr(over, name) != getattr(unset, name)
    }
    return replace(base, **changed)


def completed(workload: Workload, slot_tokens: int | None, slots: int | None) -> Workload:
    """Return the workload with what only the server tells: the cache is that of all its slots.

    Slots that nobody asked for share one cache: that is llama-server's own choice of them.
    """
    unified = workload.kv_unified
    if unified is None and workload.parallel is None and (slots or 1) > 1:
        unified = True
    n_slots = workload.parallel or slots
    context = workload.context_tokens
    if context is None and slot_tokens is not None:
        context = slot_tokens if unified else slot_tokens * (n_slots or 1)
    return replace(workload, context_tokens=context, parallel=n_slots, kv_unified=unified)


def machine_before(machine: Machine, *, host_bytes: int, accelerator_bytes: int) -> Machine:
    """Return the machine as it was before the server took its memory.

    With one pool of accelerators what it took is given back there; with several it is not told
    how much came of which, and they count as free.
    """
    pools = {device.pool for device in machine.accelerators}
    host = machine.host_pool
    changed = []
    for pool in machine.pools:
        used = pool.used_bytes
        if used is not None and pool.id in pools:
            used = 0 if len(pools) > 1 else max(0, used - accelerator_bytes)
        if used is not None and host is not None and pool.id == host.id:
            used = max(0, used - host_bytes)
        changed.append(replace(pool, used_bytes=used))
    return replace(machine, pools=tuple(changed))
