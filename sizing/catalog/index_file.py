"""The generated index: JSON Lines, opened by offset so that one entry costs one small decode.

Line 1 is the table of names (`keys`) with the byte offset of every entry, line 2 the table for
partial matches, which only a missed name needs; then one line an entry.
"""

from __future__ import annotations

import json
from functools import cache
from os.path import dirname, join

from whatfits.sizing.errors import CatalogError, printable
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Final

__all__ = ["IndexFile", "index_path", "open_index", "read_json"]

_BROKEN: Final = (OSError, ValueError, TypeError, KeyError, RecursionError)


def index_path(name: str) -> str:
    """Return the path of a file of the index."""
    # os.path, not pathlib: its import alone would take half of the time a lookup may take.
    return join(dirname(__file__), "index", name)  # noqa: PTH118, PTH120 - see above


class IndexFile:
    """One index file: the table of names in memory, entries read on demand."""

    __slots__ = ("_body_offset", "_path", "_table_offset", "header")

    def __init__(self, path: str) -> None:
        """Read the table of names.

        Raises:
            CatalogError: the packaged file is missing or broken; so do the methods below.
        """
        self._path = path
        try:
            with open(path, "rb") as file:  # noqa: PTH123 - pathlib is not loaded on this path
                first = file.readline()
            header: dict[str, Any] = json.loads(first)
            self._body_offset = len(first) + int(header["table_bytes"])
        except _BROKEN as error:
            raise _broken(path, error) from error
        self.header = header
        self._table_offset = len(first)

    def __len__(self) -> int:
        """Return how many entries there are."""
        return len(self.header["offsets"])

    def entry(self, number: int) -> dict[str, Any]:
        """Return one entry."""
        record: dict[str, Any] = self._line(self._body_offset + self.header["offsets"][number])
        return record

    def table(self) -> list[list[Any]]:
        """Return the table for partial matches: one row an entry, in the order of the entries."""
        rows: list[list[Any]] = self._line(self._table_offset)
        return rows

    def entries(self) -> Iterator[dict[str, Any]]:
        """Yield all entries in their order."""
        count = 0
        for line in self._lines():
            count += 1
            yield self._parsed(line)
        if count != len(self):  # a file that was cut must not look like a smaller catalog
            raise _broken(self._path, f"{count:,} of {len(self):,} entries")

    def _lines(self) -> Iterator[bytes]:
        try:
            with open(self._path, "rb") as file:  # noqa: PTH123 - pathlib is not loaded on this path
                file.seek(self._body_offset)
                yield from file
        except OSError as error:
            raise _broken(self._path, error) from error

    def _line(self, offset: int) -> Any:  # noqa: ANN401 - any JSON
        try:
            with open(self._path, "rb") as file:  # noqa: PTH123 - pathlib is not loaded on this path
                file.seek(offset)
                line = file.readline()
        except OSError as error:
            raise _broken(self._path, error) from error
        return self._parsed(line)

    def _parsed(self, line: bytes) -> Any:  # noqa: ANN401 - any JSON
        try:
            return json.loads(line)
        except _BROKEN as error:
            raise _broken(self._path, error) from error


@cache
def open_index(name: str) -> IndexFile:
    """Return an index file by name (`models.jsonl`); opened once per process.

    Raises:
        CatalogError: the packaged file is missing or broken.
    """
    return IndexFile(index_path(name))


@cache
def read_json(name: str) -> dict[str, Any]:
    """Return a plain JSON file of the index; read once per process.

    Raises:
        CatalogError: the packaged file is missing or broken.
    """
    try:
        with open(index_path(name), "rb") as file:  # noqa: PTH123 - pathlib is not loaded here
            value: Any = json.load(file)
    except _BROKEN as error:
        raise _broken(name, error) from error
    if not isinstance(value, dict):
        raise _broken(name, "no object")
    return value


def _broken(path: str, reason: object) -> CatalogError:
    return CatalogError(
        f"catalog index {path!r} cannot be read ({printable(reason)}); reinstall whatfits"
    )
