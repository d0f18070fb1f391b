"""One file of the user's data folder, kept between runs.

It is replaced whole so that no reader ever sees half of it, by one writer at a time. A file that
cannot be understood is set aside under another name before a new one is written: never lost.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["CALIBRATION", "KeptFile", "is_kept", "kept_path"]

CALIBRATION: Final = "calibration.json"
_LONGEST_WAIT_S: Final = 5.0  # another writer holds the file for milliseconds
_LOOK_S: Final = 0.02


def is_kept(name: str) -> bool:
    """Return whether a file of that name exists.

    On Linux there are but two places where it can lie. When it lies in neither, as nearly always,
    this is known without what builds paths, whose import takes longer than all of a probe.
    """
    if sys.platform == "linux" and "ANDROID_DATA" not in os.environ:
        home = os.path.expanduser("~/.local/share")  # noqa: PTH111 - pathlib is not loaded here
        folders = (os.environ.get("XDG_DATA_HOME", "").strip(), home)
        if not any(os.path.exists(f"{folder}/whatfits/{name}") for folder in folders):  # noqa: PTH110 - same
            return False
    return kept_path(name).exists()


def kept_path(name: str) -> Path:
    """Return where a file of that name lies."""
    import platformdirs  # noqa: PLC0415 - not on the cold path of other answers

    return platformdirs.user_data_path("whatfits") / name


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
        aside, count = self.path.with_suffix(".broken.json"), 1
        while aside.exists():
            count += 1
            aside = self.path.with_suffix(f".broken-{count}.json")
        self.path.replace(aside)
        return aside

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
