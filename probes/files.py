"""Files and directories of this machine, read within limits of size."""

from __future__ import annotations

import os

from whatfits.probes.answers import error_of
from whatfits.probes.system import MAX_TEXT_BYTES, SourceGarbledError
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

__all__ = ["list_names", "read_free_disk", "read_link", "read_small_text"]

_MAX_NAMES: Final = 20_000
# Without O_NONBLOCK, opening a FIFO would wait for a writer. Windows has neither flag.
_OPEN_FLAGS: Final = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)


def read_small_text(path: str, *, max_bytes: int = MAX_TEXT_BYTES) -> str:
    """Return the first `max_bytes` of a text file.

    Raises:
        ProbeError: it cannot be read.
    """
    try:
        descriptor = os.open(path, _OPEN_FLAGS)
    except OSError as error:
        raise error_of(error, path) from error
    parts: list[bytes] = []
    left = max_bytes
    try:
        while left > 0 and (part := os.read(descriptor, min(left, 65_536))):
            parts.append(part)
            left -= len(part)
    except OSError as error:
        raise error_of(error, path) from error
    finally:
        os.close(descriptor)
    return b"".join(parts).decode("utf-8", "replace")


def list_names(path: str) -> tuple[str, ...]:
    """Return the sorted names in a directory.

    Raises:
        ProbeError: it cannot be listed, or holds too many names to be what it should be.
    """
    try:
        with os.scandir(path) as entries:
            names = [entry.name for _, entry in zip(range(_MAX_NAMES + 1), entries, strict=False)]
    except OSError as error:
        raise error_of(error, path) from error
    if len(names) > _MAX_NAMES:
        raise SourceGarbledError(f"{path} holds more than {_MAX_NAMES:,} names")
    return tuple(sorted(names))


def read_free_disk(path: str) -> dict[str, object]:
    """Return `free_bytes` (for this user) and `total_bytes` of the file system of a path.

    Raises:
        ProbeError: it cannot be read.
    """
    try:
        if not hasattr(os, "statvfs"):  # Windows
            from shutil import disk_usage  # noqa: PLC0415 - slow to import

            usage = disk_usage(path)
            return {"free_bytes": usage.free, "total_bytes": usage.total}
        stat = os.statvfs(path)
    except OSError as error:
        raise error_of(error, path) from error
    return {
        "free_bytes": stat.f_bavail * stat.f_frsize,
        "total_bytes": stat.f_blocks * stat.f_frsize,
    }


def read_link(path: str) -> str:
    """Return the target of a symbolic link.

    Raises:
        ProbeError: it is not there, or no link.
    """
    try:
        return os.readlink(path)  # noqa: PTH115 - pathlib is not imported
    except OSError as error:
        raise error_of(error, path) from error
