"""A remote GGUF file as its reader sees it: what is missing of the header comes in one request."""

from __future__ import annotations

from whatfits.sizing.readers.byte_source import FrugalSource
from whatfits.sizing.readers.gguf_extent import header_end_bytes
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.sources.http.remote_file import RemoteFile

__all__ = ["HeaderSource"]

_BELIEVED: Final = 2
_STEP: Final = 1.5


class HeaderSource(FrugalSource):
    """Bytes of a remote file; its requests reach to where the header should end.

    Attributes:
        size_bytes: length of the file.
    """

    __slots__ = ("_estimates", "_file", "size_bytes")

    def __init__(self, file: RemoteFile) -> None:
        self._file = file
        self._estimates = 0
        self.size_bytes = file.size_bytes

    def at_hand_bytes(self, offset: int) -> int:
        """Return how many bytes at `offset` are here already."""
        return max(0, self._file.prefix_bytes - offset)

    def read(self, offset: int, n: int) -> bytes:
        """Return the bytes at `offset`: `n` of them, fewer only where the file ends.

        Raises:
            UnreachableError: no connection, or too slow.
            RemoteAnswerError: the file changed, or the answer is not the range asked for.
        """
        if self.at_hand_bytes(offset) < min(n, self.size_bytes - offset):
            self._file.expect(self._end_bytes())
        return self._file.read(offset, n)

    def _end_bytes(self) -> int:
        """Return where the header should end; a header that misled before is not believed again.

        Each estimate walks what is here from the first byte on, so that few must suffice.
        """
        self._estimates += 1
        end = header_end_bytes(self._file.prefix, size_bytes=self.size_bytes)
        if self._estimates <= _BELIEVED:
            return end
        return max(end, round(_STEP * self._file.prefix_bytes))
