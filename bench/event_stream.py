"""An answer that comes as a stream of events, taken apart as its bytes arrive; pure.

HTTP/1.1 with or without chunks, then lines `data: …` as OpenAI-compatible servers send them. Every
length is bounded: the other end is nobody's friend.
Source: WHATWG HTML, server-sent events; RFC 9112 section 7.1, chunked transfer.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from whatfits.probes.system import SourceGarbledError

__all__ = ["Event", "EventStream", "event_of"]

_MOST_HEAD_BYTES: Final = 65_536
_MOST_LINE_BYTES: Final = 1 << 20
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?:[ \r]|$)")
_CHUNK: Final = re.compile(rb"([0-9a-fA-F]{1,8})(?:[ \t;][^\r\n]{0,1024})?\r\n")
_MOST_CHUNK_HEAD: Final = 1100
_DONE: Final = b"[DONE]"
_MOST_TOKENS: Final = 10**9


class Event:
    """What one event says.

    Attributes:
        text: that it adds; empty when it adds none.
        completion_tokens: that were written, by the server's count; None when it does not say.
        prompt_tokens: that were read, likewise.
        error: what the server complains of; empty when it does not.
        is_last: whether nothing more is to come.
    """

    __slots__ = ("completion_tokens", "error", "is_last", "prompt_tokens", "text")

    def __init__(self, data: bytes) -> None:
        """Read the data of an event; what is not as agreed says nothing.

        Raises:
            SourceGarbledError: it is no JSON object.
        """
        self.text = self.error = ""
        self.completion_tokens: int | None = None
        self.prompt_tokens: int | None = None
        self.is_last = data == _DONE
        if self.is_last:
            return
        try:
            said = json.loads(data)
        except (ValueError, RecursionError):
            said = None
        if not isinstance(said, dict):
            raise SourceGarbledError("an event of the stream is no JSON object")
        if "error" in said:
            self.error = _message(said["error"])
        self.text = _text(said.get("choices"))
        usage = said.get("usage")
        if isinstance(usage, dict):
            self.completion_tokens = _count(usage.get("completion_tokens"))
            self.prompt_tokens = _count(usage.get("prompt_tokens"))


def event_of(line: bytes) -> Event | None:
    """Return the event of a line; None for comments, other fields and blank lines.

    Raises:
        SourceGarbledError: its data is no JSON object.
    """
    name, _, data = line.partition(b":")
    return Event(data.strip()) if name == b"data" and data.strip() else None


def _text(choices: object) -> str:
    """Return what a choice adds: an answer, a thought or a plain completion."""
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return ""
    delta: Any = choices[0].get("delta", choices[0])
    if not isinstance(delta, dict):
        return ""
    parts = (delta.get(name) for name in ("content", "reasoning_content", "reasoning", "text"))
    return "".join(part for part in parts if isinstance(part, str))


def _message(error: object) -> str:
    message = error.get("message") if isinstance(error, dict) else error
    return message if isinstance(message, str) and message else "an error without a message"


def _count(value: object) -> int | None:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return value if is_number and 0 <= value <= _MOST_TOKENS else None  # type: ignore[operator, return-value]


class EventStream:
    """Takes bytes of a response and gives its events.

    Attributes:
        status: of the response; None before its head has come.
        is_ended: whether the response is complete by its own word.
    """

    def __init__(self) -> None:
        """Begin before the head."""
        self.status: int | None = None
        self.is_ended = False
        self._raw = bytearray()
        self._body = bytearray()
        self._chunked = False
        self._chunk_left = 0
        self._is_past_last_chunk = False

    def take(self, data: bytes) -> list[Event]:
        """Return the events that are complete with these bytes.

        Raises:
            SourceGarbledError: it is no HTTP, no stream of events, or a line has no end.
        """
        if self._is_past_last_chunk:
            return []
        self._raw += data
        if self.status is None and not self._take_head():
            return []
        if self._chunked:
            self._take_chunks()
        else:
            self._body += self._raw
            self._raw.clear()
        *lines, rest = self._body.split(b"\n")
        if len(rest) > _MOST_LINE_BYTES:
            raise SourceGarbledError("a line of the stream has no end")
        self._body = bytearray(rest)
        events = (event_of(bytes(line).rstrip(b"\r")) for line in lines)
        found = [event for event in events if event is not None]
        self.is_ended = self.is_ended or any(event.is_last for event in found)
        return found

    def _take_head(self) -> bool:
        end = self._raw.find(b"\r\n\r\n", 0, _MOST_HEAD_BYTES)
        if end < 0:
            if len(self._raw) >= _MOST_HEAD_BYTES:
                raise SourceGarbledError("the server does not speak HTTP")
            return False
        first, *lines = bytes(self._raw[:end]).split(b"\r\n")
        status = _STATUS.match(first)
        if status is None:
            raise SourceGarbledError("the server does not speak HTTP")
        headers = {}
        for line in lines:
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip().lower()
        self.status = int(status[1])
        self._chunked = "chunked" in headers.get("transfer-encoding", "")
        if self.status == 200 and "text/event-stream" not in headers.get("content-type", ""):  # noqa: PLR2004 - HTTP's OK
            raise SourceGarbledError("the server does not stream its answer")
        del self._raw[: end + 4]
        return True

    def _take_chunks(self) -> None:
        """Move what whole or begun chunks hold into the body."""
        while self._raw:
            if self._chunk_left == 0:
                if self._raw[:2] == b"\r\n":  # the end of the chunk before
                    del self._raw[:2]
                    continue
                size = _CHUNK.match(self._raw)
                if size is None:
                    if len(self._raw) > _MOST_CHUNK_HEAD or b"\n" in self._raw:
                        raise SourceGarbledError("a chunk of the stream has no length")
                    return
                self._chunk_left = int(size[1], 16)
                del self._raw[: size.end()]
                if self._chunk_left == 0:
                    self.is_ended = self._is_past_last_chunk = True
                    self._raw.clear()
                    return
            taken = self._raw[: self._chunk_left]
            self._body += taken
            self._chunk_left -= len(taken)
            del self._raw[: len(taken)]
