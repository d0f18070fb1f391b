"""The speed of a running OpenAI-compatible server: first token, tokens a second, several at once.

A request is answered as a stream; each event is timed as it comes. Whatever the server does, a
request ends by its deadline and holds but a few megabytes.
Source: OpenAI API reference, chat completions with `stream` and `stream_options.include_usage`.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from whatfits.bench.event_stream import EventStream
from whatfits.bench.timing import median
from whatfits.sizing.errors import ProbeError, printable
from whatfits.sizing.servers.timing import ServerTiming

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whatfits.bench.event_stream import Event

__all__ = ["Endpoint", "Reply", "ask_at_once", "completion", "level_of"]

_PATH: Final = "/v1/chat/completions"
_MOST_BYTES: Final = 16 << 20
_PART_BYTES: Final = 65_536
_OK: Final = 200
_UNAUTHORISED: Final = (401, 403)
# Some hundred tokens in any tokenizer, each request's beginning its own: a server that keeps
# prompts would otherwise answer the second one from its memory.
_PROMPT: Final = "Count the letters of each word, then write a long story about a lighthouse. " * 12


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests go.

    Attributes:
        host: an address that was checked, not a name.
        port: its port.
        model: as the server names it.
        api_key: None when it wants none.
    """

    host: str
    port: int
    model: str
    api_key: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """How one request went, in seconds of a clock that all requests share.

    Attributes:
        began_s: when it was sent.
        first_s: when the first text came; None when none did.
        last_s: when the last text came.
        events: of the stream that held text.
        tokens: by the server's own count; None when it did not say.
        prompt_tokens: likewise.
        error: what went wrong; empty when nothing did.
    """

    began_s: float
    first_s: float | None = None
    last_s: float | None = None
    events: int = 0
    tokens: int | None = None
    prompt_tokens: int | None = None
    error: str = ""

    @property
    def counted(self) -> int:
        """Tokens that were written, by the server's count where there is one."""
        return self.events if self.tokens is None else self.tokens


def completion(endpoint: Endpoint, *, tokens: int, number: int, deadline_s: float) -> Reply:
    """Return how one request went; what goes wrong is part of the answer."""
    began_s = time.monotonic()
    reply = Reply(began_s)
    request = _request(endpoint, tokens=tokens, number=number)
    try:
        with socket.create_connection((endpoint.host, endpoint.port), deadline_s) as link:
            link.sendall(request)
            return _listened(link, reply, ends_s=began_s + deadline_s)
    except TimeoutError:
        return replace(reply, error="it did not answer in time")
    except OSError as error:
        return replace(reply, error=f"the connection failed: {error.strerror or error}")


def _listened(link: socket.socket, reply: Reply, *, ends_s: float) -> Reply:
    stream, size = EventStream(), 0
    try:
        while not stream.is_ended and not reply.error:
            left_s = ends_s - time.monotonic()
            if left_s <= 0:
                return replace(reply, error="it did not end its answer in time")
            link.settimeout(left_s)
            part = link.recv(_PART_BYTES)
            now_s = time.monotonic()
            size += len(part)
            if size > _MOST_BYTES:
                return replace(reply, error="its answer is too long")
            events = stream.take(part)
            if stream.status not in (None, _OK):
                return replace(reply, error=_refusal(stream.status or 0))
            for event in events:
                reply = _after(reply, event, now_s)
            if not part:
                break
    except TimeoutError:
        return replace(reply, error="it did not end its answer in time")
    except ProbeError as error:
        return replace(reply, error=str(error))
    if reply.first_s is None and not reply.error:
        return replace(reply, error="it ended without a word")
    return reply


def _refusal(status: int) -> str:
    key = ": it wants another API key" if status in _UNAUTHORISED else ""
    return f"it answered with HTTP status {status}{key}"


def _after(reply: Reply, event: Event, now_s: float) -> Reply:
    if event.error:
        return replace(reply, error=printable(event.error))
    if event.text:
        first_s = now_s if reply.first_s is None else reply.first_s
        reply = replace(reply, first_s=first_s, last_s=now_s, events=reply.events + 1)
    if event.completion_tokens is not None:
        reply = replace(reply, tokens=event.completion_tokens, prompt_tokens=event.prompt_tokens)
    return reply


def _request(endpoint: Endpoint, *, tokens: int, number: int) -> bytes:
    body = json.dumps(
        {
            "model": endpoint.model,
            "messages": [{"role": "user", "content": f"Story {number}. {_PROMPT}"}],
            "max_tokens": tokens,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    ).encode()
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    lines = [
        f"POST {_PATH} HTTP/1.1",
        f"Host: {host}:{endpoint.port}",
        "Accept: text/event-stream",
        "Accept-Encoding: identity",
        "Connection: close",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *([f"Authorization: Bearer {endpoint.api_key}"] if endpoint.api_key else []),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body


def ask_at_once(
    endpoint: Endpoint, *, concurrency: int, tokens: int, first_number: int, deadline_s: float
) -> tuple[Reply, ...]:
    """Return how so many requests went that were sent together."""
    replies: list[Reply | None] = [None] * concurrency

    def one(index: int) -> None:
        number = first_number + index
        try:
            replies[index] = completion(
                endpoint, tokens=tokens, number=number, deadline_s=deadline_s
            )
        except Exception as error:  # noqa: BLE001 - a thread has nobody to raise to
            replies[index] = Reply(time.monotonic(), error=printable(error))

    threads = [threading.Thread(target=one, args=(i,), daemon=True) for i in range(concurrency)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return tuple(reply for reply in replies if reply is not None)


def level_of(replies: Sequence[Reply]) -> ServerTiming:
    """Return what requests that ran at once show together; those that failed count as such.

    The first token is prompt and queue; speed is what follows it.
    """
    good = [reply for reply in replies if reply.first_s is not None and not reply.error]
    firsts = [(reply.first_s or 0.0) - reply.began_s for reply in good]
    rates = [rate for rate in map(_rate, good) if rate is not None]
    total = sum(reply.counted for reply in good)
    wall = max((r.last_s or 0.0 for r in good), default=0.0) - min(
        (r.began_s for r in good), default=0.0
    )
    return ServerTiming(
        concurrency=len(replies),
        answered=len(good),
        tokens=total,
        time_to_first_token_s=median(firsts) if firsts else None,
        longest_time_to_first_token_s=max(firsts, default=None),
        tokens_per_s=median(rates) if rates else None,
        total_tokens_per_s=total / wall if good and wall > 0 else None,
    )


def _rate(reply: Reply) -> float | None:
    """Return tokens a second after the first event; None for an answer of one event."""
    if reply.first_s is None or reply.last_s is None or reply.last_s <= reply.first_s:
        return None
    # what came with the first event was read with the prompt
    first = max(1.0, reply.counted / reply.events)
    return (reply.counted - first) / (reply.last_s - reply.first_s)
