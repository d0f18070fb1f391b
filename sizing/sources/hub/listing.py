"""What a repository holds, as the Hub's API tells it: JSON → names and sizes; pure.

`/api/models/{repo}/revision/{revision}?blobs=true` gives commit, canonical name and every file
with its size in one answer. Some mirrors leave the sizes out: `/api/models/{repo}/tree/{commit}`
has them, in pages that follow each other by a `Link` header.
Source: huggingface_hub 0.34 hf_api.py (ModelInfo, RepoSibling, RepoFile), utils/_pagination.py.
"""

from __future__ import annotations

import re

from whatfits.sizing.errors import MalformedFileError
from whatfits.sizing.readers.strict_json import parse_json
from whatfits.sizing.sources.hub.names import is_plain_path
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Final

__all__ = ["MAX_FILES", "RepositoryFile", "RepositoryInfo", "next_page", "parse_info", "parse_tree"]

FILE_FORMAT: Final = "Hugging Face listing"
MAX_FILES: Final = 20_000
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_NEXT: Final = re.compile(r'<([^<>\s]{1,4096})>\s*;\s*rel="?next"?')
_BASE_TAG: Final = re.compile(r"base_model:(?:quantized:)?([^:]+/[^:]+)")


@dataclass(frozen=True, slots=True)
class RepositoryFile:
    """One file of a repository.

    Attributes:
        path: with the folders it lies in.
        size_bytes: its length; None when the listing does not say.
    """

    path: str
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class RepositoryInfo:
    """A repository at one commit.

    Attributes:
        id: its name today, which is not the one it was asked for when it has moved.
        commit: what the revision stands for; None when the listing does not say.
        gated: its files are only for those who were let in.
        base_models: repositories that it says it was made of.
        files: every file, in the order of their paths.
        n_left_out: files whose names no path may have.
    """

    id: str
    commit: str | None
    gated: bool
    base_models: tuple[str, ...]
    files: tuple[RepositoryFile, ...]
    n_left_out: int = 0

    @property
    def has_sizes(self) -> bool:
        """True when the listing says how long its files are."""
        return all(file.size_bytes is not None for file in self.files)


def parse_info(data: bytes, *, repository: str) -> RepositoryInfo:
    """Return a repository of the first kind of answer.

    Raises:
        MalformedFileError: no such answer, or more files than anyone would put there.
    """
    values = parse_json(data, FILE_FORMAT, field="answer", on_duplicate=lambda _: None)
    if not isinstance(values, dict):
        raise _malformed("answer", "is no JSON object")
    rows = values.get("siblings")
    files, left_out = _files(rows if isinstance(rows, list) else [], key="rfilename")
    name, commit = values.get("id"), values.get("sha")
    well_named = isinstance(name, str) and is_plain_path(name) and name.count("/") == 1
    return RepositoryInfo(
        id=name if isinstance(name, str) and well_named else repository,
        commit=commit if isinstance(commit, str) and _COMMIT.fullmatch(commit) else None,
        gated=bool(values.get("gated")),
        base_models=tuple(dict.fromkeys(_base_models(values.get("tags")))),
        files=files,
        n_left_out=left_out,
    )


def parse_tree(data: bytes) -> tuple[tuple[RepositoryFile, ...], int]:
    """Return the files of one page of the second kind of answer, and how many were left out.

    Raises:
        MalformedFileError: no such answer.
    """
    rows = parse_json(data, FILE_FORMAT, field="answer", on_duplicate=lambda _: None)
    if not isinstance(rows, list):
        raise _malformed("answer", "is no JSON array")
    return _files((row for row in rows if _is_file(row)), key="path")


def next_page(link: str | None) -> str | None:
    """Return the address that a `Link` header names as the next page; None on the last."""
    found = _NEXT.search(link or "")
    return found[1] if found else None


def _is_file(row: object) -> bool:
    return isinstance(row, dict) and row.get("type", "file") == "file"


def _files(rows: Iterable[object], *, key: str) -> tuple[tuple[RepositoryFile, ...], int]:
    sizes: dict[str, int | None] = {}
    left_out = 0
    for row in rows:
        path = row.get(key) if isinstance(row, dict) else None
        if not isinstance(row, dict) or not isinstance(path, str) or not is_plain_path(path):
            left_out += 1
            continue
        sizes[path] = _size(row)
        if len(sizes) > MAX_FILES:
            raise _malformed("files", "are too many", allowed=f"up to {MAX_FILES:,}")
    return tuple(RepositoryFile(path, sizes[path]) for path in sorted(sizes)), left_out


def _size(row: dict[str, object]) -> int | None:
    """Return a file's length: of the large file itself, not of the pointer that git holds."""
    large = row.get("lfs")
    for values in (large, row):
        size = values.get("size") if isinstance(values, dict) else None
        if type(size) is int and 0 <= size < 2**63:
            return size
    return None


def _base_models(tags: object) -> Iterator[str]:
    for tag in tags if isinstance(tags, list) else []:
        found = _BASE_TAG.fullmatch(tag) if isinstance(tag, str) else None
        if found is not None and is_plain_path(found[1]):
            yield found[1]


def _malformed(field: str, reason: str, *, allowed: str = "") -> MalformedFileError:
    return MalformedFileError(file_format=FILE_FORMAT, field=field, reason=reason, allowed=allowed)
