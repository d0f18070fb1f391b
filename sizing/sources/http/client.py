"""The only HTTP client: asks checked addresses, follows redirects by hand, believes no answer.

One client serves one question. It reuses connections and is not shared between threads. Names that
lead to a private address, redirects out of the rules, compressed bodies, and answers longer or
slower than the budget are refused. `HTTPS_PROXY` is honoured (proxies.py).
"""

from __future__ import annotations

import os

from whatfits.sizing.errors import InvalidRequestError, RemoteAnswerError, UnreachableError
from whatfits.sizing.sources.http.addresses import PUBLIC, check_url, shown_url
from whatfits.sizing.sources.http.guard import Budget, Guard
from whatfits.sizing.sources.http.remote_file import RemoteFile
from whatfits.sizing.sources.http.wire import Answer, Wire, status_error
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass, replace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Final, Self

    from whatfits.sizing.sources.http.addresses import Address, Rules
    from whatfits.sizing.sources.http.header_cache import HeaderCache

__all__ = ["OFFLINE", "Client", "Document", "is_offline"]

_OK: Final = 200
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_BUDGET: Final = Budget()
OFFLINE: Final = ("WHATFITS_OFFLINE", "HF_HUB_OFFLINE")
_NO: Final = frozenset({"", "0", "false", "no", "off"})


@dataclass(frozen=True, slots=True)
class Document:
    """A small answer, whole.

    Attributes:
        body: its bytes.
        headers: of the last answer, names in lower case.
        etag: as the server sent it; None if it did not.
        final_url: where the redirects ended.
    """

    body: bytes
    headers: Mapping[str, str]
    etag: str | None
    final_url: str


