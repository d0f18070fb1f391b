"""Where a reader gets its bytes: anything of known length that can be read at any place."""

from __future__ import annotations

from whatfits.sizing.typed import Protocol

__all__ = ["ByteSource", "BytesSource", "FrugalSource"]


class ByteSource(Protocol):
    """Bytes that can be read at any place: a file, a buffer, ranges of a URL."""

    __slots__ = ()

    @property
    def size_bytes(self) -> int:
        """Length of the whole."""
        ...

    def read(self, offset: int, n: int) -> bytes:
        """Return the bytes at `offset`: `n` of them, fewer only where the source ends."""
        ...


class FrugalSource:
    """Base of a source whose every read may cost a request: no more is asked of it than needed."""

    __slots__ = ()

    def at_hand_bytes(self, offset: int) -> int:
        """Return how many bytes at `offset` can be read without a request."""
        raise NotImplementedError


class BytesSource:
    """A byte source over one buffer in memory."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self._data = data

    @property
    def size_bytes(self) -> int:
        """Length of the buffer."""
        return len(self._data)

    def read(self, offset: int, n: int) -> bytes:
        """Return a copy of `n` bytes at `offset`."""
        return bytes(self._data[offset : offset + n])
