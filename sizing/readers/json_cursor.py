"""Walking over JSON in bytes, member by member, without building what nobody asked for.

Python's own parser takes NaN, numbers of any length and the same key twice, and makes 22 bytes of
objects out of each byte of `[],`. Here an object is walked: each key is checked and handed out,
each value is read by whoever knows what it may be, and what is built is bounded by that. Every
refusal carries its place in the file.
"""

from __future__ import annotations

import re

from whatfits.sizing.errors import MalformedFileError
from whatfits.sizing.readers.strict_json import parse_json
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

__all__ = ["JsonCursor"]

_BLANK: Final = re.compile(rb"[ \t\n\r]*+")
_TEXT: Final = re.compile(
    rb'"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*+"'  # possessive: linear time
)
_MAX_TEXT_BYTES: Final = 65_536  # of a name
_MAX_VALUE_BYTES: Final = 65_536  # of a value that is read whole
# Marks and strings inside values that are nested, in a whole text: no header and no index has any,
# and stepping over them is what costs the most time a byte.
_MAX_NESTED: Final = 50_000
# Anything but a string, up to the end of the innermost list or object.
_INSIDE: Final = re.compile(rb'[^"\[\]{}]++')
# An object of words, strings and lists of words, in one step: what nearly every value is.
_SHALLOW: Final = re.compile(
    rb'\{(?:[^"\[\]{}]++|"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*+"'
    rb"|\[[^\"\[\]{}]*+\])*+\}"
)
_WORD: Final = re.compile(rb"[-+.0-9A-Za-z]++")
_OPENING: Final = b"[{"
_CLOSING: Final = b"]}"


class JsonCursor:
    """A place in JSON text."""

    __slots__ = ("_data", "_nested", "_start_bytes", "file_format", "place")

    def __init__(self, data: bytes, *, file_format: str, start_bytes: int = 0) -> None:
        """Start before the first byte; `start_bytes` is where the text lies in its file."""
        self._data = data
        self._nested = 0
        self._start_bytes = start_bytes
        self.file_format = file_format
        self.place = 0

    def error(
        self, field: str, reason: str, *, allowed: str = "", place: int | None = None
    ) -> MalformedFileError:
        """Return the refusal of what lies at `place`, by default here."""
        at = self.place if place is None else place
        return MalformedFileError(
            file_format=self.file_format,
            field=field,
            reason=reason,
            offset_bytes=self._start_bytes + at,
            allowed=allowed,
        )

    def next_byte(self) -> bytes:
        """Step over blanks and return the byte that follows, empty at the end."""
        blank = _BLANK.match(self._data, self.place)
        assert blank is not None  # it matches nothing as well
        self.place = blank.end()
        return self._data[self.place : self.place + 1]

    def expect(self, character: bytes, field: str) -> None:
        """Step over a mark.

        Raises:
            MalformedFileError: something else is there.
        """
        found = self.next_byte()
        if found != character:
            shown = repr(found.decode("latin-1")) if found else "the end"
            raise self.error(field, f"is {shown}", allowed=repr(character.decode()))
        self.place += 1

    def match(self, pattern: re.Pattern[bytes]) -> re.Match[bytes] | None:
        """Step over what `pattern` matches here and return it; None leaves the place alone."""
        found = pattern.match(self._data, self.place)
        if found is not None:
            self.place = found.end()
        return found

    def text(self, field: str, *, max_bytes: int = _MAX_TEXT_BYTES) -> str:
        """Step over a string and return it.

        Raises:
            MalformedFileError: no string, too long, not UTF-8, or half a surrogate pair.
        """
        start, end = self._skipped(field)
        if end - start > max_bytes:
            reason = f"is {end - start:,} bytes long"
            raise self.error(field, reason, allowed=f"up to {max_bytes:,}", place=start)
        raw = self._data[start + 1 : end - 1]
        if b"\\" not in raw:
            try:
                return raw.decode()
            except UnicodeDecodeError as error:
                place = start + 1 + error.start
                raise self.error(field, "is not UTF-8", place=place) from error
        parsed = parse_json(
            self._data[start:end], self.file_format, place=self._start_bytes + start
        )
        assert isinstance(parsed, str)
        return parsed

    def skip_text(self, field: str) -> int:
        """Step over a string of any length and return its bytes.

        Raises:
            MalformedFileError: no string.
        """
        start, end = self._skipped(field)
        return end - start

    def _skipped(self, field: str) -> tuple[int, int]:
        if self.next_byte() != b'"':
            raise self.error(field, "is no string", allowed="a string in double quotes")
        start = self.place
        if self.match(_TEXT) is None:
            raise self.error(
                field, "is a string with a stray backslash or control character, or with no end"
            )
        return start, self.place

    def members(self, field: str, *, max_bytes: int = _MAX_TEXT_BYTES) -> Iterator[str]:
        """Step through an object and yield each key; the caller steps over each value.

        Raises:
            MalformedFileError: no object, or one with a mark missing or too many.
        """
        self.expect(b"{", field)
        if self.next_byte() == b"}":
            self.place += 1
            return
        while True:
            key = self.text(f"key of {field}", max_bytes=max_bytes)
            self.expect(b":", f"mark after {key!r}")
            yield key
            if self.next_byte() == b"}":
                self.place += 1
                return
            self.expect(b",", f"mark after {key!r}")

    def value(self, field: str, *, max_bytes: int = _MAX_VALUE_BYTES) -> object:
        """Step over any value and return it, built.

        Raises:
            MalformedFileError: it is longer than `max_bytes`, or no JSON.
        """
        self.next_byte()
        start = self.place
        self._find_end(field, start + max_bytes)
        where = self._start_bytes + start
        return parse_json(
            self._data[start : self.place], self.file_format, place=where, field=field
        )

    def _find_end(self, field: str, limit: int) -> None:
        """Step over a value by its brackets alone, up to `limit`."""
        depth = 0
        if self.match(_SHALLOW) is not None:
            self._check_limit(field, limit)
            return
        while True:
            found = self.next_byte()
            if not found:
                raise self.error(field, "has no end")
            if found == b'"':
                self._skipped(field)
            elif found in _OPENING:
                depth += 1
                self.place += 1
            elif found in _CLOSING:
                depth -= 1
                self.place += 1
            elif self.match(_INSIDE if depth else _WORD) is None:
                raise self.error(field, "is no value")
            self._check_limit(field, limit)
            if depth <= 0:
                return
            self._nested += 1
            if self._nested > _MAX_NESTED:
                allowed = f"up to {_MAX_NESTED:,} in values that are nested"
                raise self.error(field, "has too many marks and strings", allowed=allowed)

    def _check_limit(self, field: str, limit: int) -> None:
        if self.place > limit:
            allowed = "a short one: what a tensor or a part of an index needs"
            raise self.error(field, "is too long a value", allowed=allowed)
