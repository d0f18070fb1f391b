"""A repository on the Hub or a mirror: listed by its API, files read by ranges, nothing kept.

The token goes to the endpoint alone. The Hub redirects to a content network for the files
themselves, and what is sent there carries no token: the client sees to it.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from urllib.parse import quote, urlsplit

from whatfits.sizing.errors import MalformedFileError, RemoteAnswerError
from whatfits.sizing.hub_source import HUB_PREFIX
from whatfits.sizing.readers.byte_source import BytesSource
from whatfits.sizing.readers.safetensors_index import MAX_INDEX_BYTES
from whatfits.sizing.sources.http import Client, Document, Rules
from whatfits.sizing.sources.http.client import OFFLINE
from whatfits.sizing.sources.http.header_cache import KeptHeader, default_cache, today
from whatfits.sizing.sources.http.header_source import HeaderSource
from whatfits.sizing.sources.hub.ahead import Ahead
from whatfits.sizing.sources.hub.listing import (
    FILE_FORMAT,
    MAX_FILES,
    next_page,
    parse_info,
    parse_tree,
)
from whatfits.sizing.sources.hub.names import MAIN
from whatfits.sizing.sources.hub.refusals import refused
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import MIB
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Final

    from whatfits.sizing.readers.byte_source import ByteSource
    from whatfits.sizing.sources.hub.listing import RepositoryFile, RepositoryInfo
    from whatfits.sizing.sources.hub.names import HubName
    from whatfits.sizing.sources.hub.settings import HubSettings

__all__ = ["RemoteRepository", "open_remote", "rules_of"]

_MOST_LISTING_BYTES: Final = 16 * MIB
_MOST_PAGES: Final = 64
_GGUF_SUFFIX: Final = ".gguf"
_WHOLE_SUFFIX: Final = ".json"
_JSON: Final = "application/json"


class RemoteRepository:
    """A repository that is read over the network; a `Folder`.

    Attributes:
        info: its name, commit and files.
        place: what to call it.
    """

    where: Final = "In the repository"

    def __init__(self, client: Client, ahead: Ahead, settings: HubSettings, name: HubName) -> None:
        """Ask for the listing.

        Raises:
            BadInputError: it cannot be reached, does not exist, or may not be read.
        """
        self._client = client
        self._ahead = ahead
        self._settings = settings
        self._name = name
        self._days: set[str] = set()
        self.info = self._listed()
        self.place = f"{HUB_PREFIX}{self.info.id}"
        self._paths = {file.path for file in self.info.files}

    @property
    def notes(self) -> tuple[str, ...]:
        """What to say about where it came from."""
        moved = (*_moved(self._name, self.info), *self._client.notes)
        if not (self._client.is_offline and self._days):
            return moved
        return (*moved, f"Not asked anew: this is what {self.place} held on {min(self._days)}.")

    def names(self) -> tuple[str, ...]:
        """Return the names of the files that lie in no folder."""
        return tuple(sorted(path for path in self._paths if "/" not in path))

    def has(self, name: str) -> bool:
        """Return whether there is a file of that path."""
        return name in self._paths

    def shown(self, name: str) -> str:
        """Return what to call one of its files."""
        return f"{self.place}:{name}"

    @contextmanager
    def open(self, name: str) -> Iterator[ByteSource]:
        """Open one of its files for reading at any place; small ones come whole.

        The Hub sends those by another way than long ones, which need not know ranges.

        Raises:
            BadInputError: it cannot be reached, or may not be read.
        """
        address, lower = self._address(name), name.lower()
        with self._explained():
            if lower.endswith(_WHOLE_SUFFIX):
                yield BytesSource(self._document(address, MAX_INDEX_BYTES).body)
                return
            file = self._ahead.take(name) or self._client.file(address)
            if file.kept_on is not None:
                self._days.add(file.kept_on)
            yield HeaderSource(file) if lower.endswith(_GGUF_SUFFIX) else file
            file.keep()

    def expect(self, names: Sequence[str]) -> None:
        """Ask at once for the beginnings of files that will be opened.

        Raises:
            BadInputError: one of them cannot be reached, or may not be read.
        """
        with self._explained():
            self._ahead.fetch({name: self._address(name) for name in names})

    def _address(self, name: str) -> str:
        revision = quote(self.info.commit or self._name.revision or MAIN, safe="")
        return f"{self._settings.endpoint}/{self.info.id}/resolve/{revision}/{quote(name)}"

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what the Hub answers into what it means."""
        try:
            yield
        except RemoteAnswerError as error:
            better = refused(error, self._name, self._settings)
            if better is error:
                raise
            raise better from error

    def _listed(self) -> RepositoryInfo:
        """Return the repository's files: by one answer, or by pages where that has no sizes."""
        api = f"{self._settings.endpoint}/api/models/{self._name.repository}"
        revision = quote(self._name.revision or MAIN, safe="")
        with self._explained():
            answer = self._document(f"{api}/revision/{revision}?blobs=true")
            info = parse_info(answer.body, repository=self._name.repository)
            if (info.files and info.has_sizes) or self._client.is_offline:
                return info
            files = self._pages(f"{api}/tree/{info.commit or revision}?recursive=true")
        return replace(info, files=tuple(sorted(files, key=lambda file: file.path)))

    def _pages(self, address: str) -> list[RepositoryFile]:
        """Return the files of a listing in pages, each of which names the next.

        Raises:
            MalformedFileError: there are more than anyone would put there.
        """
        files: list[RepositoryFile] = []
        following: str | None = address
        for _ in range(_MOST_PAGES):
            if following is None:
                return files
            page = self._document(following)
            files += parse_tree(page.body)[0]
            following = next_page(page.headers.get("link"))
            if following is not None and following.startswith("/"):
                following = f"{self._settings.endpoint}{following}"
            if len(files) > MAX_FILES:
                break
        raise MalformedFileError(
            file_format=FILE_FORMAT,
            field="files",
            reason="are too many",
            allowed=f"up to {MAX_FILES:,} in {_MOST_PAGES} pages",
        )

    def _document(self, address: str, most_bytes: int = _MOST_LISTING_BYTES) -> Document:
        """Return a small document; the one that was kept, when the network is off.

        What was asked for with a token is only found with the same one.
        """
        cache, client = self._client.cache, self._client
        credentials = client.credentials_for(address)
        if client.is_offline and cache is not None:
            kept = cache.find(address, credentials)
            if kept is not None:
                self._days.add(kept.day)
                return Document(b"".join(kept.parts), {}, kept.etag, address)
        found = client.document(address, most_bytes=most_bytes, accept=_JSON)
        if cache is not None:
            n_bytes = len(found.body)
            cache.keep(
                address, credentials, KeptHeader((found.body,), n_bytes, None, None, today())
            )
        return found


