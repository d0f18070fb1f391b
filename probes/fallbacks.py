"""Slow or heavy ways to know RAM and processor, for systems without files or registry of their own.

Called in a process that can be abandoned, and only where everything else said nothing.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

from whatfits.probes.system import MAX_TEXT_BYTES

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_cpuinfo", "read_psutil"]


def read_psutil() -> dict[str, object]:
    """Return RAM and core counts as psutil gives them; it knows no limits of containers."""
    import psutil  # noqa: PLC0415 - not on the default path of Linux, macOS or Windows

    memory = psutil.virtual_memory()
    return {
        "total_bytes": memory.total,
        "available_bytes": memory.available,
        "logical_cores": psutil.cpu_count(),
        "physical_cores": psutil.cpu_count(logical=False),
    }


def read_cpuinfo() -> dict[str, object]:
    """Return brand and features as py-cpuinfo gives them, from a cache after the first time."""
    cache = _cache_file()
    try:
        cached = json.loads(cache.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        cached = None
    if isinstance(cached, dict) and cached.get("brand"):
        return cached
    import cpuinfo  # noqa: PLC0415 - starts ten programs: last resort

    told = cpuinfo.get_cpu_info()
    answer = {"brand": told.get("brand_raw"), "features": list(told.get("flags", ()))}
    _write(cache, answer)
    return answer


def _cache_file() -> Path:
    import platformdirs  # noqa: PLC0415 - with the slow path only

    return platformdirs.user_cache_path("whatfits") / "cpu.json"


def _write(path: Path, answer: dict[str, object]) -> None:
    """Write whole or not at all; a cache that cannot be written is no failure."""
    from whatfits.probes.kept_file import KeptFile  # noqa: PLC0415 - with the slow path only

    kept = KeptFile(path, most_bytes=MAX_TEXT_BYTES)
    with contextlib.suppress(OSError), kept.only_writer():
        kept.replace(json.dumps(answer))
