"""A disk on which the n-th operation fails: opening, reading, writing, syncing, renaming."""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SHORT = "SHORT"
MEMORY = "MEMORY"
FAULTS = ("ENOSPC", "EIO", "EACCES", "EROFS", "EDQUOT", "EMFILE", "ESTALE", SHORT, MEMORY)
_PATH_CALLS = ("open", "mkdir", "replace", "unlink", "exists", "stat", "iterdir")
_FILE_CALLS = ("read", "readline", "write", "writelines", "flush")


class FailingDisk:
    """Passes operations on, but for the one that goes wrong.

    Args:
        wrong: its number from 0; None counts only.
        fault: the error it fails with, `SHORT` for a write of half, `MEMORY` for no memory.
    """

    def __init__(self, wrong: int | None = None, fault: str = "") -> None:
        self.wrong = wrong
        self.fault = fault
        self.calls = 0
        self.injected = False

    def fail_if_due(self) -> None:
        """Count an operation.

        Raises:
            OSError: it is the one to fail.
            MemoryError: the same.
        """
        self.calls += 1
        if self.calls - 1 != self.wrong:
            return
        self.injected = True
        if self.fault == MEMORY:
            raise MemoryError
        code = getattr(errno, "ENOSPC" if self.fault == SHORT else self.fault)
        raise OSError(code, os.strerror(code))

    def wrap(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that may fail before the real one, and whose files may fail."""

        def call(*arguments: object, **keywords: object) -> object:
            self.fail_if_due()
            result = real(*arguments, **keywords)
            return FailingFile(result, self) if hasattr(result, "fileno") else result

        return call


class FailingFile:
    """An open file on such a disk; a short write puts down half before it fails."""

    def __init__(self, file: Any, disk: FailingDisk) -> None:  # noqa: ANN401 - any file
        self._file = file
        self._disk = disk

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as the file's
        real = getattr(self._file, name)
        if name not in _FILE_CALLS:
            return real

        def call(*arguments: Any) -> object:  # noqa: ANN401 - as the file's
            try:
                self._disk.fail_if_due()
            except OSError:
                if self._disk.fault == SHORT and name == "write":
                    real(arguments[0][: len(arguments[0]) // 2])
                    self._file.flush()
                raise
            return real(*arguments)

        return call

    def __enter__(self) -> FailingFile:  # noqa: PYI034 - as the file's
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


@contextmanager
def on(disk: FailingDisk) -> Iterator[None]:
    """Let every operation on files go over that disk."""
    with pytest.MonkeyPatch.context() as patch:
        for name in _PATH_CALLS:
            patch.setattr(Path, name, disk.wrap(getattr(Path, name)))
        patch.setattr(os, "fsync", disk.wrap(os.fsync))
        patch.setattr(tempfile, "NamedTemporaryFile", disk.wrap(tempfile.NamedTemporaryFile))
        yield
