"""Requests as no browser sends them: byte for byte what is written here."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, NamedTuple

from browser_pages import LOOPBACK

if TYPE_CHECKING:
    from browser_pages import Server

_TIMEOUT_S = 20
_PIECE_BYTES = 65_536


class Reply(NamedTuple):
    """A status, the headers in small letters, and the body."""

    status: int
    headers: str
    body: bytes


def opened(server: Server) -> socket.socket:
    """Return a connection to the server."""
    return socket.create_connection((LOOPBACK, server.port), timeout=_TIMEOUT_S)


def request(
    server: Server,
    method: str,
    path: str,
    *,
    headers: dict[str, str] | None = None,
    body: bytes = b"",
) -> Reply:
    """Send a request and return what came until the server closed."""
    fields = {"Host": f"{LOOPBACK}:{server.port}", "Connection": "close"}
    if body and "Transfer-Encoding" not in (headers or {}):
        fields["Content-Length"] = str(len(body))
    fields |= headers or {}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return exchanged(server, "\r\n".join([*lines, "", ""]).encode("latin-1") + body)


def exchanged(server: Server, sent: bytes) -> Reply:
    """Send bytes and return what came until the server closed; status 0 for nothing."""
    with opened(server) as connection:
        pieces = []
        try:
            connection.sendall(sent)
            while piece := connection.recv(_PIECE_BYTES):
                pieces.append(piece)
        except (ConnectionError, BrokenPipeError):
            pass
    head, _, body = b"".join(pieces).partition(b"\r\n\r\n")
    words = head.split(None, 2)
    status = int(words[1]) if len(words) > 1 else 0
    return Reply(status, head.decode("latin-1").lower(), body)
