"""A file on another machine, read by ranges: every byte is asked for once, and of one version."""

from __future__ import annotations

from whatfits.sizing.errors import RemoteAnswerError
from whatfits.sizing.sources.http.addresses import shown_url
from whatfits.sizing.sources.http.header_cache import KeptHeader, today
from whatfits.sizing.sources.http.ranges import (
    Extent,
    Version,
    parse_content_range,
    parse_length,
    range_header,
    version_of,
)
from whatfits.sizing.sources.http.wire import status_error
from whatfits.sizing.typed import TYPE_CHECKING, Protocol
from whatfits.sizing.units import KIB

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from whatfits.sizing.sources.http.header_cache import HeaderCache
    from whatfits.sizing.sources.http.wire import Answer

__all__ = ["FIRST_REQUEST_BYTES", "RemoteFile"]

FIRST_REQUEST_BYTES: Final = 64 * KIB  # holds every sizing key of a usual header
_LARGEST_GAP_BYTES: Final = 256 * KIB  # below that, reading on costs less than another request
_OK: Final = 200
_PARTIAL: Final = 206
_UNCHANGED: Final = 304
_UNSATISFIED: Final = 416
_EXPIRED: Final = (401, 403, 404, 410)  # what a signed address answers when its time is over


class Asker(Protocol):
    """What a file asks: `Client`, which makes such files."""

    @property
    def cache(self) -> HeaderCache | None:
        """Where headers are kept."""
        ...

    @property
    def is_offline(self) -> bool:
        """Whether the network is switched off."""
        ...

    def credentials_for(self, url: str) -> Mapping[str, str]:
        """Return the headers that go to the host of an address."""
        ...

    def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        most_bytes: int,
        most_whole_bytes: int | None = None,
        redirected: bool = False,
    ) -> Answer:
        """Return the answer at the end of the redirects, whatever its status."""
        ...


