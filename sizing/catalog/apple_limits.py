"""How much of a Mac's memory macOS lets the GPU use (`recommendedMaxWorkingSetSize`).

Two rules are seen on the same chips and sizes; the version of macOS decides. Up to macOS 14: two
thirds of the memory to 32 GiB, three quarters from 36 GiB. From macOS 26: the observed values
below. Between them lies the switch (a 16 GiB M4 on 15.6 still had the older rule).
`sudo sysctl iogpu.wired_limit_mb=N` sets exactly N MiB until the next start.

Source: start-up logs of llama.cpp, MLX and ds4 in public issues and benchmark tables, read
2026-11-22; 128 GiB: antirez/ds4 pull 893.
"""

from __future__ import annotations

from whatfits.sizing.model import ByteRange
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import GIB, MIB

if TYPE_CHECKING:
    from typing import Final

__all__ = ["gpu_limit"]

_LAST_OLDER_VERSION: Final = 14
_FIRST_NEWER_VERSION: Final = 26
_LAST_SIZE_OF_TWO_THIRDS: Final = 32 * GIB
_NEWER_LIMIT_MIB: Final = {
    16: 12_124,
    24: 18_186,
    32: 25_559,
    36: 28_754,
    48: 38_339,
    64: 53_084,
    128: 110_100,
    256: 212_992,
    512: 475_136,
}


def gpu_limit(total_bytes: int, *, os_version: str | None) -> ByteRange:
    """Return the GPU's limit on a Mac with so much memory, in bytes.

    The interval has no width where the version decides and the size was observed. `mid_bytes` is
    the newer rule whenever that may hold, `low_bytes` the older one.
    """
    older = _older(total_bytes)
    major = _major(os_version)
    if major is not None and major <= _LAST_OLDER_VERSION:
        return ByteRange(older, older, older, f"macOS {major}: {_older_rule(total_bytes)}")
    low, mid, high, how = _newer(total_bytes)
    if major is not None and major >= _FIRST_NEWER_VERSION:
        return ByteRange(low, mid, high, f"macOS {major}: {how}")
    known = "version unknown" if major is None else f"version {major}"
    return ByteRange(
        min(older, low),
        mid,
        high,
        f"macOS, {known}: {_older_rule(total_bytes)} on older systems; newer ones: {how}",
    )


def _older(total_bytes: int) -> int:
    if total_bytes <= _LAST_SIZE_OF_TWO_THIRDS:
        return total_bytes * 2 // 3
    return total_bytes * 3 // 4


def _older_rule(total_bytes: int) -> str:
    share = "two thirds" if total_bytes <= _LAST_SIZE_OF_TWO_THIRDS else "three quarters"
    return f"{share} of the memory"


def _newer(total_bytes: int) -> tuple[int, int, int, str]:
    """Return (low, mid, high, how it is known) under the newer rule."""
    size_gib, rest = divmod(total_bytes, GIB)
    observed = _NEWER_LIMIT_MIB.get(size_gib)
    if observed is not None and not rest:
        limit = observed * MIB
        return limit, limit, limit, f"observed for {size_gib} GiB"
    below = [size for size in _NEWER_LIMIT_MIB if size * GIB < total_bytes]
    above = [size for size in _NEWER_LIMIT_MIB if size * GIB > total_bytes]
    near = [sizes[end] for sizes, end in ((below, -1), (above, 0)) if sizes]
    limits = sorted(total_bytes * _NEWER_LIMIT_MIB[size] * MIB // (size * GIB) for size in near)
    older = _older(total_bytes)
    # Beyond the observed sizes nothing holds from both sides: the older rule is the likely value.
    mid = limits[0] if below and above else older
    how = f"derived from {' and '.join(f'{size} GiB' for size in near)}, not observed"
    return min(older, limits[0]), mid, max(limits[-1], mid), how


def _major(os_version: str | None) -> int | None:
    words = (os_version or "").casefold().removeprefix("macos").strip().split(".")
    return int(words[0]) if words[0].isdecimal() else None
