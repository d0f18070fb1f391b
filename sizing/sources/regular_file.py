"""Opening a file that may not be one: nothing here blocks, maps memory or follows a surprise.

A mapped file that shrinks ends the process with SIGBUS, so bytes are read, never mapped.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager

from whatfits.sizing.errors import UnreadableFileError
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

__all__ = ["FileSource", "open_regular_file", "unreadable"]

# O_NONBLOCK: a FIFO put in place of the file between stat and open would block for ever.
# O_NOCTTY: a terminal must not become ours. O_BINARY: Windows would translate line ends.
_OPEN_FLAGS: Final = os.O_RDONLY | sum(
    getattr(os, name, 0) for name in ("O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY")
)

_KINDS: Final = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISBLK, "a block device"),
)

_REASONS: Final = {
    errno.ENOENT: "does not exist",
    errno.ENOTDIR: "does not exist: part of the path is no folder",
    errno.EACCES: "is not readable: permission denied",
    errno.EPERM: "is not readable: permission denied",
    errno.ELOOP: "is a link that leads back to itself",
    errno.ENAMETOOLONG: "has a name longer than the system allows",
}


class FileSource:
    """A byte source over an open file."""

    __slots__ = ("_file", "_path", "size_bytes")

    def __init__(self, path: str, descriptor: int, *, size_bytes: int) -> None:
        self._path = path
        self._file = os.fdopen(descriptor, "rb", buffering=0)
        self.size_bytes = size_bytes

    def read(self, offset: int, n: int) -> bytes:
        """Return up to `n` bytes at `offset`; fewer only where the file ends.

        Raises:
            UnreadableFileError: the system cannot read there.
        """
        parts: list[bytes] = []
        try:
            self._file.seek(offset)
            while n > 0 and (part := self._file.read(n)):
                parts.append(part)
                n -= len(part)
        except OSError as error:
            raise unreadable(self._path, error) from error
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def unreadable(
    path: str, error: OSError | ValueError, *, next_step: str = ""
) -> UnreadableFileError:
    """Return what to tell about a path that the system refuses."""
    code = error.errno if isinstance(error, OSError) else None
    # A name with a zero byte is a ValueError in Python; the system never sees it.
    reason = _REASONS.get(code or 0) or (
        f"cannot be read: {error.strerror}" if isinstance(error, OSError) else "is no file name"
    )
    return UnreadableFileError(what=f"the path {reason}:", got=path, next_step=next_step)


def _require_regular(path: str, mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    kind = next((name for test, name in _KINDS if test(mode)), "a special file")
    raise UnreadableFileError(what=f"the path is {kind}:", got=path, allowed="a regular file")


def _opened(path: str) -> FileSource:
    """Open the path and look again: something else may lie there by now."""
    descriptor = os.open(path, _OPEN_FLAGS)
    try:
        status = os.fstat(descriptor)
        _require_regular(path, status.st_mode)
        return FileSource(path, descriptor, size_bytes=status.st_size)
    except BaseException:
        os.close(descriptor)
        raise


@contextmanager
def open_regular_file(path: str) -> Iterator[FileSource]:
    """Open a file for reading at any place, refusing at once all that is no regular file.

    Raises:
        UnreadableFileError: missing, not permitted, a folder, pipe, socket or device.
    """
    try:
        # Looked at first: merely opening some devices has an effect.
        _require_regular(path, os.stat(path).st_mode)  # noqa: PTH116 - paths may be any bytes
        source = _opened(path)
    except UnreadableFileError:
        raise
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    try:
        yield source
    finally:
        source.close()
