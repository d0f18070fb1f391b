"""A model loaded by llama.cpp in a child process, to be timed step by step.

Several may be loaded at once and asked in turn, so that a busy machine slows all of them alike.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from whatfits.bench.child import LoadRequest, address_limit
from whatfits.bench.child_process import ChildProcess
from whatfits.bench.timing import Repeat, Timing
from whatfits.sizing.errors import ProbeError, printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from whatfits.bench.run_settings import RunSettings

__all__ = ["LoadedModel", "Step", "parse_opened", "parse_repeats"]

_COMMAND: Final = (sys.executable, "-P", "-m", "whatfits.bench.speed_child")
_MOST_LINE_BYTES: Final = 1 << 20
_LONGEST_CPU_S: Final = 24 * 3600
_GARBLED: Final = "llama.cpp's process answered with something that is no timing"


@dataclass(frozen=True, slots=True)
class Step:
    """What is timed.

    Attributes:
        kind: `decode`, one token after another, or `prefill`, as many as a batch takes at once.
        tokens: how many of them, each repeat.
        depth: tokens in the cache before.
        threads: that compute on the processor.
        repeats: at most, beside those that warm up.
        longest_s: after so many seconds no further repeat is begun.
        warm_ups: repeats before those that count.
    """

    kind: Literal["decode", "prefill"]
    tokens: int
    depth: int
    threads: int
    repeats: int = 3
    longest_s: float = 5.0
    warm_ups: int = 1


class LoadedModel:
    """A context manager around the child that holds a model."""

    def __init__(
        self,
        path: Path,
        settings: RunSettings,
        *,
        on_cpu: bool = True,
        memory_bytes: int | None = None,
        longest_s: float = 120.0,
        command: Sequence[str] = _COMMAND,
    ) -> None:
        """Load nothing yet.

        Args:
            path: the model.
            settings: how it is loaded.
            on_cpu: whether the processor computes; its share then tells of disturbance.
            memory_bytes: memory at most; None: no limit but the system's.
            longest_s: for loading, and for each step.
            command: the child; another program with the same answers in tests.
        """
        request = LoadRequest(
            str(path.absolute()),  # a link keeps its own name: those of a split model are read
            asdict(settings),
            memory_limit_bytes=address_limit(memory_bytes),
            cpu_limit_s=_LONGEST_CPU_S,
        )
        self._command = (*command, json.dumps(asdict(request)))
        self._on_cpu = on_cpu
        self._longest_s = longest_s
        self._child: ChildProcess | None = None
        self.load_seconds = 0.0

    def __enter__(self) -> Self:
        """Load the model.

        Raises:
            ProbeError: it cannot be loaded; the message says why.
        """
        try:
            self._child = ChildProcess(self._command, by_streams=True)
        except OSError as error:
            raise ProbeError(f"the child could not be started: {error.strerror}") from error
        try:
            self.load_seconds = parse_opened(self._line())
        except BaseException:
            self._end(at_once=True)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the child."""
        self._end(at_once=True)

    def _end(self, *, at_once: bool) -> None:
        if self._child is not None:
            self._child.end(at_once=at_once)
            self._child = None

    def time(self, step: Step) -> Timing:
        """Return how long a step took.

        Raises:
            ProbeError: llama.cpp could not do it, crashed, or did not end in time.
        """
        if self._child is None:
            raise ProbeError("the model is not loaded any more")
        try:
            self._child.say(json.dumps(asdict(step)).encode() + b"\n")
        except OSError as error:
            raise ProbeError("llama.cpp ended its process") from error
        repeats = parse_repeats(self._line(), most=step.repeats)
        return Timing(step.threads, repeats, self._on_cpu)

    def _line(self) -> bytes:
        assert self._child is not None
        ends_s = time.monotonic() + self._longest_s
        try:
            line = self._child.line(ends_s=ends_s, most_bytes=_MOST_LINE_BYTES)
        except TimeoutError:
            self._end(at_once=True)
            raise ProbeError(f"llama.cpp was not done in {self._longest_s:.0f} s") from None
        except OverflowError:
            line = b""
        if line is None:
            raise ProbeError("llama.cpp ended its process")
        return line


def _answer(line: bytes) -> dict[str, Any]:
    """Return an answer of the child.

    Raises:
        ProbeError: it is none, or says what went wrong.
    """
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise ProbeError(_GARBLED)
    if "error" in answer:
        raise ProbeError(printable(answer["error"]))
    return answer


def parse_opened(line: bytes) -> float:
    """Return how many seconds loading took.

    Raises:
        ProbeError: llama.cpp refused, or the line is not as agreed.
    """
    opened = _answer(line).get("opened")
    seconds = opened.get("seconds") if isinstance(opened, dict) else None
    if not _is_duration(seconds):
        raise ProbeError(_GARBLED)
    return float(seconds)  # type: ignore[arg-type]


def parse_repeats(line: bytes, *, most: int) -> tuple[Repeat, ...]:
    """Return the repeats of a step.

    Raises:
        ProbeError: llama.cpp could not, or the line is not as agreed.
    """
    rows = _answer(line).get("repeats")
    if not isinstance(rows, list) or not 0 < len(rows) <= most:
        raise ProbeError(_GARBLED)
    for row in rows:
        if not (isinstance(row, list) and len(row) == 2 and all(map(_is_duration, row))):  # noqa: PLR2004 - a pair
            raise ProbeError(_GARBLED)
        if row[0] == 0:
            raise ProbeError(_GARBLED)
    return tuple(Repeat(float(wall), float(cpu)) for wall, cpu in rows)


def _is_duration(value: object) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and isfinite(value) and 0 <= value < _LONGEST_CPU_S  # type: ignore[arg-type, operator]
