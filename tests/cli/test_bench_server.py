"""`whatfits bench --server`: several requests at once, and servers that are none or refuse."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from whatfits.sizing.cli.bench_server import parse_model_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Said


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (b'{"data": [{"id": "a"}, {"id": "b"}, {"id": "a"}]}', ("a", "b")),
        (b'{"data": [{"id": 1}, 2, {"id": ""}, {"id": "x\\u001b"}]}', ()),
        (b'{"data": 1}', ()),
        (b"[]", ()),
        (b"garbage", ()),
        (b"[" * 100_000, ()),
    ],
)
def test_the_models_of_a_server_are_those_it_lists(body: bytes, names: tuple[str, ...]) -> None:
    assert parse_model_names(body) == names


class _Server(BaseHTTPRequestHandler):
    """Lists `models`, and completes with a token an event; 401 without the key it may want."""

    protocol_version = "HTTP/1.1"
    models: ClassVar[tuple[str, ...]] = ("small",)
    key: ClassVar[str | None] = None
    asked: ClassVar[list[dict[str, Any]]] = []

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """List the models."""
        body = json.dumps({"data": [{"id": name} for name in self.models]}).encode()
        refused = self.key is not None and self.headers["Authorization"] != f"Bearer {self.key}"
        self.send_response(401 if refused else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        """Stream an answer."""
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(request)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        count = request["max_tokens"]
        for _ in range(count):
            self._event({"choices": [{"delta": {"content": "x"}}]})
            time.sleep(0.001)
        usage = {"completion_tokens": count, "prompt_tokens": 77}
        self._event({"choices": [], "usage": usage})
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def _event(self, value: object) -> None:
        self.wfile.write(f"data: {json.dumps(value)}\n\n".encode())
        self.wfile.flush()


@contextmanager
def _serving(**changes: object) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    kind = type("Served", (_Server,), {"asked": [], **changes})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", kind.asked  # type: ignore[attr-defined]
        finally:
            server.shutdown()
            thread.join()


def test_a_server_is_measured_at_several_requests_at_once(
    say: Callable[..., Said], is_valid: Callable[..., None]
) -> None:
    with _serving() as (url, asked):
        said = say("bench", "--server", url, "--json")
    assert said.code == 0, said
    answer = said.json
    is_valid("bench", answer)
    assert [row["concurrency"] for row in answer["timings"]] == [1, 2, 4]
    assert [row["answered"] for row in answer["timings"]] == [1, 2, 4]
    assert [row["tokens"] for row in answer["timings"]] == [64, 128, 256]
    assert answer["model"] == "small"
    assert answer["counted_by"] == "usage"
    assert answer["prompt_tokens"] == 77
    assert answer["warnings"] == []
    assert len(asked) == 1 + 1 + 2 + 4
    assert {request["model"] for request in asked} == {"small"}


def test_of_several_models_one_has_to_be_named(say: Callable[..., Said]) -> None:
    with _serving(models=("a", "b")) as (url, asked):
        refused = say("bench", "--server", url)
        unknown = say("bench", "--server", url, "--name", "c")
        chosen = say("bench", "--server", url, "--name", "b", "--plain")
    assert (refused.code, unknown.code, chosen.code) == (2, 2, 0)
    assert "a, b" in refused.err
    assert "Model: b" in chosen.lines
    assert {request["model"] for request in asked} == {"b"}


def test_a_server_that_lists_no_models_is_said_to_be_none_of_that_kind(
    say: Callable[..., Said],
) -> None:
    with _serving(models=()) as (url, asked):
        said = say("bench", "--server", url)
    assert said.code == 2
    assert "lists its models at /v1/models" in said.err
    assert "status 200 and no list" in said.err
    assert len(said.err.splitlines()) == 1
    assert asked == []


def test_a_server_that_wants_a_key_says_so_and_gets_it(
    say: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    with _serving(key="secret") as (url, _):
        refused = say("bench", "--server", url)
        monkeypatch.setenv("WHATFITS_API_KEY", "secret")
        answered = say("bench", "--server", url, "--plain")
    assert refused.code == 2
    assert "API key" in refused.err
    assert answered.code == 0
    assert "secret" not in answered.out + refused.err


def test_a_server_that_cannot_complete_is_refused_in_one_line(say: Callable[..., Said]) -> None:
    def do_post(self: _Server) -> None:
        self.send_error(503)

    with _serving(do_POST=do_post) as (url, _):
        said = say("bench", "--server", url)
    assert said.code == 2
    assert "status 503" in said.err
    assert said.err.count("\n") == 1


def test_nobody_on_the_port_is_refused_in_one_line(say: Callable[..., Said]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    said = say("bench", "--server", f"http://127.0.0.1:{port}")
    assert said.code == 2
    assert "one that answers" in said.err
