"""Looking through a folder of models: names and lengths only, bounded, never out of a loop.

Folders hold what anybody put there: no file is opened here, what is no regular file is passed
over, and a link is followed at most to where its caller allows.
"""

from __future__ import annotations

import os
import stat

from whatfits.sizing.errors import UnreadableFileError, printable
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.sources.regular_file import open_regular_file, unreadable
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

    from whatfits.sizing.sources.stores.stored import FileIdentity

__all__ = ["MAX_ENTRIES", "FoundFile", "Walk", "find_file", "is_inside", "read_small_file"]

MAX_ENTRIES: Final = 50_000
_MAX_FINDINGS: Final = 20


class FoundFile(NamedTuple):
    """A regular file.

    Attributes:
        path: as it was reached.
        relative: below the folder that was walked, with `/` between names.
        n_bytes: its length.
        identity: file system and number: the same file under any name.
    """

    path: str
    relative: str
    n_bytes: int
    identity: FileIdentity

    @property
    def name(self) -> str:
        """Its own name."""
        return self.relative.rpartition("/")[2]

    @property
    def folder(self) -> str:
        """Names of the folders it lies in, with `/` between them; empty at the top."""
        return self.relative.rpartition("/")[0]


def is_inside(path: str, *roots: str) -> bool:
    """Return whether a path, every link in it followed, lies below one of the `roots`."""
    real = os.path.realpath(path)
    return any(real.startswith(os.path.realpath(root).rstrip(os.sep) + os.sep) for root in roots)


def find_file(path: str, *, relative: str, within: tuple[str, ...] | None) -> FoundFile:
    """Return a regular file; with `within`, only one that lies below one of those folders.

    Raises:
        UnreadableFileError: missing, not permitted, no regular file, or outside.
    """
    try:
        status = os.stat(path)  # noqa: PTH116 - paths may be any bytes
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
        raise UnreadableFileError(what=f"the path is {kind}:", got=path, allowed="a regular file")
    if within is not None and not is_inside(path, *within):
        raise UnreadableFileError(
            what="the path is a link that leaves the store:", got=path, allowed=f"below {within[0]}"
        )
    return FoundFile(path, relative, status.st_size, (status.st_dev, status.st_ino))


def read_small_file(path: str, *, most_bytes: int) -> bytes:
    """Return the whole of a small file.

    Raises:
        UnreadableFileError: missing, not permitted, no regular file, or too long.
    """
    with open_regular_file(path) as source:
        data = source.read(0, most_bytes + 1)
    if len(data) > most_bytes:
        raise UnreadableFileError(
            what="the file is too long:", got=path, allowed=f"up to {most_bytes:,} bytes"
        )
    return data


class Walk:
    """The regular files below a folder; what was passed over is in `findings`."""

    def __init__(
        self,
        root: str,
        *,
        depth: int,
        wanted: Callable[[str], bool],
        within: tuple[str, ...] | None = None,
    ) -> None:
        """Walk `root` down to `depth` folders for files with names that are `wanted`.

        With `within`, no link is followed out of those folders. A root that is not there is empty.
        """
        self.findings: list[str] = []
        self._wanted = wanted
        self._within = within
        self._entries = 0
        self._seen: set[FileIdentity] = set()
        self.files = tuple(self._below(root, "", depth)) if os.path.isdir(root) else ()  # noqa: PTH112 - paths may be any bytes

    def _below(self, folder: str, relative: str, depth: int) -> Iterator[FoundFile]:
        for name in self._names(folder):
            path = os.path.join(folder, name)  # noqa: PTH118 - paths may be any bytes
            below = f"{relative}/{name}" if relative else name
            try:
                if os.path.isdir(path):  # noqa: PTH112 - paths may be any bytes
                    if depth > 0 and self._is_allowed(path):
                        yield from self._below(path, below, depth - 1)
                    continue
                if self._wanted(name):
                    yield find_file(path, relative=below, within=self._within)
            except UnreadableFileError as error:
                self._say(str(error))

    def _is_allowed(self, folder: str) -> bool:
        """Return whether to go into a folder: not twice, and not out of the store."""
        if self._within is not None and not is_inside(folder, *self._within):
            self._say(f"{printable(folder)} is a link that leaves the store")
            return False
        return True

    def _names(self, folder: str) -> list[str]:
        """Return the names in a folder, sorted; none when it was seen or cannot be listed."""
        names: list[str] = []
        try:
            status = os.stat(folder)  # noqa: PTH116 - paths may be any bytes
            identity = (status.st_dev, status.st_ino)
            if identity in self._seen:
                return []  # a link back to a folder above, or the same folder by another way
            self._seen.add(identity)
            with os.scandir(folder) as entries:
                for entry in entries:
                    self._entries += 1
                    if self._entries > MAX_ENTRIES:
                        self._say(f"more than {MAX_ENTRIES:,} files: the rest was not looked at")
                        break
                    names.append(entry.name)
        except OSError as error:
            self._say(str(unreadable(folder, error)))
        return sorted(names)

    def _say(self, line: str) -> None:
        if len(self.findings) < _MAX_FINDINGS and line not in self.findings:
            self.findings.append(line)
