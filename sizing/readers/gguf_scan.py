"""Walking the bytes of a GGUF header: bounded, in order, once.

A cursor holds one window of at most a quarter of a megabyte. Whatever a file declares, no count
is believed before it is compared with the bytes that exist, and the work is linear in the bytes
walked.
Format: ggml docs/gguf.md.
"""

from __future__ import annotations

import re
import struct
from functools import cache

from whatfits.sizing.errors import MalformedFileError
from whatfits.sizing.readers.byte_source import FrugalSource
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import KIB, MIB

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.readers.byte_source import ByteSource

__all__ = [
    "MAX_HEADER_BYTES",
    "MAX_NAME_BYTES",
    "MAX_STRING_BYTES",
    "HeaderCursor",
]

MAX_HEADER_BYTES: Final = 64 * MIB  # the largest seen in published files is 13 MB (vocabulary)
MAX_STRING_BYTES: Final = 16 * MIB
MAX_NAME_BYTES: Final = 65_535  # a key, as the format limits it; tensor names likewise

_FIRST_WINDOW_BYTES: Final = 64 * KIB  # holds every sizing key of a usual file
_WINDOW_BYTES: Final = 256 * KIB  # stays in a core's own cache: a tenth faster than 1 MiB
_U32: Final = struct.Struct("<I")
_U64: Final = struct.Struct("<Q")
_LENGTH_BYTES: Final = 8
_INCOMPLETE: Final = "perhaps the download did not finish"
_BLOCK_STRINGS: Final = 1024
_SINGLE_STRINGS: Final = 4 * _BLOCK_STRINGS  # after a block that did not match: it was in vain
_SHORT_STRING_BYTES: Final = 64  # nearly every token and merge of a vocabulary is shorter


@cache
def _short_strings() -> re.Pattern[bytes]:
    """Return what matches exactly a block of strings that are all short, in one step.

    A branch a length, the usual ones first, each with the bytes that such a string has: what
    matches has been walked string by string, as the loop does it, at half of the cost.
    """
    usual = sorted(range(_SHORT_STRING_BYTES), key=lambda length: abs(length - 8))
    # possessive: nothing is kept to come back to, which costs a tenth
    branches = (b"\\x%02x\\x00{7}+.{%d}+" % (length, length) for length in usual)
    return re.compile(b"(?:" + b"|".join(branches) + b"){%d}+" % _BLOCK_STRINGS, re.DOTALL)


