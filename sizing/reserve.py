"""Memory kept free on purpose, for the operating system and the desktop.

These are whatfits' own choices, not measurements: they are shown with every answer and can be
changed with `--reserve`. A live machine counts what is in use already, so it keeps little more.
"""

from __future__ import annotations

from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import GIB, MIB

if TYPE_CHECKING:
    from typing import Final

__all__ = [
    "LIVE_RAM_RESERVE_BYTES",
    "desktop_vram_reserve_bytes",
    "idle_ram_reserve_bytes",
    "idle_unified_reserve_bytes",
    "raised_limit_bytes",
]

LIVE_RAM_RESERVE_BYTES: Final = 512 * MIB
"""Kept when the memory others hold has been read: room for the OS to breathe."""

_IDLE_RAM_RESERVE_BYTES: Final = {"linux": 2 * GIB, "windows": 4 * GIB, "macos": 3 * GIB}
_DESKTOP_VRAM_RESERVE_BYTES: Final = 512 * MIB
_KEPT_UNIFIED: Final = ((24 * GIB, 4 * GIB), (48 * GIB, 6 * GIB))  # (memory up to, kept free)


def idle_ram_reserve_bytes(os: str | None) -> int:
    """Return what an OS with a desktop keeps of the RAM after a restart (unknown OS: Linux)."""
    return _IDLE_RAM_RESERVE_BYTES.get(os or "linux", _IDLE_RAM_RESERVE_BYTES["linux"])


def idle_unified_reserve_bytes(*, os: str | None, total_bytes: int, limit_bytes: int | None) -> int:
    """Return what must be kept of a GPU limit so that the OS still has its share of the total.

    A GPU limit leaves `total - limit` to everything else; only what the OS needs beyond that is
    taken from the limit.
    """
    left_to_others = 0 if limit_bytes is None else max(0, total_bytes - limit_bytes)
    return max(0, idle_ram_reserve_bytes(os) - left_to_others)


def desktop_vram_reserve_bytes(*, headless: bool) -> int:
    """Return what a desktop keeps of the card that drives it: 0 on a headless card.

    Public logs show a desktop holding 0.5-1.7 GiB; the lower end is kept, the rest shows up as
    memory in use once the machine is read.
    """
    return 0 if headless else _DESKTOP_VRAM_RESERVE_BYTES


def raised_limit_bytes(total_bytes: int) -> int:
    """Return a GPU limit that leaves macOS and its programs room: ours, not Apple's.

    4 GiB up to 24 GiB of memory, 6 GiB up to 48, 8 GiB above.
    """
    keep = next((keep for up_to, keep in _KEPT_UNIFIED if total_bytes <= up_to), 8 * GIB)
    return max(total_bytes // 2, total_bytes - keep)


def raise_limit_command(limit_bytes: int) -> str:
    """Return what raises a Mac's GPU limit until the next start."""
    return f"sudo sysctl iogpu.wired_limit_mb={limit_bytes // MIB}"
