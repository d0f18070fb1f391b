"""A folder of files that can be opened by name, wherever it lies: on this disk or elsewhere.

What is read of a checkpoint is the same either way. A folder comes from a stranger: names in it
and in its index stay in it. A download cache keeps links in `snapshots/…` and the files in
`blobs`; no other link that leaves the folder is followed.
"""

from __future__ import annotations

import os
from contextlib import contextmanager

from whatfits.sizing.errors import UnreadableFileError
from whatfits.sizing.sources.local_file import names_in
from whatfits.sizing.sources.paths import is_link, lies_there, real_path
from whatfits.sizing.sources.regular_file import open_regular_file
from whatfits.sizing.typed import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from typing import Final

    from whatfits.sizing.readers.byte_source import ByteSource

__all__ = ["Folder", "LocalFolder"]

_BLOBS: Final = "blobs"


class Folder(Protocol):
    """Files that can be opened by name."""

    @property
    def place(self) -> str:
        """What to call the folder."""
        ...

    def names(self) -> tuple[str, ...]:
        """Return the names of its files, in order."""
        ...

    def has(self, name: str) -> bool:
        """Return whether there is a file of that name."""
        ...

    def shown(self, name: str) -> str:
        """Return what to call one of its files."""
        ...

    def expect(self, names: Sequence[str]) -> None:
        """Say which files will be opened next, so that they may be fetched at once.

        Raises:
            BadInputError: one of them cannot be read.
        """
        ...

    def open(self, name: str) -> AbstractContextManager[ByteSource]:
        """Open one of its files for reading at any place.

        Raises:
            BadInputError: it cannot be read, or leads out of the folder.
        """
        ...


class LocalFolder:
    """A folder on this disk.

    Attributes:
        place: its path; empty for the current folder.
    """

    __slots__ = ("_named", "place")

    def __init__(self, path: str, *, named: str | None = None) -> None:
        """Take a path; `named`, a file that somebody asked for by name, may be any link."""
        self.place = path
        self._named = named

    def names(self) -> tuple[str, ...]:
        """Return the names of its files, in order.

        Raises:
            UnreadableFileError: it cannot be listed.
        """
        return tuple(sorted(names_in(self.place)))

    def has(self, name: str) -> bool:
        """Return whether there is a file of that name, or a link, wherever that leads."""
        return lies_there(self.shown(name))

    def shown(self, name: str) -> str:
        """Return the path of one of its files."""
        return os.path.join(self.place, name)  # noqa: PTH118 - paths may be any bytes

    def expect(self, names: Sequence[str]) -> None:
        """Do nothing: what lies on this disk is at hand."""

    @contextmanager
    def open(self, name: str) -> Iterator[ByteSource]:
        """Open one of its files for reading at any place.

        Raises:
            UnreadableFileError: it cannot be read, or leads out of the folder.
        """
        path = self.shown(name)
        if name != self._named:
            self._check_inside(path)
        with open_regular_file(path) as source:
            yield source

    def _check_inside(self, path: str) -> None:
        """Refuse a link that leaves the folder for anything but the cache's own store."""
        if not is_link(path):
            return
        inside = real_path(self.place)
        above = os.path.dirname(os.path.dirname(inside))  # noqa: PTH120 - paths may be any bytes
        store = os.path.join(above, _BLOBS)  # noqa: PTH118 - same
        allowed = (inside, real_path(store) if lies_there(store) else inside)
        if os.path.dirname(real_path(path)) not in allowed:  # noqa: PTH120 - same
            raise UnreadableFileError(
                what="a file of the checkpoint is a link that leaves the folder:",
                got=path,
                allowed="files in the folder, or in the cache it belongs to",
            )