class HeaderCursor:
    """Reads a header from its first byte on, and knows what to blame.

    Attributes:
        owner: what is being read, for messages: (`key`, its name), (`tensor`, its index), ….
        size_bytes: length of the whole file.
    """

    __slots__ = (
        "_base",
        "_chunk",
        "_frugal",
        "_limit",
        "_pos",
        "_source",
        "_window",
        "owner",
        "size_bytes",
    )

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._frugal = source if isinstance(source, FrugalSource) else None
        self.size_bytes = source.size_bytes
        self._limit = min(self.size_bytes, MAX_HEADER_BYTES)
        self._window = b""
        self._base = 0
        self._pos = 0
        self._chunk = _FIRST_WINDOW_BYTES
        self.owner: tuple[str, object] | None = None

    @property
    def offset(self) -> int:
        """Where in the file the next byte is read."""
        return self._base + self._pos

    @property
    def remaining_bytes(self) -> int:
        """Bytes that a header may still take."""
        return self._limit - self._base - self._pos

    def error(
        self,
        field: str,
        reason: str,
        *,
        allowed: str = "",
        offset: int | None = None,
        next_step: str = "",
    ) -> MalformedFileError:
        """Return the error for `field` of the current owner, at `offset` or here."""
        if self.owner is not None:
            kind, which = self.owner
            field = f"{field} of {kind} {which!r}"
        return MalformedFileError(
            file_format="gguf",
            field=field,
            reason=reason,
            offset_bytes=self.offset if offset is None else offset,
            allowed=allowed,
            next_step=next_step,
        )

    def require(self, n: int, field: str) -> None:
        """Refuse unless `n` more bytes exist.

        Raises:
            MalformedFileError: the file, or the longest header allowed, ends before.
        """
        remaining = self.remaining_bytes
        if n <= remaining:
            return
        if self._limit < self.size_bytes:
            raise self.error(
                field,
                f"needs {n:,} bytes, which makes the header too long",
                allowed=f"headers up to {MAX_HEADER_BYTES:,} bytes",
            )
        raise self.error(
            field,
            f"the file ends inside it: {n:,} bytes needed, {remaining:,} remain",
            next_step=_INCOMPLETE,
        )

    def check_count(
        self, field: str, count: int, *, most: int, smallest_bytes: int, offset: int
    ) -> None:
        """Refuse a count before anything is done that often.

        Raises:
            MalformedFileError: it is above `most`, or so many items of `smallest_bytes` or more
                cannot lie in what remains.
        """
        if count > most:
            raise self.error(
                field, f"declares {count:,}", allowed=f"at most {most:,}", offset=offset
            )
        remaining = self.remaining_bytes
        if count * smallest_bytes > remaining:
            raise self.error(
                field,
                f"declares {count:,}, but the file ends {remaining:,} bytes further on",
                allowed=f"at most {remaining // smallest_bytes:,} there",
                offset=offset,
                next_step=_INCOMPLETE,
            )

    def _fill(self, n: int, field: str) -> None:
        """Make the window start here and hold at least `n` bytes."""
        self.require(n, field)
        self._base += self._pos
        self._pos = 0
        wanted = min(max(n, self._chunk), self._limit - self._base)
        if self._frugal is not None:
            wanted = max(n, min(wanted, self._frugal.at_hand_bytes(self._base)))
        self._chunk = min(self._chunk * 4, _WINDOW_BYTES)
        self._window = self._source.read(self._base, wanted)
        if len(self._window) < n:
            raise self.error(field, f"the file shrank while it was read: {n:,} bytes expected here")

    def take(self, n: int, field: str) -> bytes:
        """Return the next `n` bytes."""
        end = self._pos + n
        if end > len(self._window):
            self._fill(n, field)
            end = n
        data = self._window[self._pos : end]
        self._pos = end
        return data

    def skip(self, n: int, field: str) -> None:
        """Step over `n` bytes without reading those outside the window."""
        self.require(n, field)
        self._pos += n

    def unpack(self, form: struct.Struct, field: str) -> tuple[int, ...]:
        """Return the next bytes as numbers."""
        end = self._pos + form.size
        if end > len(self._window):
            self._fill(form.size, field)
            end = form.size
        values = form.unpack_from(self._window, self._pos)
        self._pos = end
        return values

    def u32(self, field: str) -> int:
        """Return the next unsigned 32-bit number."""
        return self.unpack(_U32, field)[0]

    def u64(self, field: str) -> int:
        """Return the next unsigned 64-bit number."""
        return self.unpack(_U64, field)[0]

    def string_length(self, field: str) -> int:
        """Return the length of the string that starts here, compared with what exists."""
        length = self.u64(field)
        if length > MAX_STRING_BYTES:
            raise self.error(
                field,
                f"declares {length:,} bytes",
                allowed=f"at most {MAX_STRING_BYTES:,}",
                offset=self.offset - _LENGTH_BYTES,
            )
        self.require(length, field)
        return length

    def name(self, field: str) -> str:
        """Return a name (key or tensor): UTF-8, not empty, of bounded length."""
        length = self.u64(field)
        if not 0 < length <= MAX_NAME_BYTES:
            raise self.error(
                field,
                f"declares {length:,} bytes" if length else "is empty",
                allowed=f"1 to {MAX_NAME_BYTES:,} bytes",
                offset=self.offset - _LENGTH_BYTES,
            )
        data = self.take(length, field)
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise self.name_error(field, "is not UTF-8", n_bytes=length) from None

    def name_error(self, field: str, reason: str, *, n_bytes: int) -> MalformedFileError:
        """Return the error for the name of `n_bytes` that was just read."""
        return self.error(
            field,
            reason,
            allowed="UTF-8 text that appears once",
            offset=self.offset - n_bytes - _LENGTH_BYTES,
        )

    def skip_strings(self, count: int, field: str) -> None:
        """Step over `count` strings, reading nothing but their lengths.

        Blocks of short strings go in one step each; what is in no such block goes one by one. That
        loop has no bounds check of its own: a length that leads out of the window makes the
        next `unpack_from` fail, and only then the last string is looked at.
        """
        length_at = _U64.unpack_from
        while count:
            count -= self._skip_short(count)
            wanted = min(count, _SINGLE_STRINGS)
            window, start, pos, done = self._window, self._pos, self._pos, 0
            try:
                for done in range(wanted):  # noqa: B007 - read after the loop
                    start, pos = pos, pos + _LENGTH_BYTES + length_at(window, pos)[0]
                done = wanted
            except (struct.error, OverflowError):
                pass
            if done and pos > len(window):
                self._check_last(start, pos, field)
            self._pos = pos
            count -= done
            if done < wanted:
                self._fill(_LENGTH_BYTES, field)

    def _skip_short(self, count: int) -> int:
        """Step over whole blocks of short strings, at most `count` strings; return how many."""
        skipped = 0
        while count - skipped >= _BLOCK_STRINGS:
            found = _short_strings().match(self._window, self._pos)
            if found is None:
                break
            self._pos = found.end()
            skipped += _BLOCK_STRINGS
        return skipped

    def _check_last(self, start: int, end: int, field: str) -> None:
        """Refuse the string from window position `start` to `end` if it is longer than it may."""
        self._pos = start
        self.string_length(field)
        self._pos = end
