"""A server on loopback that answers range requests, with latency and a log of what it was asked.

with serving({"/model.gguf": data}) as server:
    Client(server.rules).file(server.url("/model.gguf"))
"""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any, NamedTuple

from whatfits.sizing.sources.http import Rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Reply = Callable[["Handler"], None]


class Seen(NamedTuple):
    """One request as it came in."""

    target: str
    headers: dict[str, str]


class Hole:
    """A file whose first bytes are real and whose rest is zeros, however long."""

    def __init__(self, start: bytes, size_bytes: int) -> None:
        self.start = start
        self.size_bytes = size_bytes

    def __len__(self) -> int:
        return self.size_bytes

    def __getitem__(self, part: slice) -> bytes:
        first, last, _ = part.indices(self.size_bytes)
        return self.start[first:last].ljust(max(last - first, 0), b"\0")


class Handler(BaseHTTPRequestHandler):
    """Answers a path with its file, or hands the connection to its reply."""

    protocol_version = "HTTP/1.1"
    # One packet an answer: headers and a small body apart would wait for each other.
    wbufsize = -1
    server: RangeServer

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        server = self.server
        server.seen.append(Seen(self.path, {k.lower(): v for k, v in self.headers.items()}))
        if server.latency_s:
            time.sleep(server.latency_s)
        found = server.files.get(self.path.partition("?")[0])
        if callable(found):
            found(self)
        elif found is None:
            self.answer(404, b"no such file")
        else:
            self.file(found)

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Send a whole answer; a header's name is written with underscores."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def raw(self, data: bytes) -> None:
        """Send bytes as they are and end the connection."""
        self.close_connection = True
        self.wfile.write(data)

    def file(self, content: bytes | Hole, *, etag: str = '"1"') -> None:
        """Send the part of a file that was asked for."""
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        size = len(content)
        changed = self.headers.get("If-Range", etag) != etag
        if match is None or changed:
            self.answer(200, content[0:size], ETag=etag)
            return
        first, last = int(match[1]), min(int(match[2]), size - 1)
        if first > last:
            self.answer(416, Content_Range=f"bytes */{size}", ETag=etag)
            return
        body = content[first : last + 1]
        self.pace(len(body))
        self.answer(206, body, Content_Range=f"bytes {first}-{last}/{size}", ETag=etag)

    def pace(self, n_bytes: int) -> None:
        """Wait as long as a line of the server's rate takes for so many bytes."""
        if self.server.bytes_per_s:
            time.sleep(n_bytes / self.server.bytes_per_s)


class RangeServer(ThreadingHTTPServer):
    """Answers GET; `seen` is what it was asked."""

    daemon_threads = True

    def __init__(
        self, files: Mapping[str, Any], *, latency_s: float = 0.0, bytes_per_s: float = 0.0
    ) -> None:
        self.files = dict(files)
        self.seen: list[Seen] = []
        self.latency_s = latency_s
        self.bytes_per_s = bytes_per_s
        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, *_arguments: object) -> None:
        """Say nothing: clients of these tests break connections off."""

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    @property
    def rules(self) -> Rules:
        """What a client needs to be allowed to ask this server, and no other private one."""
        return Rules(frozenset({self.host}), allow_plain_http=True, allow_private=True)

    def url(self, path: str) -> str:
        return f"http://{self.host}{path}"


@contextmanager
def serving(files: Mapping[str, Any], **options: float) -> Iterator[RangeServer]:
    """Run a server for as long as the block lasts."""
    server = RangeServer(files, **options)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
