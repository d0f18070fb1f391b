"""One request to one checked address, and its answer: nothing of it is believed or followed.

Every failure becomes an error of ours. Certificates are those of the system when `SSL_CERT_FILE`
or `SSL_CERT_DIR` is set, else certifi's.
"""

from __future__ import annotations

import re

from whatfits.sizing.errors import InvalidRequestError, RemoteAnswerError, UnreachableError
from whatfits.sizing.sources.http.addresses import shown_url
from whatfits.sizing.sources.http.guard import SpentError
from whatfits.sizing.sources.http.proxies import proxy_for
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import KIB
from whatfits.sizing.values import dataclass
from whatfits.sizing.version import VERSION

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping, Sequence
    from typing import Final

    import httpcore

    from whatfits.sizing.sources.http.addresses import Address
    from whatfits.sizing.sources.http.backend import CheckedBackend
    from whatfits.sizing.sources.http.guard import Guard
    from whatfits.sizing.sources.http.proxies import Proxy

__all__ = ["Answer", "Wire", "status_error"]

_SECONDS: Final = re.compile(r"[0-9]{1,5}")
_OK: Final = 200
_FIRST_WITHOUT_DATA: Final = 300
_LENGTH_DIGITS: Final = 20
_SMALL_BODY_BYTES: Final = 16 * KIB  # of errors and redirects: read, so that a connection is reused


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
    body: bytes | bytearray
    is_whole: bool
    final_url: str
    first_headers: Mapping[str, str]


class Wire:
    """The connections of one client.

    Attributes:
        guard: what they may cost.
        n_requests: asked so far.
    """

    def __init__(
        self,
        guard: Guard,
        *,
        resolver: Callable[[str, int], Sequence[str]] | None,
        environment: Mapping[str, str],
    ) -> None:
        """Connect nothing yet."""
        self.guard = guard
        self.n_requests = 0
        self._resolver = resolver
        self._environment = environment
        self._private: set[tuple[str, int]] = set()
        self._pools: dict[tuple[Proxy | None, str], httpcore.ConnectionPool] = {}
        self._backend: CheckedBackend | None = None

    @property
    def attempts(self) -> tuple[tuple[str, int], ...]:
        """Numeric address and port of every connection that was tried."""
        return () if self._backend is None else tuple(self._backend.attempts)

    def close(self) -> None:
        """Close every connection."""
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()

    def ask(
        self, address: Address, headers: Mapping[str, str], caps: tuple[int, int], shown: str
    ) -> Answer:
        """Return one answer; its body up to `caps[0]`, up to `caps[1]` when its status is 200.

        `shown` is the address as messages show it.

        Raises:
            UnreachableError: no connection, or too slow.
            RemoteAnswerError: no valid HTTP, too much of it, or a compressed body.
            InvalidRequestError: a header, proxy or file of certificates that cannot be used.
        """
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
        except httpcore.LocalProtocolError as error:
            raise InvalidRequestError(
                what="a header that is sent (perhaps a token)", allowed="one line of ASCII"
            ) from error
        except (httpcore.ProtocolError, httpcore.UnsupportedProtocol) as error:
            raise RemoteAnswerError(shown, reason="does not answer in valid HTTP") from error

    def _exchange(
        self, address: Address, headers: Mapping[str, str], caps: tuple[int, int]
    ) -> Answer:
        import httpcore  # noqa: PLC0415 - heavy

        pool = self._pool(address)
        self.n_requests += 1
        self.guard.start_request(most_body_bytes=max(caps))
        url = httpcore.URL(
            scheme=address.scheme, host=address.host, port=address.port, target=address.target
        )
        sent = {
            "Host": address.authority,
            "User-Agent": f"whatfits/{VERSION}",
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            **headers,
        }
        request = [(name.encode(), value.encode()) for name, value in sent.items()]
        with pool.stream("GET", url, headers=request) as response:
            received = _joined(response.headers)
            cap = caps[response.status == _OK]
            if response.status >= _FIRST_WITHOUT_DATA:
                cap = _SMALL_BODY_BYTES
            self.guard.start_body(most_body_bytes=cap)
            if received.get("content-encoding", "identity").strip().lower() != "identity":
                raise SpentError("compresses what was to be sent as it is")
            body, is_whole = _body(response, cap, received.get("content-length", ""))
        return Answer(response.status, received, body, is_whole, address.url, received)

    def _pool(self, address: Address) -> httpcore.ConnectionPool:
        import httpcore  # noqa: PLC0415 - heavy

        from whatfits.sizing.sources.http.backend import (  # noqa: PLC0415 - heavy
            CheckedBackend,
            resolve,
        )

        if self._backend is None:
            self._backend = CheckedBackend(
                self.guard, private=self._private, resolver=self._resolver or resolve
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


def status_error(url: str, answer: Answer) -> RemoteAnswerError:
    """Return the error for a status that is no success."""
    wait = answer.headers.get("retry-after", "")
    return RemoteAnswerError(
        shown_url(url),
        reason=f"answers with status {answer.status}",
        status=answer.status,
        headers=answer.headers,
        next_step=f"try again in {wait} s" if _SECONDS.fullmatch(wait) else "",
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


def _body(response: httpcore.Response, most_bytes: int, announced: str) -> tuple[bytearray, bool]:
    """Return the body up to a cap, and whether it ended there by itself.

    What comes after the cap is not read: leaving the response early closes the connection.
    """
    length = int(announced[:_LENGTH_DIGITS]) if announced.isdigit() else 0
    # room for all that is to come, once: what grows may lie in memory twice while it moves
    body = bytearray(min(length, most_bytes))
    received, is_whole = 0, True
    for part in response.iter_stream():
        left = most_bytes - received
        body[received : received + len(part)] = part[:left]
        received += min(len(part), left)
        if len(part) > left or (len(part) == left and length > most_bytes):
            is_whole = False
            break
    del body[received:]
    return body, is_whole


def _certificates(environment: Mapping[str, str]) -> ssl.SSLContext:
    import ssl  # noqa: PLC0415 - heavy

    import certifi  # noqa: PLC0415 - heavy

    file, folder = environment.get("SSL_CERT_FILE"), environment.get("SSL_CERT_DIR")
    if file or folder:
        try:
            return ssl.create_default_context(cafile=file or None, capath=folder or None)
        except (OSError, ValueError) as error:
            raise InvalidRequestError(
                what="SSL_CERT_FILE", got=file or folder, allowed="a file of certificates (PEM)"
            ) from error
    return ssl.create_default_context(cafile=certifi.where())
