"""Memory of unknown size: what it leaves open, and how to tell it."""

from __future__ import annotations

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from whatfits.sizing.estimate import Verdict
    from whatfits.sizing.machine import Machine

__all__ = ["nothing_is_sized", "unsized_hint", "unsized_notes"]


def nothing_is_sized(machine: Machine) -> bool:
    """Return whether of no memory the size is known: what fits cannot be told at all."""
    return all(pool.total_bytes is None for pool in machine.pools)


def unsized_hint(machine: Machine) -> str:
    """Return which memory's size is not known, and how to tell it; empty where all is known."""
    names = [pool.id for pool in machine.pools if pool.total_bytes is None]
    if not names:
        return ""
    which = f"The size of {names[0]} is" if len(names) == 1 else f"Sizes of {', '.join(names)} are"
    return (
        f"{which} not known: name the machine with it, as 'rtx-4090 + 64gb' or "
        "'raspberry pi 5 8gb', or give total_bytes in its file."
    )


def unsized_notes(machine: Machine, verdict: Verdict) -> tuple[str, ...]:
    """Return the hint where a known size could change the answer."""
    hint = unsized_hint(machine) if verdict in ("unknown", "no") else ""
    return (hint,) if hint else ()
