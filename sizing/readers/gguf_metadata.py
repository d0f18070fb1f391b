"""The key-value section of a GGUF header.

Kept: scalars, arrays of numbers and truth values, short lists of short strings. Everything else
(vocabulary, merges, scores) is stepped over and leaves only its length. Source: ggml docs/gguf.md.
"""

from __future__ import annotations

import struct

from whatfits.sizing.readers.gguf_scan import MAX_HEADER_BYTES
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import MIB
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from whatfits.sizing.errors import MalformedFileError
    from whatfits.sizing.readers.findings import Findings
    from whatfits.sizing.readers.gguf_scan import HeaderCursor

__all__ = ["FIXED_BYTES", "MAX_KEYS", "Metadata", "Scalar", "Value", "read_metadata"]

Scalar = int | float | bool | str
Value = Scalar | tuple[Scalar, ...]

MAX_KEYS: Final = 65_536
_MAX_NUMBERS: Final = 8_192  # one per layer is what sizing needs; vocabularies are longer
_MAX_STRINGS: Final = 16
_MAX_LIST_STRING_BYTES: Final = 1_024

# What decoded values may take in memory, so that a header of 64 MiB cannot become a gigabyte:
# a number in a tuple takes up to 40 bytes, a character up to 4.
_MAX_KEPT_BYTES: Final = 16 * MIB
_NUMBER_KEPT_BYTES: Final = 40
_CHARACTER_KEPT_BYTES: Final = 4

