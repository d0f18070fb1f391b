"""A folder for files that are gone afterwards, or one line that says why there is none."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from whatfits.sizing.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["put_down", "temporary_folder"]


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Give a folder for as long as the block lasts.

    Raises:
        InvalidRequestError: none can be made.
    """
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
