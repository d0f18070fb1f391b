"""How much of a Mac's memory its GPU may take, and what raises it: for command line and page."""

from __future__ import annotations

from whatfits.sizing.reserve import raise_limit_command, raised_limit_bytes
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import format_bytes
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from whatfits.sizing.machine import Machine

__all__ = ["MacLimit", "mac_limit"]


@dataclass(frozen=True, slots=True)
class MacLimit:
    """A Mac's two limits in words, and the command that moves the lower one.

    Attributes:
        sentence: what the GPU may take of what is installed.
        command: what raises it until the next start; None where that would not be more.
    """

    sentence: str
    command: str | None


def mac_limit(machine: Machine) -> MacLimit | None:
    """Return a Mac's limit; None for other machines, and where it is not known."""
    pool = next((pool for pool in machine.pools if pool.kind == "unified"), None)
    if machine.os != "macos" or pool is None or not pool.total_bytes or not pool.limit_bytes:
        return None
    low = pool.allowance_low_bytes or pool.limit_bytes
    least = "" if low == pool.limit_bytes else f"{format_bytes(low)} to "
    sentence = (
        f"CPU and GPU share {format_bytes(pool.total_bytes)}; "
        f"macOS lets the GPU take {least}{format_bytes(pool.limit_bytes)} of it."
    )
    raised = raised_limit_bytes(pool.total_bytes)
    if raised <= pool.limit_bytes:
        return MacLimit(sentence, None)
    more = f" This raises it to {format_bytes(raised)} until the next restart:"
    return MacLimit(sentence + more, raise_limit_command(raised))
