"""A folder for files that are gone afterwards, or one line that says why there is none."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from whatfits.sizing.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

__all__ = ["put_down", "temporary_folder"]

_ENDS: Final = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)
)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Give a folder for as long as the block lasts; a request to end takes it away too.

    Raises:
        InvalidRequestError: none can be made.
    """
    with _unwound():
        with put_down():
            made = tempfile.TemporaryDirectory(prefix="whatfits-", ignore_cleanup_errors=True)
        with made as folder:
            yield Path(folder)


@contextmanager
def put_down() -> Iterator[None]:
    """Say of a block that writes such files what the system had against it.

    Raises:
        InvalidRequestError: the disk is full or may not be written.
    """
    try:
        yield
    except OSError as error:
        raise InvalidRequestError(
            what="folder for temporary files",
            got=(error.strerror or str(error)).partition(" in [")[0],
            allowed="one that can be written and has room",
            next_step="free some room, or name another folder in TMPDIR",
        ) from error


@contextmanager
def _unwound() -> Iterator[None]:
    """Let `timeout`, a closed terminal or a shutdown leave the block as an exception does.

    By default they end Python where it stands: models of gigabytes would stay behind. What was left
    that way ends by the same signal afterwards.
    """
    taken: list[signal.Signals] = []
    received: list[signal.Signals] = []

    def leave(number: int, _frame: FrameType | None) -> None:
        received.append(signal.Signals(number))
        raise SystemExit(128 + number)  # as a shell tells it

    if threading.current_thread() is threading.main_thread():
        taken = [number for number in _ENDS if signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)
        for number in received[:1]:
            os.kill(os.getpid(), number)
