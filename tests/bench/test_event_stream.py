"""Streams of events as servers send them, and as no server should."""

from __future__ import annotations

import json
from typing import Any

import pytest

from whatfits.bench.event_stream import EventStream, event_of
from whatfits.probes.system import SourceGarbledError

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)


def data(value: Any) -> bytes:  # noqa: ANN401 - JSON is untyped
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def word(text: str) -> dict[str, object]:
    return {"choices": [{"delta": {"content": text}}]}


def chunked(*parts: bytes) -> bytes:
    body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    return CHUNKED + body + b"0\r\n\r\n"


BODY = data(word("one")) + b": a comment\n\n" + data(word(" two")) + b"data: [DONE]\n\n"


@pytest.mark.parametrize("answer", [HEAD + BODY, chunked(BODY), chunked(BODY[:7], BODY[7:])])
@pytest.mark.parametrize("size", [1, 2, 3, 17, 10_000])
def test_events_are_the_same_however_the_bytes_arrive(answer: bytes, size: int) -> None:
    stream = EventStream()
    texts = [
        event.text
        for start in range(0, len(answer), size)
        for event in stream.take(answer[start : start + size])
    ]
    assert texts == ["one", " two", ""]
    assert stream.status == 200
    assert stream.is_ended


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (word("a"), "a"),
        ({"choices": [{"delta": {"reasoning_content": "b"}}]}, "b"),
        ({"choices": [{"text": "c"}]}, "c"),
        ({"choices": []}, ""),
        ({"choices": [1]}, ""),
        ({"choices": [{"delta": 1}]}, ""),
        ({"choices": [{"delta": {"content": 7}}]}, ""),
        ({"choices": [{"delta": {"role": "assistant"}}]}, ""),
        ({}, ""),
    ],
)
def test_the_text_of_an_event(value: object, text: str) -> None:
    event = event_of(data(value).strip())
    assert event is not None
    assert event.text == text
    assert not event.is_last


@pytest.mark.parametrize("count", [-1, 1.5, "7", True, None, 10**30])
def test_a_count_that_cannot_be_is_none(count: object) -> None:
    event = event_of(data({"usage": {"completion_tokens": count}}).strip())
    assert event is not None
    assert event.completion_tokens is None


def test_the_servers_own_counts_are_taken() -> None:
    event = event_of(data({"usage": {"completion_tokens": 64, "prompt_tokens": 9}}).strip())
    assert event is not None
    assert (event.completion_tokens, event.prompt_tokens) == (64, 9)


@pytest.mark.parametrize("error", [{"message": "too busy"}, "too busy"])
def test_an_error_within_the_stream_is_told(error: object) -> None:
    event = event_of(data({"error": error}).strip())
    assert event is not None
    assert event.error == "too busy"


@pytest.mark.parametrize("line", [b"", b": ping", b"event: x", b"id: 1", b"data:", b"retry: 1"])
def test_other_lines_are_no_events(line: bytes) -> None:
    assert event_of(line) is None


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"x" * 70_000,
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\n\r\n" + BODY,
        HEAD + b"data: garbage\n",
        HEAD + b"data: [1]\n",
        HEAD + b"data: " + b"[" * 100_000 + b"\n",
        HEAD + b"data: " + b"x" * 1_100_000,
        CHUNKED + b"zz\r\n",
        CHUNKED + b"x" * 2000,
        CHUNKED + b"123456789\r\n",
    ],
)
def test_what_is_no_stream_of_events_is_refused(answer: bytes) -> None:
    with pytest.raises(SourceGarbledError):
        EventStream().take(answer)


def test_a_status_that_is_no_success_needs_no_stream() -> None:
    stream = EventStream()
    stream.take(b"HTTP/1.1 503 Busy\r\nContent-Type: text/plain\r\n\r\nlater")
    assert stream.status == 503
