"""JSON from strangers: checked before it is built, so that no text costs more than it may.

Python's parser takes what no other does (NaN, the same key twice, half a surrogate pair) and
needs 22 times the bytes of `[],`; brackets and depth are therefore counted first, by bytes.
"""

from __future__ import annotations

import json
import re
from functools import cache
from itertools import accumulate

from whatfits.sizing.errors import MalformedFileError, printable
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Final

__all__ = ["MAX_DEPTH", "parse_json"]

MAX_DEPTH: Final = 64  # published configurations nest six deep
_MAX_PARTS: Final = 100_000  # lists, objects and their elements; 4 a module in an MLX configuration
_MAX_QUOTES: Final = 4 * _MAX_PARTS
_MARKS: Final = (b"[", b"{", b",")
_MAX_DIGITS: Final = 40  # 2**64 has 20; Python's own limit is 4,300 and can be turned off
# What would be taken for a bracket or a comma and is none: whole strings.
_STRINGS: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?+', re.DOTALL)
_STEPS: Final = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(_STEPS))
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class _RefusedError(ValueError):
    """Raised inside the parser's hooks; becomes a `MalformedFileError` at once."""


def parse_json(
    data: bytes,
    file_format: str,
    *,
    place: int = 0,
    field: str = "JSON",
    on_duplicate: Callable[[str], None] | None = None,
    allow_constants: bool = False,
) -> object:
    """Return the value of a JSON text whose first byte is the `place`-th of its file.

    A key that is given twice is refused, or told to `on_duplicate`; the last one then counts, as
    in Python. `allow_constants` takes `NaN` and `Infinity`, which some configurations have.

    Raises:
        MalformedFileError: no JSON, not UTF-8, or more than is allowed of anything.
    """

    def refusal(reason: str, *, at: int = 0, allowed: str = "") -> MalformedFileError:
        return MalformedFileError(
            file_format=file_format,
            field=field,
            reason=reason,
            offset_bytes=place + at,
            allowed=allowed,
        )

    _check_shape(data, refusal)
    if on_duplicate is None and not allow_constants:
        decoder = _strict_decoder()
    else:
        decoder = _decoder(on_duplicate, allow_constants=allow_constants)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise refusal("is not UTF-8", at=error.start) from error
    try:
        value: object = decoder.decode(text)
    except _RefusedError as error:
        raise refusal(str(error)) from error
    except json.JSONDecodeError as error:
        at = len(text[: error.pos].encode(errors="replace"))
        raise refusal(f"is no JSON: {error.msg}", at=at) from error
    except RecursionError as error:  # deep inside someone else's program
        raise refusal("is nested too deep") from error
    _check_surrogates(value, text, refusal)
    return value


@cache  # making one takes longer than reading a tensor's entry with it
def _strict_decoder() -> json.JSONDecoder:
    return _decoder(None, allow_constants=False)


def _decoder(
    on_duplicate: Callable[[str], None] | None, *, allow_constants: bool
) -> json.JSONDecoder:
    return json.JSONDecoder(
        object_pairs_hook=_pairs(on_duplicate),
        parse_int=_whole,
        parse_constant=None if allow_constants else _constant,
    )


def _check_shape(data: bytes, refusal: Callable[..., MalformedFileError]) -> None:
    """Refuse what is nested too deep or has too many parts, before any of it is built.

    Marks inside strings count as parts: a little too strict, and no work. For the depth, strings
    are taken out first, when they are known to be few.
    """
    parts = sum(map(data.count, _MARKS))
    if parts > _MAX_PARTS:
        raise refusal(f"has {parts:,} parts", allowed=f"up to {_MAX_PARTS:,}")
    quotes = data.count(b'"')
    if quotes > _MAX_QUOTES:
        raise refusal(f"has {quotes:,} quotation marks", allowed=f"up to {_MAX_QUOTES:,}")
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return
    bare = _STRINGS.sub(b"", data) if quotes else data
    brackets = bare.translate(None, _NOT_BRACKETS)
    depth = max(accumulate(map(_STEPS.__getitem__, brackets)), default=0)
    if depth > MAX_DEPTH:
        raise refusal(f"is nested {depth:,} deep", allowed=f"up to {MAX_DEPTH}")


def _pairs(on_duplicate: Callable[[str], None] | None) -> Callable[[list[tuple[str, Any]]], Any]:
    def build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        built = dict(pairs)
        if len(built) < len(pairs):
            twice = _first_twice(key for key, _ in pairs)
            if on_duplicate is None:
                raise _RefusedError(f"gives {printable(twice)!r} twice")
            on_duplicate(twice)
        return built

    return build


def _first_twice(keys: Iterable[str]) -> str:
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            return key
        seen.add(key)
    raise AssertionError(keys)  # asked only when one is


def _whole(digits: str) -> int | float:
    if digits == "-0":
        return -0.0  # what it is everywhere but in Python
    if len(digits) > _MAX_DIGITS:
        raise _RefusedError(f"has a number of {len(digits):,} digits")
    return int(digits)


def _constant(name: str) -> float:
    raise _RefusedError(f"has {name} for a number")


def _check_surrogates(value: object, text: str, refusal: Callable[..., MalformedFileError]) -> None:
    """Refuse half a surrogate pair, which only an escape can write and UTF-8 cannot carry."""
    if "\\u" not in text:
        return
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str) and _SURROGATE.search(one):
            raise refusal("has half a surrogate pair in a string")
        if isinstance(one, dict):
            waiting += (*one, *one.values())
        elif isinstance(one, list):
            waiting += one
