"""A server's speed over loopback: times as they were, and servers that mean no good."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from whatfits.bench import server_speed
from whatfits.bench.server_speed import Endpoint, Reply, ask_at_once, completion, level_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


def word(text: str = "x") -> bytes:
    return b"data: " + json.dumps({"choices": [{"delta": {"content": text}}]}).encode() + b"\n\n"


USAGE = b'data: {"choices": [], "usage": {"completion_tokens": 8, "prompt_tokens": 90}}\n\n'
DONE = b"data: [DONE]\n\n"


def _read_request(link: socket.socket) -> dict[str, Any]:
    received = b""
    while b"\r\n\r\n" not in received:
        received += link.recv(65_536)
    head, _, body = received.partition(b"\r\n\r\n")
    size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < size:
        body += link.recv(65_536)
    asked: dict[str, Any] = json.loads(body)
    return asked | {"head": head.decode()}


@contextmanager
def serving(
    behave: Callable[[socket.socket, dict[str, Any]], None],
) -> Iterator[tuple[Endpoint, list[dict[str, Any]]]]:
    """Serve on loopback; `behave` answers each request, which are kept."""
    asked: list[dict[str, Any]] = []
    links: list[socket.socket] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def one(link: socket.socket) -> None:
        with link:
            try:
                request = _read_request(link)
                asked.append(request)
                behave(link, request)
            except OSError:
                return  # the other end had enough

    def accept() -> None:
        while True:
            try:
                link, _ = listener.accept()
            except OSError:
                return
            links.append(link)
            threading.Thread(target=one, args=(link,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield Endpoint("127.0.0.1", listener.getsockname()[1], "small"), asked
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(2)
        for link in links:
            link.close()


def steady(link: socket.socket, request: dict[str, Any]) -> None:
    """Answer as a server does: a prompt of a tenth of a second, then a token each hundredth."""
    del request
    time.sleep(0.1)
    link.sendall(HEAD)
    for _ in range(8):
        link.sendall(word())
        time.sleep(0.05)
    link.sendall(USAGE + DONE)


def test_first_token_and_speed_are_what_the_server_took() -> None:
    with serving(steady) as (endpoint, asked):
        reply = completion(endpoint, tokens=8, number=3, deadline_s=10)
    assert reply.error == ""
    assert reply.tokens == 8
    assert reply.events == 8
    assert reply.prompt_tokens == 90
    level = level_of([reply])
    assert level.answered == 1
    assert level.time_to_first_token_s is not None
    assert 0.1 <= level.time_to_first_token_s < 0.6
    assert level.tokens_per_s is not None
    # seven pauses of 50 ms; eight tokens in that time would be 22.9, and the first may come late
    assert 5 < level.tokens_per_s <= 21.5
    assert asked[0]["max_tokens"] == 8
    assert asked[0]["stream"] is True
    assert asked[0]["messages"][0]["content"].startswith("Story 3.")
    assert "Authorization" not in asked[0]["head"]


def test_a_key_is_sent_and_every_request_begins_otherwise() -> None:
    with serving(steady) as (endpoint, asked):
        keyed = Endpoint(endpoint.host, endpoint.port, "small", api_key="secret")
        replies = ask_at_once(keyed, concurrency=3, tokens=8, first_number=1, deadline_s=10)
    assert [reply.error for reply in replies] == ["", "", ""]
    assert all("Authorization: Bearer secret" in request["head"] for request in asked)
    assert len({request["messages"][0]["content"] for request in asked}) == 3


def test_requests_at_once_add_up() -> None:
    replies = [
        Reply(0.0, first_s=1.0, last_s=3.0, events=5, tokens=5),
        Reply(0.0, first_s=2.0, last_s=4.0, events=5, tokens=5),
        Reply(0.0, error="it did not answer in time"),
    ]
    level = level_of(replies)
    assert level.concurrency == 3
    assert level.answered == 2
    assert level.tokens == 10
    assert level.time_to_first_token_s == 1.5
    assert level.longest_time_to_first_token_s == 2.0
    assert level.tokens_per_s == 2.0  # four tokens in two seconds each
    assert level.total_tokens_per_s == 2.5


def test_several_tokens_an_event_are_counted_by_the_server() -> None:
    # 4 events of 2 tokens: 6 tokens come after the first event
    level = level_of([Reply(0.0, first_s=1.0, last_s=4.0, events=4, tokens=8)])
    assert level.tokens_per_s == 2.0


def test_without_a_count_events_are_tokens() -> None:
    level = level_of([Reply(0.0, first_s=1.0, last_s=2.0, events=11)])
    assert level.tokens == 11
    assert level.tokens_per_s == 10.0


def test_nothing_answered_gives_no_figures() -> None:
    level = level_of([Reply(0.0, error="x")])
    assert (level.answered, level.tokens) == (0, 0)
    assert level.time_to_first_token_s is level.tokens_per_s is level.total_tokens_per_s is None


def _drip(link: socket.socket, _: dict[str, Any]) -> None:
    link.sendall(HEAD)
    while True:
        link.sendall(b": ping\n\n")
        time.sleep(0.01)


def _flood(link: socket.socket, _: dict[str, Any]) -> None:
    link.sendall(HEAD)
    while True:
        link.sendall(word("y" * 60_000))


def _silence(link: socket.socket, _: dict[str, Any]) -> None:
    link.recv(1)


def _sends(answer: bytes) -> Callable[[socket.socket, dict[str, Any]], None]:
    return lambda link, _: link.sendall(answer)


REDIRECT = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n"


@pytest.mark.parametrize(
    ("behave", "reason"),
    [
        (_silence, "in time"),
        (_drip, "in time"),
        (_flood, "too long"),
        (_sends(b""), "without a word"),
        (_sends(HEAD), "without a word"),
        (_sends(HEAD + DONE), "without a word"),
        (_sends(HEAD + b"data: garbage\n\n"), "no JSON"),
        (_sends(HEAD + b'data: {"error": {"message": "out of \x1b[2J memory"}}\n\n'), "error"),
        (_sends(HEAD + b'data: {"error": {"message": "out of memory"}}\n\n'), "out of memory"),
        (_sends(b"SSH-2.0-x\r\n\r\n"), "not speak HTTP"),
        (_sends(b"HTTP/1.1 200 OK\r\n\r\n{}"), "not stream"),
        (_sends(b"HTTP/1.1 401 No\r\n\r\n"), "API key"),
        (_sends(b"HTTP/1.1 500 No\r\n\r\n"), "status 500"),
        (_sends(REDIRECT), "status 302"),
    ],
)
def test_a_server_that_means_no_good_is_an_error_in_time(
    behave: Callable[[socket.socket, dict[str, Any]], None], reason: str
) -> None:
    started = time.monotonic()
    # only what never ends is to end by the deadline; a busy machine may be slow at the others
    deadline_s = 1.0 if reason == "in time" else 30.0
    with serving(behave) as (endpoint, _):
        reply = completion(endpoint, tokens=8, number=1, deadline_s=deadline_s)
    if reason == "error":
        assert reply.error  # JSON does not allow the raw character
    else:
        assert reason in reply.error
    assert "\x1b" not in reply.error
    assert time.monotonic() - started < deadline_s + 4


def test_a_port_that_nobody_listens_on_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    reply = completion(Endpoint("127.0.0.1", port, "m"), tokens=1, number=0, deadline_s=1.0)
    assert "failed" in reply.error


def test_a_defect_of_ours_costs_one_request_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> Reply:
        raise ValueError("no")

    monkeypatch.setattr(server_speed, "completion", broken)
    endpoint = Endpoint("127.0.0.1", 1, "m")
    replies = ask_at_once(endpoint, concurrency=2, tokens=1, first_number=0, deadline_s=1.0)
    assert [reply.error for reply in replies] == ["no", "no"]
