"""Header bytes that were received before: by address and version, under the user's cache folder.

An entry is used again only when the server says that its file has not changed, or when the network
is switched off. What was received with credentials is found with the same ones alone; the
credentials are no part of an entry, they only go into the digest that names it.
An entry: one line of JSON, then the bytes. One that cannot be understood is set aside under another
name and told of; it counts as absent. What was set aside is dropped as the oldest entries are.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from whatfits.sizing.sources.kept_file import KeptFile
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import KIB, MIB
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Final

__all__ = ["HeaderCache", "KeptHeader", "default_cache"]

_VERSION: Final = 1
_SUFFIX: Final = ".header"
_MOST_BYTES: Final = 256 * MIB
_MOST_ENTRY_BYTES: Final = 64 * MIB
_MOST_LINE_BYTES: Final = 16 * KIB


@dataclass(frozen=True, slots=True)
class KeptHeader:
    """The first bytes of a file on another machine, as they were once received.

    Attributes:
        parts: the bytes, one part behind the other.
        size_bytes: length of the whole file.
        etag: entity tag, if the server gave one.
        last_modified: date of change, if the server gave one.
        day: when they were received, as `2026-01-31` (UTC).
    """

    parts: tuple[bytes | bytearray, ...]
    size_bytes: int
    etag: str | None
    last_modified: str | None
    day: str

    @property
    def n_bytes(self) -> int:
        """How many bytes are known."""
        return sum(map(len, self.parts))

    @property
    def unless_changed(self) -> Mapping[str, str]:
        """Return the header that makes a server send nothing when its file has not changed."""
        if self.etag is not None:
            return {"If-None-Match": self.etag}
        return {} if self.last_modified is None else {"If-Modified-Since": self.last_modified}


class HeaderCache:
    """A folder of kept headers, bounded in size; failing to write to it is no failure.

    Attributes:
        damaged: what became of each entry that could not be understood, in words.
    """

    def __init__(self, folder: Path, *, most_bytes: int = _MOST_BYTES) -> None:
        """Open nothing yet."""
        self._folder = folder
        self._most_bytes = most_bytes
        self.damaged: tuple[str, ...] = ()

    def find(self, url: str, credentials: Mapping[str, str]) -> KeptHeader | None:
        """Return what was kept of an address, received with the same credentials."""
        path = self._path(url, credentials)
        try:
            with path.open("rb") as file:
                line = file.readline(_MOST_LINE_BYTES)
                data = file.read(_MOST_ENTRY_BYTES + 1)
            return _understood(json.loads(line), data)
        except OSError:
            return None
        except (ValueError, RecursionError):
            became = KeptFile(path, most_bytes=_MOST_ENTRY_BYTES).put_aside_or_leave()
            self.damaged += (f"what was kept of an address is damaged; it {became}",)
            return None

    def keep(self, url: str, credentials: Mapping[str, str], header: KeptHeader) -> None:
        """Keep a header, whole or not at all; the oldest ones go when there is too much."""
        if header.n_bytes > min(_MOST_ENTRY_BYTES, self._most_bytes):
            return
        about = {
            "version": _VERSION,
            "size_bytes": header.size_bytes,
            "etag": header.etag,
            "last_modified": header.last_modified,
            "day": header.day,
            "sha256": _digest(header.parts),
        }
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            line = json.dumps(about).encode() + b"\n"
            self._write(self._path(url, credentials), (line, *header.parts))
            self._drop_oldest()

    def _path(self, url: str, credentials: Mapping[str, str]) -> Path:
        named = json.dumps([_VERSION, url, sorted(credentials.items())])
        return self._folder / (hashlib.sha256(named.encode()).hexdigest() + _SUFFIX)

    def _write(self, path: Path, parts: Sequence[bytes | bytearray]) -> None:
        half = tempfile.NamedTemporaryFile(dir=self._folder, suffix=".half", delete=False)  # noqa: SIM115 - closed below
        try:
            with half:
                half.writelines(parts)
            Path(half.name).replace(path)
        except BaseException:  # an interruption must not leave half a file either
            with contextlib.suppress(OSError):
                Path(half.name).unlink()
            raise

    def _drop_oldest(self) -> None:
        found: list[tuple[float, int, Path]] = []
        for path in self._folder.iterdir():
            with contextlib.suppress(OSError):  # another process may have dropped it
                status = path.stat()
                found.append((status.st_mtime, status.st_size, path))
        held = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if held <= self._most_bytes:
                return
            with contextlib.suppress(OSError):
                path.unlink()
                held -= size


def default_cache() -> HeaderCache:
    """Return the cache of this user."""
    import platformdirs  # noqa: PLC0415 - on use

    return HeaderCache(platformdirs.user_cache_path("whatfits") / "headers")


def today() -> str:
    """Return the day, UTC."""
    return datetime.now(tz=UTC).date().isoformat()


def _digest(parts: Sequence[bytes | bytearray]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _understood(about: Any, data: bytes) -> KeptHeader:  # noqa: ANN401 - JSON
    """Return an entry.

    Raises:
        ValueError: it is of another version, or not what was written.
    """
    if not isinstance(about, dict) or about.get("version") != _VERSION:
        raise ValueError("another version")
    size, tag, changed = (about.get(key) for key in ("size_bytes", "etag", "last_modified"))
    if not (type(size) is int and len(data) <= size and about.get("sha256") == _digest((data,))):
        raise ValueError("other bytes")
    if not all(isinstance(version, str | None) for version in (tag, changed)):
        raise ValueError("no version of a file")
    day = datetime.fromisoformat(str(about.get("day"))).date().isoformat()
    return KeptHeader(parts=(data,), size_bytes=size, etag=tag, last_modified=changed, day=day)
