"""Serves recorded answers on the loopback interface, and servers that misbehave."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FOLDER = Path(__file__).parent
NOT_FOUND = {"status": 404, "json": {"error": "not found"}}


class Served:
    """A server that answers: its port, and every request it has had."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.requests: list[tuple[str, str, dict[str, str]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def recorded(name: str) -> dict[str, Any]:
    """Return a recorded server, to be served as it is or changed."""
    value: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    return value


@contextmanager
def serving(recording: dict[str, Any]) -> Iterator[Served]:
    """Serve a recording on a free port for the length of the block."""
    served: list[Served] = []

    class Handler(BaseHTTPRequestHandler):
        def version_string(self) -> str:
            return str(recording.get("server", "recorded"))

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            served[0].requests.append((self.command, self.path, dict(self.headers)))
            answer = recording["answers"].get(self.path, recording.get("otherwise", NOT_FOUND))
            key = recording.get("key")
            if key is not None and self.headers.get("Authorization") != f"Bearer {key}":
                answer = {"status": 401, "json": {"error": "invalid key"}}
            text = answer["text"] if "text" in answer else json.dumps(answer.get("json"))
            body = text.encode()
            self.send_response(answer.get("status", 200))
            for name, value in answer.get("headers", {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(OSError):  # whoever asked has heard enough
                self.wfile.write(body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            self.do_GET()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    served.append(Served(server.server_address[1]))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield served[0]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def misbehaving(behave: Callable[[socket.socket], None]) -> Iterator[Served]:
    """Accept connections on a free port, and do to each what `behave` does."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        served = Served(listening.getsockname()[1])

        def one(link: socket.socket) -> None:
            with link, contextlib.suppress(OSError):
                link.recv(65_536)
                served.requests.append(("?", "?", {}))
                behave(link)

        def accept() -> None:
            with contextlib.suppress(OSError):  # the block has ended
                while True:
                    link, _ = listening.accept()
                    threading.Thread(target=one, args=(link,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield served
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
