"""Dry runs, each in a child process: an assertion of llama.cpp ends that process, never ours."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final, Self

from whatfits.bench.child_process import ChildProcess
from whatfits.bench.reservation import Buffers, Reservation
from whatfits.sizing.errors import ProbeError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from whatfits.bench.run_settings import RunSettings

__all__ = ["Planner", "plan"]

_COMMAND: Final = (sys.executable, "-P", "-m", "whatfits.bench.plan_child")
_LONGEST_S: Final = 300.0  # the slowest plan of the suite takes two seconds
_MAX_LINE_BYTES: Final = 64 << 20  # a plan carries llama.cpp's whole log


class Planner:
    """A child process that answers dry runs, one after another; a context manager."""

    def __init__(self, command: Sequence[str] = _COMMAND, *, longest_s: float = _LONGEST_S) -> None:
        """Start the child; `command` may be another program with the same answers."""
        self._command = command
        self._longest_s = longest_s
        self._child = self._start()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the child."""
        self._child.end(at_once=error is not None)

    def _start(self) -> ChildProcess:
        return ChildProcess(self._command, by_streams=True)

    def ask(self, path: Path, settings: RunSettings) -> dict[str, Any]:
        """Return a plan's fields, or `error`; a crash and a hang are errors too."""
        request = json.dumps({"path": str(path.absolute()), "settings": asdict(settings)})
        try:
            self._child.say(request.encode() + b"\n")
            line = self._child.line(
                ends_s=time.monotonic() + self._longest_s, most_bytes=_MAX_LINE_BYTES
            )
        except TimeoutError:
            return self._anew("llama.cpp did not end its plan in time")
        except OverflowError:
            return self._anew("llama.cpp's process answered with something that is no plan")
        except OSError:
            line = None
        if line is None:
            return self._anew("llama.cpp ended its process")
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            return self._anew("llama.cpp's process answered with something that is no plan")
        return answer

    def _anew(self, error: str) -> dict[str, Any]:
        """Return an error after the child was replaced."""
        self._child.end(at_once=True)
        self._child = self._start()
        return {"error": error}


def plan(path: Path, settings: RunSettings) -> Reservation:
    """Return what llama.cpp would reserve for a model, asked in a process of its own.

    Raises:
        MissingExtraError: llama-cpp-python is not installed.
        ProbeError: llama.cpp refuses the model or the settings, or ended; the message says why.
    """
    from whatfits.bench.loads import require_llama_cpp  # noqa: PLC0415 - before anything starts

    require_llama_cpp()
    with Planner() as planner:
        said = planner.ask(path, settings)
    if "error" in said:
        raise ProbeError(str(said["error"]))
    try:
        buffers = {name: Buffers(**row) for name, row in said.pop("buffers").items()}
        return Reservation(buffers=buffers, **said)
    except (AttributeError, KeyError, TypeError) as error:
        raise ProbeError("llama.cpp's process answered with something that is no plan") from error