_UINT32: Final = 4
_BOOL: Final = 7
_STRING: Final = 8
_ARRAY: Final = 9
_NUMBERS: Final = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    _UINT32: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    _BOOL: struct.Struct("<B"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
FIXED_BYTES: Final = {kind: form.size for kind, form in _NUMBERS.items()}
_KIND_NAMES: Final = {_UINT32: "unsigned 32-bit", _STRING: "string"}
_KNOWN_KINDS: Final = "0 (unsigned 8-bit) to 12 (64-bit float)"
_ELEMENT_KINDS: Final = "0 to 8 and 10 to 12 (arrays of arrays are not allowed)"

# llama.cpp reads these two without looking at anything else; a wrong type is no model.
_FIXED_KINDS: Final = {"general.alignment": _UINT32, "general.architecture": _STRING}

_SMALLEST_PAIR_BYTES: Final = 8 + 1 + 4 + 1  # key length, one letter, value type, one byte
_LENGTH_BYTES: Final = 8
_KIND_BYTES: Final = 4

ODD_KEY: Final = "key with characters other than printable ASCII"
NOT_UTF8: Final = "text that is not UTF-8 (shown with replacement characters) under key"
TOO_LARGE: Final = "value too large to keep (only its length is known) under key"


@dataclass(frozen=True, slots=True)
class Metadata:
    """Key-values of one header.

    Attributes:
        values: what is kept.
        array_lengths: elements of every array, kept or not.
    """

    values: Mapping[str, Value]
    array_lengths: Mapping[str, int]


class _Reader:
    """Reads values one after the other within a budget of memory."""

    __slots__ = ("budget_bytes", "cursor", "findings", "lengths")

    def __init__(self, cursor: HeaderCursor, findings: Findings, lengths: dict[str, int]) -> None:
        self.cursor = cursor
        self.findings = findings
        self.lengths = lengths
        self.budget_bytes = _MAX_KEPT_BYTES

    def _may_keep(self, n_bytes: int, key: str) -> bool:
        if n_bytes > self.budget_bytes:
            self.findings.add(TOO_LARGE, key)
            return False
        self.budget_bytes -= n_bytes
        return True

    def value(self, kind: int, key: str) -> Value | None:
        """Return the value of type `kind` that starts here, or None when it is not kept."""
        form = _NUMBERS.get(kind)
        if form is not None:
            number: Scalar = self.cursor.unpack(form, "value")[0]
            return self._truth(number) if kind == _BOOL else number
        if kind == _STRING:
            return self._text(key)
        if kind == _ARRAY:
            return self._array(key)
        raise _kind_error(self.cursor, kind, allowed=_KNOWN_KINDS)

    def _truth(self, byte: Scalar) -> bool:
        if byte not in (0, 1):
            raise self.cursor.error(
                "truth value", f"is {byte}", allowed="0 or 1", offset=self.cursor.offset - 1
            )
        return byte == 1

    def _text(self, key: str) -> str | None:
        length = self.cursor.string_length("value")
        if not self._may_keep(_CHARACTER_KEPT_BYTES * length, key):
            self.cursor.skip(length, "value")
            return None
        return self._decoded(length, key)

    def _decoded(self, length: int, key: str) -> str:
        data = self.cursor.take(length, "value")
        try:
            return data.decode()
        except UnicodeDecodeError:
            self.findings.add(NOT_UTF8, key)
            return data.decode(errors="replace")

    def _array(self, key: str) -> tuple[Scalar, ...] | None:
        cursor = self.cursor
        start = cursor.offset
        kind = cursor.u32("array element type")
        form = _NUMBERS.get(kind)
        if form is None and kind != _STRING:
            raise cursor.error(
                "array element type", f"is {kind:,}", allowed=_ELEMENT_KINDS, offset=start
            )
        count = cursor.u64("array length")
        cursor.check_count(
            "array length",
            count,
            most=MAX_HEADER_BYTES,
            smallest_bytes=form.size if form else _LENGTH_BYTES,
            offset=start + 4,
        )
        self.lengths[key] = count
        return self._strings(count, key) if form is None else self._numbers(form, count, kind, key)

    def _numbers(
        self, form: struct.Struct, count: int, kind: int, key: str
    ) -> tuple[Scalar, ...] | None:
        n_bytes = count * form.size
        if count > _MAX_NUMBERS or not self._may_keep(_NUMBER_KEPT_BYTES * count, key):
            self.cursor.skip(n_bytes, "array")
            return None
        data = self.cursor.take(n_bytes, "array")
        if kind != _BOOL:
            return struct.unpack(f"<{count}{form.format[1:]}", data)
        others = data.translate(None, b"\0\1")
        if others:
            raise self.cursor.error(
                "truth value",
                f"is {others[0]}",
                allowed="0 or 1",
                offset=self.cursor.offset - n_bytes + data.index(others[0]),
            )
        return tuple(map(bool, data))

    def _strings(self, count: int, key: str) -> tuple[str, ...] | None:
        cursor = self.cursor
        if count > _MAX_STRINGS:
            cursor.skip_strings(count, "string in array")
            return None
        kept: list[str] = []
        for _ in range(count):
            length = cursor.string_length("string in array")
            if length > _MAX_LIST_STRING_BYTES or not self._may_keep(
                _CHARACTER_KEPT_BYTES * length, key
            ):
                cursor.skip(length, "string in array")
            else:
                kept.append(self._decoded(length, key))
        return tuple(kept) if len(kept) == count else None


def _kind_error(cursor: HeaderCursor, kind: int, *, allowed: str) -> MalformedFileError:
    return cursor.error(
        "value type", f"is {kind:,}", allowed=allowed, offset=cursor.offset - _KIND_BYTES
    )


def read_metadata(
    cursor: HeaderCursor,
    count: int,
    findings: Findings,
    *,
    values: dict[str, Value] | None = None,
    lengths: dict[str, int] | None = None,
) -> Metadata:
    """Return the `count` key-values that start at the cursor.

    `values` and `lengths` are filled instead of new ones, when given: what was read before an
    error is then not lost.

    Raises:
        MalformedFileError: they contradict the format or do not fit in the file.
    """
    cursor.check_count(
        "number of keys", count, most=MAX_KEYS, smallest_bytes=_SMALLEST_PAIR_BYTES, offset=16
    )
    values = {} if values is None else values
    lengths = {} if lengths is None else lengths
    reader = _Reader(cursor, findings, lengths)
    seen: set[str] = set()
    for index in range(count):
        cursor.owner = ("entry", index)
        key = cursor.name("key")
        cursor.owner = ("key", key)
        if key in seen:
            raise cursor.name_error("name", "appears twice", n_bytes=len(key.encode()))
        seen.add(key)
        if not (key.isascii() and key.isprintable()):
            findings.add(ODD_KEY, key)
        kind = cursor.u32("value type")
        fixed = _FIXED_KINDS.get(key, kind)
        if kind != fixed:
            raise _kind_error(cursor, kind, allowed=f"{fixed} ({_KIND_NAMES[fixed]})")
        value = reader.value(kind, key)
        if value is not None:
            values[key] = value
    cursor.owner = None
    return Metadata(values=values, array_lengths=lengths)
