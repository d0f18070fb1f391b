"""Connections to checked addresses: a name is looked up once, and what was checked is used.

Looking up twice, once to check and once to connect, would let a name answer differently the second
time (DNS rebinding). `Host` and the certificate are those of the name.
"""

from __future__ import annotations

import ipaddress
import socket
import threading

import httpcore

from whatfits.sizing.sources.http.addresses import is_public
from whatfits.sizing.sources.http.guard import SpentError
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any, Final

    from whatfits.sizing.sources.http.guard import Guard

__all__ = ["CheckedBackend", "resolve"]

_MAX_TRIED: Final = 4  # addresses of one name; the rest would only spend the time


def resolve(host: str, port: int) -> Sequence[str]:
    """Return the numeric addresses of a host, as the system orders them.

    Raises:
        OSError: the name is not known.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class CheckedBackend(httpcore.NetworkBackend):
    """Connects only where `may_be_private` or every address of the name is public.

    Attributes:
        attempts: numeric address and port of every connection that was tried.
    """

    def __init__(
        self,
        guard: Guard,
        *,
        private: set[tuple[str, int]],
        resolver: Callable[[str, int], Sequence[str]] = resolve,
    ) -> None:
        self.attempts: list[tuple[str, int]] = []
        self._guard = guard
        self._private = private
        self._resolver = resolver
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - the guard knows how much time is left
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Return a connection to the first address of `host` that answers.

        Raises:
            httpcore.ConnectError: none does, or one of them may not be reached.
        """
        addresses = self._looked_up(host, port)
        if (host, port) not in self._private and not all(_is_public(ip) for ip in addresses):
            raise httpcore.ConnectError("not a public address")
        error: Exception = httpcore.ConnectError("no address")
        addresses = addresses[:_MAX_TRIED]
        # Shared out, so that an address that swallows everything leaves time for the next one.
        patience_s = self._guard.budget.connect_s / len(addresses)
        for ip in addresses:
            self.attempts.append((ip, port))
            try:
                stream = self._plain.connect_tcp(
                    ip,
                    port,
                    timeout=self._guard.timeout(patience_s),
                    local_address=local_address,
                    socket_options=socket_options,
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as failed:
                error = failed
            else:
                return _GuardedStream(stream, self._guard)
        raise error

    def _looked_up(self, host: str, port: int) -> Sequence[str]:
        """Return the addresses of a host; the system's own look-up knows no time limit.

        Raises:
            httpcore.ConnectError: it is not known, or not within the time.
        """
        if _as_ip(host) is not None:
            return (host,)
        found: list[str] = []

        def look_up() -> None:
            try:
                found.extend(self._resolver(host, port))
            except (OSError, UnicodeError):
                found.clear()

        thread = threading.Thread(target=look_up, daemon=True)
        thread.start()
        thread.join(self._guard.timeout(self._guard.budget.connect_s))
        addresses = [] if thread.is_alive() else list(found)
        if not addresses:
            raise httpcore.ConnectError("the name is not known")
        return addresses


class _GuardedStream(httpcore.NetworkStream):
    """A connection whose every wait and byte is counted."""

    def __init__(self, stream: httpcore.NetworkStream, guard: Guard) -> None:
        self._stream = stream
        self._guard = guard

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - the guard's
        n = self._guard.next_read_bytes(max_bytes)
        try:
            data = self._stream.read(n, timeout=self._guard.timeout(self._guard.budget.silence_s))
        except httpcore.ReadTimeout as error:
            self._guard.timeout(1.0)  # says so if the deadline was the reason
            raise SpentError("stopped sending", late=True) from error
        self._guard.received(len(data))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 - the guard's
        self._stream.write(buffer, timeout=self._guard.timeout(self._guard.budget.silence_s))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002 - the guard's
    ) -> httpcore.NetworkStream:
        stream = self._stream.start_tls(
            ssl_context,
            server_hostname=server_hostname,
            timeout=self._guard.timeout(self._guard.budget.connect_s),
        )
        return _GuardedStream(stream, self._guard)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - as the library declares it
        return self._stream.get_extra_info(info)


def _as_ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _is_public(text: str) -> bool:
    ip = _as_ip(text)
    return ip is not None and is_public(ip)
