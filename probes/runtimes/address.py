"""The address of a server, as a person types it: this machine or a private network, nothing else.

A name is resolved once, every address behind it is checked, and the checked one is connected to.
"""

from __future__ import annotations

import ipaddress
import socket
from functools import partial
from urllib.parse import urlsplit

from whatfits.probes.runtimes.parallel import all_at_once
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    Resolver = Callable[[str, int], list[str]]

__all__ = ["ServerAddress", "parse_address", "resolve"]

_ALLOWED: Final = "an address of this machine or of a private network, as 'http://127.0.0.1:8080'"
_PRIVATE: Final = tuple(
    ipaddress.ip_network(text)
    for text in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "::1/128",
        "fc00::/7",
    )
)
_PATHS: Final = ("", "/", "/v1", "/v1/")
_RESOLVE_DEADLINE_S: Final = 2.0
_HTTP_PORT: Final = 80


class ServerAddress(NamedTuple):
    """Where a server is.

    Attributes:
        url: without a path.
        host: name or address as typed.
        port: its port.
        ip: the address that was checked; empty before it was resolved.
        is_here: whether that is this machine.
    """

    url: str
    host: str
    port: int
    ip: str = ""
    is_here: bool = False


def parse_address(text: str) -> ServerAddress:
    """Return the parts of `http://HOST:PORT`; a base URL's `/v1` may follow.

    Raises:
        InvalidRequestError: it is anything else. What may be a password is not repeated.
    """
    shown = None if "@" in text else text
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise _refusal(shown) from None
    odd = any(ord(c) <= ord(" ") or ord(c) > ord("~") or c == "\\" for c in text)
    if odd or parts.scheme != "http" or not host or port == 0 or "%" in host:
        raise _refusal(shown)
    if "@" in parts.netloc or parts.query or parts.fragment or parts.path not in _PATHS:
        raise _refusal(shown)
    number = port or _HTTP_PORT
    return ServerAddress(f"http://{f'[{host}]' if ':' in host else host}:{number}", host, number)


def _refusal(shown: str | None) -> InvalidRequestError:
    return InvalidRequestError(
        what="server",
        got=shown,
        allowed=f"{_ALLOWED}; no user, no query",
        next_step="'whatfits start' shows the servers on this machine",
    )


def resolve(address: ServerAddress, resolver: Resolver | None = None) -> ServerAddress:
    """Return the address with the number that is to be connected to.

    Raises:
        InvalidRequestError: the name is unknown, or any of its addresses is neither of this
            machine nor of a private network.
    """
    (found,) = all_at_once(
        [partial(resolver or _numbers, address.host, address.port)],
        deadline_s=_RESOLVE_DEADLINE_S,
    )
    numbers = found if isinstance(found, list) else []
    if not numbers:
        raise InvalidRequestError(
            what="server", got=address.url, allowed="a name that can be resolved"
        )
    parsed = [_unmapped(number) for number in numbers]
    if not all(any(number in network for network in _PRIVATE) for number in parsed):
        raise InvalidRequestError(what="server", got=address.url, allowed=_ALLOWED)
    return address._replace(ip=str(parsed[0]), is_here=all(number.is_loopback for number in parsed))


def _numbers(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


def _unmapped(number: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return an address; one of IPv4 that is written as one of IPv6 is what it stands for."""
    parsed = ipaddress.ip_address(number.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped
    return parsed