class RemoteFile:
    """A `ByteSource` over a URL.

    Attributes:
        url: as it was given.
        final_url: where the redirects ended; later ranges are asked for there.
        size_bytes: length of the whole file, as the server says in its first answer.
        headers: of the last answer, names in lower case.
        first_headers: of the address that was given, when it redirected (hubs put facts there).
        n_requests: answered so far, redirects not counted.
        received_bytes: of the file, so far.
        kept_on: the day on which the first bytes were received, when they came from the cache.
    """

    def __init__(self, client: Asker, url: str) -> None:
        """Ask for the first bytes.

        Raises:
            InvalidRequestError: the address may not be asked.
            UnreachableError: no connection, or too slow.
            RemoteAnswerError: the answer is no range of a file of known length.
        """
        self.url = url
        self.final_url = url
        self.size_bytes = 0
        self.headers: Mapping[str, str] = {}
        self.first_headers: Mapping[str, str] = {}
        self.n_requests = 0
        self.received_bytes = 0
        self._client = client
        self._version: Version | None = None
        self._parts: list[bytes | bytearray] = []  # as received: joining takes memory twice
        self._elsewhere: dict[int, bytes] = {}
        self._expected_end = 0
        self._kept = self._found()
        self.kept_on = None if self._kept is None else self._kept.day
        if self._kept is None or not self._client.is_offline:
            self._parts.append(self._fetch(0, FIRST_REQUEST_BYTES))

    @property
    def etag(self) -> str | None:
        """Return the entity tag of the version that is read; None if the server names none."""
        return None if self._version is None else self._version.etag

    @property
    def prefix_bytes(self) -> int:
        """Return how many bytes are known from the first one on."""
        return sum(map(len, self._parts))

    @property
    def prefix(self) -> bytes:
        """Return what is known of the file from its first byte on."""
        return b"".join(self._parts)

    def expect(self, end_bytes: int) -> None:
        """Make the next request that reads on from the start reach at least `end_bytes`."""
        self._expected_end = min(end_bytes, self.size_bytes)

    def read(self, offset: int, n: int) -> bytes:
        """Return `n` bytes at `offset`, fewer only where the file ends.

        Raises:
            UnreachableError: no connection, or too slow.
            RemoteAnswerError: the file changed, or the answer is not the range asked for.
        """
        end = min(offset + n, self.size_bytes)
        if offset >= end:
            return b""
        if offset > max(self.prefix_bytes, self._expected_end) + _LARGEST_GAP_BYTES:
            return self._read_elsewhere(offset, end)
        while (known := self.prefix_bytes) < end:
            self._parts.append(self._fetch(known, max(end, self._expected_end)))
        return self._known(offset, end)

    def _known(self, offset: int, end: int) -> bytes:
        """Return bytes that are here, from the start of the file on."""
        found: list[bytes | bytearray] = []
        start = 0
        for part in self._parts:
            if start < end and offset < start + len(part):
                found.append(part[max(offset - start, 0) : end - start])
            start += len(part)
        return b"".join(found)

    def keep(self) -> None:
        """Put what is known of the file's start into the client's cache, if it has one."""
        cache, version = self._client.cache, self._version
        known = 0 if self._kept is None else self._kept.n_bytes
        if cache is None or version is None or self.prefix_bytes <= known:
            return
        if version.etag is None and version.last_modified is None:
            return  # nobody could tell whether it is still the same file
        header = KeptHeader(
            parts=tuple(self._parts),
            size_bytes=self.size_bytes,
            etag=version.etag,
            last_modified=version.last_modified,
            day=today(),
        )
        cache.keep(self.url, self._client.credentials_for(self.url), header)

    def _found(self) -> KeptHeader | None:
        """Return what the cache has, taken over at once when there is nobody to ask."""
        cache = self._client.cache
        if cache is None:
            return None
        kept = cache.find(self.url, self._client.credentials_for(self.url))
        if kept is not None and self._client.is_offline:
            self._take(kept)
        return kept

    def _take(self, kept: KeptHeader) -> None:
        self._parts += kept.parts
        self.size_bytes = kept.size_bytes
        self._version = Version(kept.etag, kept.last_modified)

    def _read_elsewhere(self, offset: int, end: int) -> bytes:
        for start, known in self._elsewhere.items():
            if start <= offset and end <= start + len(known):
                return known[offset - start : end - start]
        data = bytearray()
        while offset + len(data) < end:
            data += self._fetch(offset + len(data), end)
        self._elsewhere[offset] = bytes(data)
        return self._elsewhere[offset]

    def _fetch(self, start: int, end: int) -> bytes | bytearray:
        """Return bytes from `start` on, at least one and at most up to `end`."""
        answer = self._ask(start, end)
        if answer.status == _UNCHANGED and self._version is None and self._kept is not None:
            self._take(self._kept)
            self._note(answer)
            return b""
        if self._version is None:
            self._kept = self.kept_on = None  # another file than the one that was kept
        extent = self._extent(answer)
        self._check_version(answer)
        if self._version is None:
            self._version = version_of(answer.headers)
            self.size_bytes = extent.size_bytes
        elif extent.size_bytes != self.size_bytes:
            raise self._error("changed the file while it was read")
        self._note(answer)
        if not self.size_bytes:
            return b""
        if not extent.start <= start < extent.end <= end:
            raise self._error("does not send the range that was asked for")
        # A server without ranges sends what is known again, before what was asked for.
        return answer.body[start - extent.start :] if start > extent.start else answer.body

    def _note(self, answer: Answer) -> None:
        self.headers = answer.headers
        self.first_headers = self.first_headers or answer.first_headers
        self.final_url = answer.final_url
        self.n_requests += 1
        if answer.status != _UNCHANGED:
            self.received_bytes += len(answer.body)

    def _ask(self, start: int, end: int) -> Answer:
        headers = dict(range_header(start, end))
        if self._version is not None:
            headers |= self._version.if_range
        elif self._kept is not None:
            headers |= self._kept.unless_changed
        answer = self._get(self.final_url, headers, start, end)
        if answer.status in _EXPIRED and self.final_url != self.url:
            answer = self._get(self.url, headers, start, end)
        return answer

    def _get(self, url: str, headers: Mapping[str, str], start: int, end: int) -> Answer:
        return self._client.get(
            url,
            headers=headers,
            most_bytes=end - start,
            most_whole_bytes=end,
            redirected=url != self.url,
        )

    def _extent(self, answer: Answer) -> Extent:
        """Return which part of which length an answer holds.

        Raises:
            RemoteAnswerError: it does not say, or says something else than it sends.
        """
        if answer.status == _OK:
            return self._whole(answer)
        if answer.status not in (_PARTIAL, _UNSATISFIED):
            raise status_error(self.url, answer)
        extent = parse_content_range(answer.headers.get("content-range", ""))
        sent = len(answer.body) if answer.status == _PARTIAL else 0
        is_sound = answer.is_whole or answer.status == _UNSATISFIED
        if extent is None or extent.end - extent.start != sent or (extent.size_bytes and not sent):
            is_sound = False
        if extent is None or not is_sound:
            raise self._error("does not send the range that it announces")
        return extent

    def _whole(self, answer: Answer) -> Extent:
        """Return the extent of an answer that begins at the first byte: the server has no ranges.

        Raises:
            RemoteAnswerError: the length of the whole is not known.
        """
        size = parse_length(answer.headers.get("content-length", ""))
        if size is None and answer.is_whole:
            size = len(answer.body)
        if size is None:
            raise self._error("does not say how long the file is")
        return Extent(0, len(answer.body), size)

    def _check_version(self, answer: Answer) -> None:
        """Refuse bytes of another version than those that are known.

        Raises:
            RemoteAnswerError: the entity tag or the date differs.
        """
        if self._version is not None and not self._version.is_that_of(answer.headers):
            raise self._error("changed the file while it was read")

    def _error(self, reason: str) -> RemoteAnswerError:
        return RemoteAnswerError(shown_url(self.url), reason=reason, next_step="try again")
