"""What the first bytes of a GGUF file say about it: counts and keys, as far as they are there."""

from __future__ import annotations

from contextlib import suppress

from whatfits.sizing.errors import MalformedFileError
from whatfits.sizing.readers.byte_source import FrugalSource
from whatfits.sizing.readers.findings import Findings
from whatfits.sizing.readers.gguf import read_counts
from whatfits.sizing.readers.gguf_extent import header_end_bytes, least_header_bytes
from whatfits.sizing.readers.gguf_metadata import read_metadata
from whatfits.sizing.readers.gguf_scan import MAX_HEADER_BYTES, HeaderCursor
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping

    from whatfits.sizing.readers.gguf_metadata import Value

__all__ = ["GgufStart", "read_gguf_start"]


@dataclass(frozen=True, slots=True)
class GgufStart:
    """The beginning of a header.

    Attributes:
        metadata: keys that are there; a list that goes on beyond is left out.
        array_lengths: elements of every list that begins there.
        n_tensors: rows of the tensor table.
        file_bytes: length of the file.
        least_header_bytes: the header has no fewer.
        likely_header_bytes: where it probably ends.
        most_header_bytes: it has no more, or is refused.
    """

    metadata: Mapping[str, Value]
    array_lengths: Mapping[str, int]
    n_tensors: int
    file_bytes: int
    least_header_bytes: int
    likely_header_bytes: int
    most_header_bytes: int


class _EndOfStartError(Exception):
    """The bytes at hand end here; the file goes on."""


class _Start(FrugalSource):
    """A byte source that has only the first bytes of a file."""

    __slots__ = ("_data", "size_bytes")

    def __init__(self, data: bytes, size_bytes: int) -> None:
        self._data = data
        self.size_bytes = size_bytes

    def at_hand_bytes(self, offset: int) -> int:
        return max(0, len(self._data) - offset)

    def read(self, offset: int, n: int) -> bytes:
        if offset + n > len(self._data):
            raise _EndOfStartError
        return self._data[offset : offset + n]


def read_gguf_start(data: bytes, *, size_bytes: int) -> GgufStart:
    """Return what the first bytes of a file of `size_bytes` say.

    Raises:
        MalformedFileError: they contradict the format.
    """
    cursor = HeaderCursor(_Start(data, size_bytes))
    values: dict[str, Value] = {}
    lengths: dict[str, int] = {}
    try:
        _, n_tensors, n_keys = read_counts(cursor)
    except _EndOfStartError:
        raise MalformedFileError(
            file_format="gguf", field="magic", reason=f"only {len(data):,} bytes are here"
        ) from None
    with suppress(_EndOfStartError):
        read_metadata(cursor, n_keys, Findings(), values=values, lengths=lengths)
    return GgufStart(
        metadata=values,
        array_lengths=lengths,
        n_tensors=n_tensors,
        file_bytes=size_bytes,
        least_header_bytes=least_header_bytes(data),
        likely_header_bytes=header_end_bytes(data, size_bytes=size_bytes),
        most_header_bytes=min(size_bytes, MAX_HEADER_BYTES),
    )