@contextmanager
def open_remote(
    name: HubName, settings: HubSettings, *, is_offline: bool = False
) -> Iterator[RemoteRepository]:
    """Open a repository on the Hub, or on the mirror that the user has named.

    With `is_offline` nobody is asked: it is what was kept of earlier answers.

    Raises:
        BadInputError: it cannot be reached, does not exist, or may not be read.
    """
    credentials = {}
    if settings.token is not None:
        credentials[settings.host] = {"Authorization": f"Bearer {settings.token}"}
    rules, cache = rules_of(settings), default_cache()
    environment = {**os.environ, **({OFFLINE[0]: "1"} if is_offline else {})}

    def make_client() -> Client:
        return Client(rules, credentials=credentials, environment=environment, cache=cache)

    with make_client() as client, Ahead(make_client) as ahead:
        yield RemoteRepository(client, ahead, settings, name)


def rules_of(settings: HubSettings) -> Rules:
    """Return what may be reached: a mirror that the user named may be anywhere, in the clear.

    Such a host may also send on to another of its own ports, where some keep their files.
    """
    if not settings.is_own_endpoint:
        return Rules(hosts=frozenset({settings.host}))
    name = urlsplit(settings.endpoint).hostname
    return Rules(
        hosts=frozenset({settings.host, f"{name}:*"}), allow_plain_http=True, allow_private=True
    )


def _moved(name: HubName, info: RepositoryInfo) -> Iterator[str]:
    if info.id.casefold() != name.repository.casefold():
        yield f"The repository {name.repository} is now {info.id}."
    if info.n_left_out:
        yield f"{info.n_left_out:,} files of {info.id} have names that no path may have."
