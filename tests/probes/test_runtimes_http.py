"""Asking a server nearby: bounded in time and bytes, whatever it does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from loopback_server import misbehaving, serving

from whatfits.probes.runtimes.answers import json_object
from whatfits.probes.runtimes.http_ask import Request, ask
from whatfits.probes.system import SourceGarbledError, SourceHungError, SourceMissingError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

OK = b"HTTP/1.1 200 OK\r\n"
DEADLINE_S = 0.4
CAP = 100_000


def _for_ever(link: socket.socket, part: bytes, *, pause_s: float = 0.0) -> None:
    while True:
        link.sendall(part)
        time.sleep(pause_s)


def endless_body(link: socket.socket) -> None:
    link.sendall(OK + b"\r\n")
    _for_ever(link, b"[" * 65_536)


def endless_chunks(link: socket.socket) -> None:
    link.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n")
    _for_ever(link, b"1000\r\n" + b"a" * 4096 + b"\r\n")


def endless_head(link: socket.socket) -> None:
    link.sendall(OK)
    _for_ever(link, b"X-More: and more\r\n" * 1000)


def slow_body(link: socket.socket) -> None:
    link.sendall(OK + b"Content-Length: 500\r\n\r\n")
    _for_ever(link, b"a", pause_s=0.02)


def slow_head(link: socket.socket) -> None:
    _for_ever(link, b"H", pause_s=0.02)


def silent(link: socket.socket) -> None:
    time.sleep(2)


def gone(link: socket.socket) -> None:
    del link


def another_protocol(link: socket.socket) -> None:
    link.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")


def cut_short(link: socket.socket) -> None:
    link.sendall(OK + b"Content-Length: 500\r\n\r\n{}")


def cut_chunk(link: socket.socket) -> None:
    link.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n10\r\nab")


def binary(link: socket.socket) -> None:
    link.sendall(bytes(range(256)) * 300)


@pytest.mark.parametrize(
    ("behave", "error"),
    [
        (endless_head, SourceGarbledError),
        (slow_body, SourceHungError),
        (slow_head, SourceHungError),
        (silent, SourceHungError),
        (gone, SourceGarbledError),
        (another_protocol, SourceGarbledError),
        (cut_short, SourceGarbledError),
        (cut_chunk, SourceGarbledError),
        (binary, SourceGarbledError),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_server_that_misbehaves_is_given_up_in_time(
    behave: Callable[[socket.socket], None], error: type[Exception]
) -> None:
    with misbehaving(behave) as served:
        started = time.monotonic()
        with pytest.raises(error):
            ask(Request("127.0.0.1", served.port, "/"), deadline_s=DEADLINE_S)
        assert time.monotonic() - started < DEADLINE_S + 0.3


@pytest.mark.parametrize("behave", [endless_body, endless_chunks])
def test_an_endless_answer_is_cut_at_the_cap(behave: Callable[[socket.socket], None]) -> None:
    with misbehaving(behave) as served:
        answer = ask(Request("127.0.0.1", served.port, "/"), deadline_s=5, most_bytes=CAP)
    assert len(answer.body) == CAP
    assert not answer.is_complete
    assert json_object({"/": answer}, "/") == {}


def test_nobody_there_is_said_at_once() -> None:
    with serving({"answers": {}}) as served:
        port = served.port
    with pytest.raises(SourceMissingError):
        ask(Request("127.0.0.1", port, "/"), deadline_s=DEADLINE_S)


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    with serving({"answers": {}}) as other:
        moved = {"status": 302, "headers": {"Location": f"{other.url}/v1/models"}, "text": ""}
        with serving({"answers": {}, "otherwise": moved}) as served:
            answer = ask(Request("127.0.0.1", served.port, "/props"), deadline_s=2)
        assert answer.status == 302
        assert json_object({"/props": answer}, "/props") == {}
        assert other.requests == []


def test_ten_megabytes_of_json_are_no_answer() -> None:
    large = {"answers": {"/": {"text": '{"a": "' + "b" * 10_000_000 + '"}'}}}
    with serving(large) as served:
        answer = ask(Request("127.0.0.1", served.port, "/"), deadline_s=5)
    assert len(answer.body) == 1_000_000
    assert json_object({"/": answer}, "/") == {}


@pytest.mark.parametrize(
    "text",
    ["[" * 200_000, '{"a":' * 50_000, "[]", "3", "nul", "", '{"a": ' + "9" * 100_000 + "}", "\0"],
    ids=lambda text: f"{text[:6]!r} of {len(text)}",
)
def test_json_that_is_no_object_is_none(text: str) -> None:
    with serving({"answers": {"/": {"text": text}}}) as served:
        answer = ask(Request("127.0.0.1", served.port, "/"), deadline_s=5)
    assert json_object({"/": answer}, "/") == {}


def test_chunks_are_put_together_and_later_bytes_are_left() -> None:
    def chunked(link: socket.socket) -> None:
        link.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n")
        for part in (b'3;x=y\r\n{"a\r\n', b'4\r\n": 1\r\n', b"1\r\n}\r\n", b"0\r\n\r\nmore"):
            link.sendall(part)
            time.sleep(0.02)
        time.sleep(2)  # a connection that is kept open must not be waited for

    with misbehaving(chunked) as served:
        answer = ask(Request("127.0.0.1", served.port, "/"), deadline_s=1.5)
    assert answer.is_complete
    assert json_object({"/": answer}, "/") == {"a": 1}


def test_a_question_carries_no_more_than_it_must() -> None:
    with serving({"answers": {"/": {"json": {}}}}) as served:
        ask(
            Request("127.0.0.1", served.port, "/", headers={"Authorization": "Bearer k"}),
            deadline_s=2,
        )
        ask(Request("127.0.0.1", served.port, "/", body=b"{}"), deadline_s=2)
    (method, _, headers), (posted, _, more) = served.requests
    assert (method, posted) == ("GET", "POST")
    assert headers["Authorization"] == "Bearer k"
    assert "Authorization" not in more
    assert more["Content-Length"] == "2"
