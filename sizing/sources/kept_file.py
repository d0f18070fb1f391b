"""One file that is kept between runs: measurements, a header that was received.

It is replaced whole so that no reader ever sees half of it, by one writer at a time. A file that
cannot be understood is set aside under another name before a new one is written: never lost.
"""

from __future__ import annotations

import contextlib
import os
import time
from contextlib import contextmanager

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Final

__all__ = ["KeptFile"]

_LONGEST_WAIT_S: Final = 5.0  # another writer holds the file for milliseconds
_LOOK_S: Final = 0.02


class KeptFile:
    """A file that is read, replaced or set aside as a whole."""

    def __init__(self, path: Path, *, most_bytes: int) -> None:
        """Open nothing yet."""
        self.path = path
        self._most_bytes = most_bytes

    def read(self) -> bytes | None:
        """Return what it holds, None when there is no file; one that is too large is cut short.

        Raises:
            OSError: it cannot be read.
        """
        try:
            with self.path.open("rb") as file:
                return file.read(self._most_bytes + 1)
        except FileNotFoundError:
            return None

    def replace(self, text: str) -> None:
        """Put `text` in its place.

        Raises:
            OSError: it cannot be written; what was there stays as it was.
        """
        half = self.path.with_suffix(".half")  # one that was left by a writer's end is overwritten
        try:
            with half.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            half.replace(self.path)
        except BaseException:  # an interruption must not leave half a file either
            with contextlib.suppress(OSError):
                half.unlink(missing_ok=True)
            raise

    def put_aside(self) -> Path:
        """Give the file another name, one that is free, and return it.

        Raises:
            OSError: it cannot be moved.
        """
        kind, count = self.path.suffix, 1
        aside = self.path.with_suffix(f".broken{kind}")
        while aside.exists():
            count += 1
            aside = self.path.with_suffix(f".broken-{count}{kind}")
        self.path.replace(aside)
        return aside

    def put_aside_or_leave(self) -> str:
        """Give the file another name if it can be moved, and return what became of it, in words."""
        try:
            return f"was moved to {self.put_aside()}"
        except OSError as error:
            return f"is still at {self.path}, as it cannot be moved ({error.strerror})"

    @contextmanager
    def only_writer(self) -> Iterator[None]:
        """Wait until no other process writes; the system frees the lock of one that has ended.

        Raises:
            TimeoutError: another one does not end.
            OSError: the folder cannot be made.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            import fcntl  # noqa: PLC0415 - not on Windows, where replacing an open file fails by itself
        except ImportError:
            yield
            return
        lock = self.path.with_suffix(".lock")
        with lock.open("wb") as file:
            ends_s = time.monotonic() + _LONGEST_WAIT_S
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > ends_s:
                        raise TimeoutError(f"another process holds {lock}") from None
                    time.sleep(_LOOK_S)
            yield