class Client:
    """Asks servers within rules and a budget; a context manager.

    Attributes:
        rules: what may be reached.
        cache: where headers are kept.
        is_offline: whether the network is switched off (`WHATFITS_OFFLINE` or `HF_HUB_OFFLINE`).
    """

    def __init__(
        self,
        rules: Rules = PUBLIC,
        *,
        credentials: Mapping[str, Mapping[str, str]] | None = None,
        budget: Budget = _BUDGET,
        resolver: Callable[[str, int], Sequence[str]] | None = None,
        environment: Mapping[str, str] | None = None,
        cache: HeaderCache | None = None,
    ) -> None:
        """Make a client; nothing is connected yet.

        `credentials`: host (`host:port` where the port is unusual) → headers that go to it alone.
        `resolver` replaces the system's look-up of names, `environment` that of the process;
        `cache` is where headers are kept that `file` reads, none unless given.
        """
        self.rules = rules
        self.cache = cache
        self._environment = os.environ if environment is None else environment
        self.is_offline = is_offline(self._environment)
        self._credentials = credentials or {}
        self._wire = Wire(Guard(budget), resolver=resolver, environment=self._environment)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self._wire.close()

    @property
    def notes(self) -> tuple[str, ...]:
        """What to say about the cache."""
        return tuple(f"Cache: {entry}." for entry in self._damaged)

    @property
    def _damaged(self) -> tuple[str, ...]:
        return () if self.cache is None else self.cache.damaged

    @property
    def n_requests(self) -> int:
        """Requests so far, redirects counted."""
        return self._wire.n_requests

    @property
    def received_bytes(self) -> int:
        """Bytes that came in so far, headers counted."""
        return self._wire.guard.received_bytes

    @property
    def attempts(self) -> tuple[tuple[str, int], ...]:
        """Numeric address and port of every connection that was tried."""
        return self._wire.attempts

    def document(self, url: str, *, most_bytes: int, accept: str | None = None) -> Document:
        """Return a small document.

        Raises:
            InvalidRequestError: the address may not be asked.
            UnreachableError: no connection, or too slow.
            RemoteAnswerError: another status than 200, or more than `most_bytes`.
        """
        headers = {} if accept is None else {"Accept": accept}
        answer = self.get(url, headers=headers, most_bytes=most_bytes)
        if answer.status != _OK:
            raise status_error(url, answer)
        if not answer.is_whole:
            raise RemoteAnswerError(shown_url(url), reason=f"sends more than {most_bytes:,} bytes")
        return Document(
            bytes(answer.body), answer.headers, answer.headers.get("etag"), answer.final_url
        )

    def file(self, url: str) -> RemoteFile:
        """Return a file that is read by ranges; its first 64 KiB are asked for at once.

        Raises:
            InvalidRequestError: the address may not be asked.
            UnreachableError: no connection, or too slow.
            RemoteAnswerError: another status than 200 or 206, or a length that is not known.
        """
        return RemoteFile(self, url)

    def credentials_for(self, url: str) -> Mapping[str, str]:
        """Return the headers that go to the host of an address, and to it alone.

        Raises:
            InvalidRequestError: the address may not be asked.
        """
        return self._credentials_for(check_url(url, self.rules))

    def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        most_bytes: int,
        most_whole_bytes: int | None = None,
        redirected: bool = False,
    ) -> Answer:
        """Return the answer at the end of the redirects, whatever its status.

        Its body is read up to `most_bytes`; up to `most_whole_bytes` instead, if given, when the
        status is 200. `redirected`: the address came from a server.

        Raises:
            InvalidRequestError: the address may not be asked.
            UnreachableError: no connection, or too slow.
            RemoteAnswerError: no valid HTTP, a compressed body, a redirect that is not allowed.
        """
        caps = (most_bytes, most_bytes if most_whole_bytes is None else most_whole_bytes)
        address = check_url(url, self.rules, redirected=redirected)
        if self.is_offline:
            raise UnreachableError(
                shown_url(url),
                reason="is not kept here, and the network is switched off",
                next_step="; ".join((f"unset {' and '.join(OFFLINE)}", *self._damaged)),
            )
        first_headers: Mapping[str, str] | None = None
        most_redirects = self._wire.guard.budget.most_redirects
        for _ in range(most_redirects + 1):
            sent = {**headers, **self._credentials_for(address)}
            answer = self._wire.ask(address, sent, caps, shown_url(url))
            first_headers = answer.headers if first_headers is None else first_headers
            if answer.status not in _REDIRECTS:
                return replace(answer, first_headers=first_headers)
            address = self._redirect(address, answer.headers.get("location", ""), url)
        raise RemoteAnswerError(
            shown_url(url), reason=f"redirects more than {most_redirects} times"
        )

    def _redirect(self, address: Address, location: str, url: str) -> Address:
        """Return where a redirect leads.

        Raises:
            RemoteAnswerError: it leads out of the rules, or from https to http.
        """
        if location.startswith("//"):
            location = f"{address.scheme}:{location}"
        elif location.startswith("/"):
            location = f"{address.scheme}://{address.authority}{location}"
        elif "://" not in location.partition("?")[0]:
            folder = address.target.partition("?")[0].rpartition("/")[0]
            location = f"{address.scheme}://{address.authority}{folder}/{location}"
        try:
            following = check_url(location, self.rules, redirected=True)
        except InvalidRequestError:
            following = None
        if following is None or (address.scheme == "https" and following.scheme != "https"):
            raise RemoteAnswerError(
                shown_url(url), reason="redirects to an address that is not allowed"
            )
        return following

    def _credentials_for(self, address: Address) -> Mapping[str, str]:
        found = self._credentials.get(address.authority, {})
        usual = 443 if address.scheme == "https" else 80
        if address.scheme != "https" and not self.rules.names(
            address.host, address.port, default_port=usual
        ):
            return {}
        return found


def is_offline(environment: Mapping[str, str]) -> bool:
    """Whether a person has switched the network off."""
    return any(environment.get(name, "").strip().lower() not in _NO for name in OFFLINE)
