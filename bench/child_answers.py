"""What the child of a real load says, held to its form before anything believes it.

Native code that reads an untrusted file stands behind these lines: each value is checked for its
type and its range, and a line that is not as agreed ends the conversation.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

from whatfits.sizing.errors import printable

__all__ = ["Answers", "NoAnswerError"]

_FOLLOWS: Final = {None: "loading", "loading": "loaded", "loaded": "decoded"}
_MEMORY: Final = frozenset({"resident_bytes", "anonymous_bytes", "file_bytes"})
_COLUMNS: Final = frozenset({"model", "context", "compute"})
_MOST: Final = 2**63 - 1
_MOST_ROWS: Final = 256


class NoAnswerError(Exception):
    """A line that is not as agreed."""


@dataclass(slots=True)
class Answers:
    """The answers so far.

    Attributes:
        stage: the last stage that was reached; None before the first.
        error: why llama.cpp refused, or what it lacked; None when it did not.
        before: the child's memory before the model.
        loaded: its memory after loading.
        decoded: its memory after a first decode.
        devices: bytes gone from each accelerator.
        buffers: llama.cpp's columns per buffer.
        n_ctx: context after padding.
    """

    stage: str | None = None
    error: str | None = None
    before: dict[str, int] = field(default_factory=dict)
    loaded: dict[str, int] = field(default_factory=dict)
    decoded: dict[str, int] = field(default_factory=dict)
    devices: dict[str, int] = field(default_factory=dict)
    buffers: dict[str, dict[str, int]] = field(default_factory=dict)
    n_ctx: int | None = None

    @property
    def is_complete(self) -> bool:
        """Whether nothing more is to come."""
        return self.error is not None or self.stage == "decoded"

    def take(self, line: bytes) -> None:
        """Take one line.

        Raises:
            NoAnswerError: it is not as agreed; nothing of it was taken.
        """
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            raise NoAnswerError from None
        if not isinstance(answer, dict):
            raise NoAnswerError
        if set(answer) == {"error"}:
            if not isinstance(answer["error"], str):
                raise NoAnswerError
            self.error = printable(answer["error"])
            return
        stage = answer.get("stage")
        if self.is_complete or not isinstance(stage, str) or stage != _FOLLOWS[self.stage]:
            raise NoAnswerError
        self._take_stage(stage, answer)
        self.stage = stage

    def _take_stage(self, stage: str, answer: dict[str, Any]) -> None:
        if stage == "loading":
            self.before = _memory(answer.get("before"))
            return
        memory, devices = _memory(answer.get("memory")), _sizes(answer.get("devices"), low=-_MOST)
        if stage == "loaded":
            rows = answer.get("buffers")
            if not isinstance(rows, dict) or not 0 < len(rows) <= _MOST_ROWS:
                raise NoAnswerError
            buffers = {printable(name): _sizes(row) for name, row in rows.items()}
            if any(set(row) != _COLUMNS for row in buffers.values()):
                raise NoAnswerError
            self.n_ctx = _size(answer.get("n_ctx"), low=1)
            self.loaded, self.buffers = memory, buffers
        else:
            self.decoded = memory
        self.devices = devices


def _memory(value: object) -> dict[str, int]:
    sizes = _sizes(value)
    if "resident_bytes" not in sizes or not set(sizes) <= _MEMORY:
        raise NoAnswerError
    return sizes


def _sizes(value: object, *, low: int = 0) -> dict[str, int]:
    if not isinstance(value, dict) or len(value) > _MOST_ROWS:
        raise NoAnswerError
    return {printable(name): _size(size, low=low) for name, size in value.items()}


def _size(value: object, *, low: int = 0) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= _MOST:
        raise NoAnswerError
    return value
