"""Sizes and counts: the only place where text becomes bytes or bytes become text.

Bytes are integers everywhere inside. On screen memory is in GiB (2**30) and says so; bandwidth is
in GB/s (10**9), as datasheets give it.
"""

from __future__ import annotations

import math
import re

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

__all__ = [
    "GB",
    "GIB",
    "KIB",
    "MIB",
    "format_bytes",
    "format_count",
    "format_tokens",
    "pad",
    "parse_bytes",
    "parse_tokens",
    "size_text",
    "ungrouped",
]

KIB: Final = 2**10
MIB: Final = 2**20
GIB: Final = 2**30
_TIB: Final = 2**40
GB: Final = 10**9

_BYTE_UNITS: Final = {
    "": 1,
    "b": 1,
    "k": KIB,
    "m": MIB,
    "g": GIB,
    "t": _TIB,
    "kib": KIB,
    "mib": MIB,
    "gib": GIB,
    "tib": _TIB,
    "kb": 10**3,
    "mb": 10**6,
    "gb": GB,
    "tb": 10**12,
}
_TOKEN_UNITS: Final = {"": 1, "k": 2**10, "m": 2**20}
# A comma that does not set three digits apart stands for a point in half of the world.
_OTHER_COMMA: Final = r",(?!\d{3}(?!\d))|(?<!\d),|\..*,"


def pad(value: int, multiple: int) -> int:
    """Return `value` rounded up to the next multiple of `multiple`."""
    return -(-value // multiple) * multiple


def ungrouped(text: str) -> str | None:
    """Return a number in small letters, without what sets groups of digits apart.

    None where a comma may be meant as a point: `1,5` is neither 15 nor 1.5 for sure.
    """
    compact = text.strip().lower().replace("_", "").replace(" ", "")
    if "," not in compact:  # the pattern is compiled where it is needed
        return compact
    return None if re.search(_OTHER_COMMA, compact) else compact.replace(",", "")


def _split_number(text: str, units: dict[str, int]) -> int | None:
    """Return number × unit as an integer, or None when `text` is not of that form."""
    compact = ungrouped(text)
    if compact is None:
        return None
    digits = compact.rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = compact[len(digits) :]
    if unit not in units or not digits:
        return None
    if digits.isdecimal():
        return int(digits) * units[unit]
    try:
        value = float(digits) * units[unit]
    except ValueError:
        return None
    if not math.isfinite(value) or value < 0:
        return None
    return round(value) if units[unit] > 1 or value.is_integer() else None


def parse_bytes(text: str) -> int:
    """Return a size in bytes from text such as `24GiB`, `24 GB`, `512m` or `1073741824`.

    KiB, MiB, GiB, TiB and the bare letters k, m, g, t are powers of 2**10; KB, MB, GB, TB are
    powers of 10**3.

    Raises:
        InvalidRequestError: the text is not a size.
    """
    value = _split_number(text, _BYTE_UNITS)
    if value is None:
        raise InvalidRequestError(
            what="size", got=text, allowed="a number with KiB, MiB, GiB, TiB, MB or GB, as '24GiB'"
        )
    return value


def parse_tokens(text: str) -> int:
    """Return a count of tokens from `8192`, `8,192`, `32k` (32,768) or `1m` (1,048,576).

    Raises:
        InvalidRequestError: the text is not a count of tokens.
    """
    value = _split_number(text, _TOKEN_UNITS)
    if value is None:
        raise InvalidRequestError(
            what="token count", got=text, allowed="a whole number, as '8192' or '32k'"
        )
    return value


def format_bytes(n_bytes: int, *, signed: bool = False) -> str:
    """Return bytes as text for people: `22.4 GiB`, `512 MiB`, `13 KiB`.

    One decimal in GiB; below a tenth of a GiB the unit is MiB, below one MiB KiB.
    """
    sign = "-" if n_bytes < 0 else "+" if signed else ""
    size = abs(n_bytes)
    if size >= GIB / 10:
        return f"{sign}{size / GIB:,.1f} GiB"
    if size >= MIB:
        return f"{sign}{size / MIB:,.0f} MiB"
    if size >= KIB:
        return f"{sign}{size / KIB:,.0f} KiB"
    return f"{sign}{size} B"


def size_text(n_bytes: int | None) -> str:
    """Return a size as text, `unknown` for None."""
    return "unknown" if n_bytes is None else format_bytes(n_bytes)


def format_count(n: int) -> str:
    """Return a parameter count as people write it: `8.03B`, `135M`, `1.04T`."""
    for factor, letter in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "K")):
        if n >= factor:
            value = n / factor
            return f"{value:.0f}{letter}" if value >= 100 else f"{value:.3g}{letter}"  # noqa: PLR2004
    return str(n)


def format_tokens(n_tokens: int) -> str:
    """Return a token count with thousands separators: `131,072`."""
    return f"{n_tokens:,}"
