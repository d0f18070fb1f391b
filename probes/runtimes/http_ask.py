"""One request to a server nearby: a deadline for all of it, a cap on bytes, no redirect followed.

HTTP/1.0 is spoken, so that the answer ends where the connection ends; whoever chunks it all the
same, or keeps the connection, is understood too.
"""

from __future__ import annotations

import re
import socket
import time

from whatfits.probes.system import (
    MAX_TEXT_BYTES,
    SourceGarbledError,
    SourceHungError,
    SourceMissingError,
)
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

__all__ = ["Answer", "Request", "ask"]

_MOST_HEAD_BYTES: Final = 65_536
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?:[ \r]|$)")
_CHUNK: Final = re.compile(rb"([0-9a-fA-F]{1,8})[^\r\n]*\r\n")


class Request(NamedTuple):
    """What is asked, and of whom.

    Attributes:
        host: an address, not a name.
        port: its port.
        path: begins with a slash.
        body: JSON to post; empty for a plain question.
        headers: more of them.
    """

    host: str
    port: int
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = {}


class Answer(NamedTuple):
    """What came back.

    Attributes:
        status: of the response; redirects are an answer like any other.
        headers: by name in lower case; of several of one name, the last.
        body: at most the cap.
        is_complete: False when the cap cut it short.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_complete: bool


def ask(request: Request, *, deadline_s: float, most_bytes: int = MAX_TEXT_BYTES) -> Answer:
    """Return the answer to one request.

    Raises:
        SourceMissingError: nobody listens there.
        SourceHungError: it did not answer in time; what has come until then is not used.
        SourceGarbledError: it answered with something that is not HTTP.
    """
    ends_s = time.monotonic() + deadline_s
    where = f"port {request.port}"
    try:
        with socket.create_connection((request.host, request.port), deadline_s) as link:
            link.settimeout(_left(ends_s, where))
            link.sendall(_head(request) + request.body)
            return _answer(link, ends_s=ends_s, where=where, most_bytes=most_bytes)
    except TimeoutError as error:
        raise SourceHungError(f"{where} did not answer in time") from error
    except OSError as error:
        raise SourceMissingError(f"{where} cannot be reached: {error.strerror}") from error


def _head(request: Request) -> bytes:
    host = f"[{request.host}]" if ":" in request.host else request.host
    lines = [
        f"{'POST' if request.body else 'GET'} {request.path} HTTP/1.0",
        f"Host: {host}:{request.port}",
        "Accept: application/json, text/plain",
        "Accept-Encoding: identity",
        "Connection: close",
        *(f"{name}: {value}" for name, value in request.headers.items()),
    ]
    if request.body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(request.body)}"]
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")


def _left(ends_s: float, where: str) -> float:
    left_s = ends_s - time.monotonic()
    if left_s <= 0:
        raise SourceHungError(f"{where} did not answer in time")
    return left_s


def _answer(link: socket.socket, *, ends_s: float, where: str, most_bytes: int) -> Answer:
    """Read until the answer ends: by its length, its last chunk, the connection's end or the cap.

    Raises:
        SourceHungError: the time is over first.
        SourceGarbledError: it is not HTTP, or ends too early.
    """
    received = bytearray()
    head: tuple[int, dict[str, str], int] | None = None
    while True:
        link.settimeout(_left(ends_s, where))
        part = link.recv(65_536)
        received += part
        if head is None:
            head = _parsed_head(received, where=where, is_all=not part)
        if head is None:
            continue
        status, headers, start = head
        size = headers.get("content-length", "")
        needed = int(size) if size.isascii() and size.isdigit() and len(size) < 20 else None  # noqa: PLR2004 - digits of 2^64
        body = bytes(received[start:])
        if "chunked" in headers.get("transfer-encoding", "").lower():
            text, is_whole = _unchunked(body)
        else:
            text = body if needed is None else body[:needed]
            is_whole = needed is not None and len(body) >= needed
        if is_whole or len(text) >= most_bytes:
            is_complete = is_whole and len(text) <= most_bytes
            return Answer(status, headers, text[:most_bytes], is_complete)
        if not part:
            if needed is not None or "transfer-encoding" in headers:
                raise SourceGarbledError(f"{where} ended its answer too early")
            return Answer(status, headers, text, is_complete=True)


def _parsed_head(
    received: bytearray, *, where: str, is_all: bool
) -> tuple[int, dict[str, str], int] | None:
    """Return status, headers and where the body begins; None while there is more to come.

    Raises:
        SourceGarbledError: it is not HTTP.
    """
    end = received.find(b"\r\n\r\n", 0, _MOST_HEAD_BYTES)
    if end < 0:
        if is_all or len(received) >= _MOST_HEAD_BYTES:
            raise SourceGarbledError(f"{where} does not speak HTTP")
        return None
    first, *lines = bytes(received[:end]).split(b"\r\n")
    status = _STATUS.match(first)
    if status is None:
        raise SourceGarbledError(f"{where} does not speak HTTP")
    headers = {}
    for line in lines:
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    return int(status[1]), headers, end + 4


def _unchunked(body: bytes) -> tuple[bytes, bool]:
    """Return what the whole chunks so far hold, and whether the last one has come."""
    parts: list[bytes] = []
    at = 0
    while (size := _CHUNK.match(body, at)) is not None:
        n_bytes = int(size[1], 16)
        if n_bytes == 0:
            return b"".join(parts), True
        parts.append(body[size.end() : size.end() + n_bytes])
        at = size.end() + n_bytes + 2
    return b"".join(parts), False
