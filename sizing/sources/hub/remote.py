"""A repository on the Hub or a mirror: listed by its API, files read by ranges, nothing kept.

The token goes to the endpoint alone. The Hub redirects to a content network for the files
themselves, and what is sent there carries no token: the client sees to it.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

from whatfits.sizing.errors import MalformedFileError, RemoteAnswerError
from whatfits.sizing.readers.byte_source import BytesSource
from whatfits.sizing.readers.safetensors_index import MAX_INDEX_BYTES
from whatfits.sizing.sources.hub.ahead import Ahead
from whatfits.sizing.sources.hub.listing import (
    FILE_FORMAT,
    MAX_FILES,
    next_page,
    parse_info,
    parse_tree,
)
from whatfits.sizing.sources.hub.names import MAIN, PREFIX
from whatfits.sizing.sources.hub.refusals import refused
from whatfits.sizing.units import MIB

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from whatfits.sizing.readers.byte_source import ByteSource
    from whatfits.sizing.sources.http import Client, Document, Rules
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
        notes: what to say about where it came from.
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
        self.info = self._listed()
        self.place = f"{PREFIX}{self.info.id}"
        self.notes = tuple(_moved(name, self.info))
        self._paths = {file.path for file in self.info.files}

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
        """Open one of its files for reading at any place.

        Raises:
            BadInputError: it cannot be reached, or may not be read.
        """
        with self._explained():
            yield self._source(name)

    def expect(self, names: Sequence[str]) -> None:
        """Ask at once for the beginnings of files that will be opened.

        Raises:
            BadInputError: one of them cannot be reached, or may not be read.
        """
        with self._explained():
            self._ahead.fetch({name: self._address(name) for name in names})

    def _source(self, name: str) -> ByteSource:
        """Return a file as its reader wants it: small ones whole, of long ones what is asked for.

        The Hub sends small files by another way than long ones, which need not know ranges.
        """
        from whatfits.sizing.sources.http.header_source import HeaderSource  # noqa: PLC0415 - on use

        address, lower = self._address(name), name.lower()
        if lower.endswith(_WHOLE_SUFFIX):
            document = self._client.document(address, most_bytes=MAX_INDEX_BYTES)
            return BytesSource(document.body)
        file = self._ahead.take(name) or self._client.file(address)
        return HeaderSource(file) if lower.endswith(_GGUF_SUFFIX) else file

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
            if info.files and info.has_sizes:
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

    def _document(self, address: str) -> Document:
        return self._client.document(address, most_bytes=_MOST_LISTING_BYTES, accept=_JSON)


@contextmanager
def open_remote(name: HubName, settings: HubSettings) -> Iterator[RemoteRepository]:
    """Open a repository on the Hub, or on the mirror that the user has named.

    Raises:
        BadInputError: it cannot be reached, does not exist, or may not be read.
    """
    from whatfits.sizing.sources.http import Client  # noqa: PLC0415 - heavy, on use only

    credentials = {}
    if settings.token is not None:
        credentials[settings.host] = {"Authorization": f"Bearer {settings.token}"}
    rules = rules_of(settings)

    def make_client() -> Client:
        return Client(rules, credentials=credentials)

    with make_client() as client, Ahead(make_client) as ahead:
        yield RemoteRepository(client, ahead, settings, name)


def rules_of(settings: HubSettings) -> Rules:
    """Return what may be reached: a mirror that the user named may be anywhere, in the clear.

    Such a host may also send on to another of its own ports, where some keep their files.
    """
    from whatfits.sizing.sources.http import Rules  # noqa: PLC0415 - heavy, on use only

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
