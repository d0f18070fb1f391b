"""Times a model that llama.cpp has loaded, in a process of its own.

usage: python -m whatfits.bench.speed_child REQUEST, a `LoadRequest` as JSON. One line answers the
loading: `{"opened": {"context_tokens": …, "seconds": …}}` or `{"error": reason}`. Then each line of
standard input is a `Step` of speed_process as JSON, answered by `{"repeats": [[seconds,
cpu_seconds], …]}`. The first repeats warm up and are left out.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from whatfits.bench.child import LoadRequest, end_with_parent, limit_process
from whatfits.bench.run_settings import settings_of
from whatfits.sizing.errors import ProbeError, WhatfitsError

if TYPE_CHECKING:
    from whatfits.bench.llama_cpp import Run

__all__ = ["Stopwatch"]

_FIRST: Final = 16  # tokens in the cache before the first that is timed


def main() -> None:
    """Load, then answer until the input ends."""
    request = LoadRequest(**json.loads(sys.argv[1]))
    end_with_parent()
    limit_process(request)
    try:
        _serve(request)
    except (WhatfitsError, MemoryError) as error:
        _say({"error": str(error) or "out of memory"})


def _serve(request: LoadRequest) -> None:
    from whatfits.bench.llama_cpp import running  # noqa: PLC0415 - after the limits

    settings = settings_of(request.settings)
    started = time.perf_counter()
    with running(Path(request.path), settings, real=True) as run:
        watch = Stopwatch(run, batch=settings.batch)
        seconds = time.perf_counter() - started
        _say({"opened": {"context_tokens": run.context_tokens, "seconds": seconds}})
        for line in sys.stdin:
            _say({"repeats": watch.timed(**json.loads(line))})


class Stopwatch:
    """Decodes and reads prompts at a depth, and says how long each repeat took."""

    def __init__(self, run: Run, *, batch: int) -> None:
        """Time a model that is loaded; `batch` tokens go in at once at most."""
        self._run = run
        self._batch = batch
        self._filled = -1

    def timed(
        self,
        *,
        kind: str,
        tokens: int,
        depth: int,
        threads: int,
        repeats: int,
        longest_s: float,
        warm_ups: int = 1,
    ) -> list[tuple[float, float]]:
        """Return wall and processor seconds of every repeat but the first, which warm up.

        After `longest_s` none is begun any more, once there is one.

        Raises:
            ProbeError: llama.cpp could not.
        """
        depth = max(depth, _FIRST if kind == "decode" else 0)
        if depth + tokens > self._run.context_tokens:
            raise ProbeError(f"{depth + tokens} tokens do not fit the context")
        self._run.use_threads(threads)
        self._fill(depth)
        found: list[tuple[float, float]] = []
        ends_s = time.monotonic() + longest_s
        least, most = warm_ups + 1, warm_ups + repeats
        while len(found) < most and (len(found) < least or time.monotonic() < ends_s):
            wall, cpu = time.perf_counter(), time.process_time()
            if kind == "decode":
                for _ in range(tokens):
                    self._run.decode(1)
                    self._run.wait()
            else:
                self._put(tokens)
            found.append((time.perf_counter() - wall, time.process_time() - cpu))
            self._run.forget_from(depth)
        return found[warm_ups:]

    def _fill(self, depth: int) -> None:
        if depth != self._filled:
            self._run.forget_from(0)
            self._put(depth)
            self._filled = depth

    def _put(self, tokens: int) -> None:
        for start in range(0, tokens, self._batch):
            self._run.decode(min(self._batch, tokens - start))
        self._run.wait()


def _say(answer: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
