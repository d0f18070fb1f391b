"""Rows of one kind in one JSON file of the user's data folder: measurements, calibrations.

A file that cannot be understood is set aside before a new one is written, and named to the caller.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from whatfits.sizing.errors import printable
from whatfits.sizing.sources.kept_file import KeptFile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from _typeshed import DataclassInstance

__all__ = ["VERSION", "KeptRows"]

VERSION: Final = 1

Row = TypeVar("Row", bound="DataclassInstance")


class KeptRows(Generic[Row]):
    """A file of rows, oldest first.

    Attributes:
        set_aside: where a file that could not be understood was moved; None when all is well.
        unreadable: why the last reading gave nothing although there is a file; empty otherwise.
    """

    def __init__(
        self, path: Path, *, key: str, most_bytes: int, parse: Callable[[Any], Row]
    ) -> None:
        """Open nothing yet.

        `key` is the field that holds the rows; `parse` makes one of what JSON has, and raises
        ValueError, TypeError or KeyError where that is none.
        """
        self._file = KeptFile(path, most_bytes=most_bytes)
        self._key = key
        self._most_bytes = most_bytes
        self._parse = parse
        self.set_aside: Path | None = None
        self.unreadable = ""

    def known(self) -> tuple[Row, ...]:
        """Return the rows; empty when there is no file.

        A reader moves nothing: `unreadable` says what is wrong with the file.
        """
        try:
            return self._read()
        except (OSError, _NotUnderstoodError) as error:
            self.unreadable = str(error)
            return ()

    def change(self, changed: Callable[[tuple[Row, ...]], Sequence[Row]]) -> None:
        """Put what `changed` makes of the rows in their place, one writer at a time.

        Raises:
            OSError: the file cannot be read or written; what was there stays as it was.
        """
        from dataclasses import asdict  # noqa: PLC0415 - for the writer only

        with self._file.only_writer():
            try:
                known = self._read()
            except _NotUnderstoodError:
                known = ()
                self.set_aside = self._file.put_aside()
            rows = [asdict(row) for row in changed(known)]
            self._file.replace(json.dumps({"version": VERSION, self._key: rows}))

    def _read(self) -> tuple[Row, ...]:
        data = self._file.read()
        if data is None:
            return ()
        try:
            return self._parsed(data)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise _NotUnderstoodError(printable(error)) from error

    def _parsed(self, data: bytes) -> tuple[Row, ...]:
        if len(data) > self._most_bytes:
            raise ValueError("too large")
        document: Any = json.loads(data)
        if document["version"] != VERSION:
            raise ValueError("written by another version")
        rows = document[self._key]
        if not isinstance(rows, list):
            raise TypeError("a list is missing")
        return tuple(self._parse(row) for row in rows)


class _NotUnderstoodError(Exception):
    """The file holds something else, or is one of another version."""
