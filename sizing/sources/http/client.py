"""The only HTTP client: asks checked addresses, follows redirects by hand, believes no answer.

One client serves one question. It reuses connections and is not shared between threads. Names that
lead to a private address, redirects out of the rules, compressed bodies, and answers longer or
slower than the budget are refused. `HTTPS_PROXY` is honoured (proxies.py); certificates are those
of the system when `SSL_CERT_FILE` or `SSL_CERT_DIR` is set, else certifi's.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Self

from whatfits.sizing.errors import InvalidRequestError, RemoteAnswerError, UnreachableError
from whatfits.sizing.sources.http.addresses import PUBLIC, check_url, shown_url
from whatfits.sizing.sources.http.guard import Budget, Guard, SpentError
from whatfits.sizing.sources.http.proxies import proxy_for
from whatfits.sizing.sources.http.remote_file import RemoteFile
from whatfits.sizing.units import KIB
from whatfits.sizing.values import dataclass
from whatfits.sizing.version import VERSION

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping, Sequence

    import httpcore

    from whatfits.sizing.sources.http.addresses import Address, Rules
    from whatfits.sizing.sources.http.backend import CheckedBackend
    from whatfits.sizing.sources.http.header_cache import HeaderCache
    from whatfits.sizing.sources.http.proxies import Proxy

__all__ = ["OFFLINE", "Answer", "Client", "Document", "is_offline"]

_OK: Final = 200
_FIRST_WITHOUT_DATA: Final = 300
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_LENGTH_DIGITS: Final = 20
_SMALL_BODY_BYTES: Final = 16 * KIB  # of errors and redirects: read, so that a connection is reused
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


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said at the end of the redirects.

    Attributes:
        status: of HTTP.
        headers: names in lower case; what came twice is joined by commas.
        body: its bytes, up to the cap of the request.
        is_whole: whether the body ended by itself.
        final_url: where the redirects ended.
        first_headers: of the first answer, when it was a redirect; else the same as `headers`.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_whole: bool
    final_url: str
    first_headers: Mapping[str, str]


class Client:
    """Asks servers within rules and a budget; a context manager.

    Attributes:
        rules: what may be reached.
        n_requests: asked so far, redirects counted.
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
        self.n_requests = 0
        self.cache = cache
        self._environment = os.environ if environment is None else environment
        self.is_offline = is_offline(self._environment)
        self._credentials = credentials or {}
        self._guard = Guard(budget)
        self._resolver = resolver
        self._private: set[tuple[str, int]] = set()
        self._pools: dict[tuple[Proxy | None, str], httpcore.ConnectionPool] = {}
        self._backend: CheckedBackend | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()

    @property
    def received_bytes(self) -> int:
        """Bytes that came in so far, headers counted."""
        return self._guard.received_bytes

    @property
    def attempts(self) -> tuple[tuple[str, int], ...]:
        """Numeric address and port of every connection that was tried."""
        return () if self._backend is None else tuple(self._backend.attempts)

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
        return Document(answer.body, answer.headers, answer.headers.get("etag"), answer.final_url)

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
                next_step=f"unset {' and '.join(OFFLINE)}",
            )
        first_headers: Mapping[str, str] | None = None
        for _ in range(self._guard.budget.most_redirects + 1):
            answer = self._ask(address, headers, caps, shown_url(url))
            first_headers = answer.headers if first_headers is None else first_headers
            if answer.status not in _REDIRECTS:
                return Answer(
                    answer.status,
                    answer.headers,
                    answer.body,
                    answer.is_whole,
                    address.url,
                    first_headers,
                )
            address = self._redirect(address, answer.headers.get("location", ""), url)
        raise RemoteAnswerError(
            shown_url(url),
            reason=f"redirects more than {self._guard.budget.most_redirects} times",
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

    def _ask(
        self, address: Address, headers: Mapping[str, str], caps: tuple[int, int], shown: str
    ) -> Answer:
        """Return one answer, redirects not followed; every failure becomes an error of ours."""
        import httpcore  # noqa: PLC0415 - heavy

        try:
            return self._exchange(address, headers, caps)
        except SpentError as spent:
            if spent.late:
                raise UnreachableError(shown, reason=f"is too slow: it {spent}") from spent
            raise RemoteAnswerError(shown, reason=str(spent)) from spent
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
            raise _unreachable(shown, error) from error
        except httpcore.ProxyError as error:
            raise UnreachableError(shown, reason="is refused by the proxy") from error
        except (httpcore.NetworkError, httpcore.TimeoutException) as error:
            raise UnreachableError(shown, reason="broke the connection off") from error
        except (httpcore.ProtocolError, httpcore.UnsupportedProtocol) as error:
            raise RemoteAnswerError(shown, reason="does not answer in valid HTTP") from error

    def _exchange(
        self, address: Address, headers: Mapping[str, str], caps: tuple[int, int]
    ) -> Answer:
        import httpcore  # noqa: PLC0415 - heavy

        pool = self._pool(address)
        self.n_requests += 1
        self._guard.start_request(most_body_bytes=max(caps))
        url = httpcore.URL(
            scheme=address.scheme, host=address.host, port=address.port, target=address.target
        )
        sent = {
            "Host": address.authority,
            "User-Agent": f"whatfits/{VERSION}",
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            **headers,
            **self._credentials_for(address),
        }
        request = [(name.encode(), value.encode()) for name, value in sent.items()]
        with pool.stream("GET", url, headers=request) as response:
            received = _joined(response.headers)
            cap = caps[response.status == _OK]
            if response.status >= _FIRST_WITHOUT_DATA:
                cap = _SMALL_BODY_BYTES
            self._guard.start_body(most_body_bytes=cap)
            if received.get("content-encoding", "identity").strip().lower() != "identity":
                raise SpentError("compresses what was to be sent as it is")
            body, is_whole = _body(response, cap, received.get("content-length", ""))
        return Answer(response.status, received, body, is_whole, address.url, received)

    def _credentials_for(self, address: Address) -> Mapping[str, str]:
        found = self._credentials.get(address.authority, {})
        usual = 443 if address.scheme == "https" else 80
        if address.scheme != "https" and not self.rules.names(
            address.host, address.port, default_port=usual
        ):
            return {}
        return found

    def _pool(self, address: Address) -> httpcore.ConnectionPool:
        import httpcore  # noqa: PLC0415 - heavy

        from whatfits.sizing.sources.http.backend import (  # noqa: PLC0415 - heavy
            CheckedBackend,
            resolve,
        )

        if self._backend is None:
            self._backend = CheckedBackend(
                self._guard, private=self._private, resolver=self._resolver or resolve
            )
        if address.may_be_private:
            self._private.add((address.host, address.port))
        proxy = proxy_for(address, self._environment)
        key = (proxy, address.scheme)
        if key not in self._pools:
            if proxy is not None:
                self._private.add((proxy.address.host, proxy.address.port))
            is_open = address.scheme == "http"
            self._pools[key] = httpcore.ConnectionPool(
                ssl_context=None if is_open else _certificates(self._environment),
                proxy=None
                if proxy is None
                else httpcore.Proxy(proxy.address.url, proxy.credentials),
                network_backend=self._backend,
                retries=0,
            )
        return self._pools[key]


def is_offline(environment: Mapping[str, str]) -> bool:
    """Whether a person has switched the network off."""
    return any(environment.get(name, "").strip().lower() not in _NO for name in OFFLINE)


def status_error(url: str, answer: Answer) -> RemoteAnswerError:
    """Return the error for a status that is no success."""
    return RemoteAnswerError(
        shown_url(url),
        reason=f"answers with status {answer.status}",
        status=answer.status,
        headers=answer.headers,
    )


def _unreachable(shown: str, error: Exception) -> UnreachableError:
    import ssl  # noqa: PLC0415 - heavy

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return UnreachableError(
                shown,
                reason="has a certificate that cannot be trusted",
                next_step="set SSL_CERT_FILE if your network has its own authority",
            )
        cause = cause.__cause__ or cause.__context__
    return UnreachableError(shown)


def _joined(headers: Sequence[tuple[bytes, bytes]]) -> Mapping[str, str]:
    joined: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined


def _body(response: httpcore.Response, most_bytes: int, announced: str) -> tuple[bytes, bool]:
    """Return the body up to a cap, and whether it ended there by itself.

    What comes after the cap is not read: leaving the response early closes the connection.
    """
    stops_at_cap = announced.isdigit() and int(announced[:_LENGTH_DIGITS]) > most_bytes
    parts: list[bytes] = []
    left = most_bytes
    for part in response.iter_stream():
        parts.append(part[:left] if left > 0 else b"")
        left -= len(part)
        if left < 0 or (left == 0 and stops_at_cap):
            return b"".join(parts), False
    return b"".join(parts), True


def _certificates(environment: Mapping[str, str]) -> ssl.SSLContext:
    import ssl  # noqa: PLC0415 - heavy

    import certifi  # noqa: PLC0415 - heavy

    file, folder = environment.get("SSL_CERT_FILE"), environment.get("SSL_CERT_DIR")
    if file or folder:
        return ssl.create_default_context(cafile=file or None, capath=folder or None)
    return ssl.create_default_context(cafile=certifi.where())
