"""Questions about a path whose answer is never guessed: a disk that fails is told, not believed.

`os.path` answers False, or takes a link for a file, when the system cannot say. A file would then
seem to be missing, or a link that leaves the folder be followed. Paths may be any bytes.
"""

from __future__ import annotations

import os
import stat

from whatfits.sizing.sources.regular_file import unreadable

__all__ = ["is_folder", "is_link", "lies_there", "real_path"]


def _mode(path: str, *, follow: bool) -> int | None:
    """Return the mode of what lies at a path, of a link itself or of what it leads to; or None.

    Raises:
        UnreadableFileError: the system refuses to say.
    """
    try:
        return os.stat(path).st_mode if follow else os.lstat(path).st_mode  # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error


def lies_there(path: str) -> bool:
    """Return whether there is anything at a path, a link that leads nowhere included.

    Raises:
        UnreadableFileError: the system refuses to say.
    """
    return _mode(path, follow=False) is not None


def is_folder(path: str) -> bool:
    """Return whether a path is a folder or leads to one.

    Raises:
        UnreadableFileError: the system refuses to say.
    """
    return stat.S_ISDIR(_mode(path, follow=True) or 0)


def is_link(path: str) -> bool:
    """Return whether a path is a link.

    Raises:
        UnreadableFileError: the system refuses to say.
    """
    return stat.S_ISLNK(_mode(path, follow=False) or 0)


def real_path(path: str) -> str:
    """Return a path with every link in it followed; an empty one is the current folder.

    Raises:
        UnreadableFileError: it leads nowhere, in a circle, or the system refuses to say.
    """
    try:
        return os.path.realpath(path, strict=True)
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
