"""Many dry runs: llama.cpp in a child process that is started again when it ends itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from whatfits.bench.run_settings import RunSettings

__all__ = ["Planner"]

_COMMAND: Final = (sys.executable, "-P", "-m", "whatfits.bench.plan_child")
_END_S: Final = 60


class Planner:
    """A child process that answers dry runs, one after another; a context manager."""

    def __init__(self, command: Sequence[str] = _COMMAND) -> None:
        """Start the child; `command` may be another program with the same answers."""
        self._command = command
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
        self._child.communicate(timeout=_END_S)

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(  # noqa: S603 - this program itself, no shell
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "GGML_NO_BACKTRACE": "1"},
            text=True,
        )

    def ask(self, path: Path, settings: RunSettings) -> dict[str, Any]:
        """Return `buffers`, `n_ctx` and `log`, or `error`; a crash is an error too."""
        child = self._child
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(json.dumps({"path": str(path), "settings": asdict(settings)}) + "\n")
        child.stdin.flush()
        line = child.stdout.readline()
        if not line.startswith("{"):
            child.communicate(timeout=_END_S)
            self._child = self._start()
            return {"error": "llama.cpp ended its process"}
        answer: dict[str, Any] = json.loads(line)
        return answer
