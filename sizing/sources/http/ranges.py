"""What an answer to a range request says, read strictly; and whether two answers are of one file.

Source: RFC 9110, sections 8.8 (validators), 13.1.5 (If-Range) and 14 (range requests).
"""

from __future__ import annotations

import re

from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

__all__ = ["Extent", "Version", "parse_content_range", "parse_length", "range_header", "version_of"]

_MAX_FILE_BYTES: Final = 2**50  # 1 PiB, as for tensor data
_CONTENT_RANGE: Final = re.compile(r"bytes ([0-9]{1,16})-([0-9]{1,16})/([0-9]{1,16})")
_UNSATISFIED: Final = re.compile(r"bytes \*/([0-9]{1,16})")
_STRONG: Final = re.compile(r'"[!#-~]*"')


class Extent(NamedTuple):
    """A part of a file: from `start` up to, not including, `end`; `size_bytes` is the whole."""

    start: int
    end: int
    size_bytes: int


class Version(NamedTuple):
    """What tells one state of a file from another; None where the server does not say."""

    etag: str | None
    last_modified: str | None

    @property
    def if_range(self) -> Mapping[str, str]:
        """Return the header that makes a server send the whole file if it has changed."""
        strong = self.etag is not None and _STRONG.fullmatch(self.etag)
        return {"If-Range": self.etag} if strong and self.etag else {}

    def is_that_of(self, headers: Mapping[str, str]) -> bool:
        """Whether an answer is of this version; the date only counts where there is no tag."""
        other = version_of(headers)
        if self.etag is None and other.etag is None:
            return self.last_modified == other.last_modified
        return self.etag == other.etag


def range_header(start: int, end: int) -> Mapping[str, str]:
    """Return the header that asks for the bytes from `start` up to, not including, `end`."""
    return {"Range": f"bytes={start}-{end - 1}"}


def parse_content_range(text: str) -> Extent | None:
    """Return the extent that a 206 (or, with no bytes, a 416) names; None if it is not one."""
    if match := _UNSATISFIED.fullmatch(text):
        return Extent(0, 0, int(match[1]))
    match = _CONTENT_RANGE.fullmatch(text)
    if match is None:
        return None
    first, last, size = (int(number) for number in match.groups())
    if not first <= last < size <= _MAX_FILE_BYTES:
        return None
    return Extent(first, last + 1, size)


def parse_length(text: str) -> int | None:
    """Return a Content-Length in bytes; None if it is not one."""
    return int(text) if re.fullmatch(r"[0-9]{1,16}", text) else None


def version_of(headers: Mapping[str, str]) -> Version:
    """Return what an answer says about the state of its file."""
    return Version(headers.get("etag"), headers.get("last-modified"))
