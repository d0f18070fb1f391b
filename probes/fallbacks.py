"""Slow or heavy ways to know RAM and processor, for systems without files or registry of their own.

Called in a process that can be abandoned, and only where everything else said nothing.
"""

from __future__ import annotations

import contextlib
import json

from whatfits.probes.system import MAX_TEXT_BYTES
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from whatfits.sizing.sources.kept_file import KeptFile

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
    """Return brand and features as py-cpuinfo gives them, from a cache after the first time.

    One that cannot be understood is set aside; `damaged_cache` then says what became of it.
    """
    from whatfits.sizing.sources.kept_file import KeptFile  # noqa: PLC0415 - as above

    cache = KeptFile(_cache_file(), most_bytes=MAX_TEXT_BYTES)
    damaged = {}
    try:
        data = cache.read()
        if data is not None and (kept := _understood(data))["brand"]:
            return kept
    except OSError:
        pass  # as if there were none
    except (ValueError, RecursionError):
        damaged["damaged_cache"] = cache.put_aside_or_leave()
    import cpuinfo  # noqa: PLC0415 - starts ten programs: last resort

    told = cpuinfo.get_cpu_info()
    known = {"brand": told.get("brand_raw"), "features": list(told.get("flags", ()))}
    _write(cache, known)
    return known | damaged


def _understood(data: bytes) -> dict[str, object]:
    """Return what was kept.

    Raises:
        ValueError: it is not what is written here.
    """
    kept: Any = json.loads(data) if len(data) <= MAX_TEXT_BYTES else None
    if not isinstance(kept, dict) or kept.keys() != {"brand", "features"}:
        raise ValueError("other fields")
    brand, features = kept["brand"], kept["features"]
    is_sound = isinstance(brand, str | None) and isinstance(features, list)
    if not is_sound or not all(isinstance(feature, str) for feature in features):
        raise ValueError("values of another kind")
    return {"brand": brand, "features": features}


def _cache_file() -> Path:
    import platformdirs  # noqa: PLC0415 - with the slow path only

    return platformdirs.user_cache_path("whatfits") / "cpu.json"


def _write(cache: KeptFile, answer: dict[str, object]) -> None:
    """Write whole or not at all; a cache that cannot be written is no failure."""
    with contextlib.suppress(OSError), cache.only_writer():
        cache.replace(json.dumps(answer))
