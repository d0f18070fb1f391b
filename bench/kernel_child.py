"""Times kernels of numpy in threads: reading memory, and multiplying matrices.

usage: python -m whatfits.bench.kernel_child; a line of standard input is a request, answered by
`{"rounds": [[[seconds, cpu_seconds] of each thread] of each round]}`. The linear algebra library
must be held to one thread by the environment: threads are ours.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from whatfits.bench.child import end_with_parent

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Kernels", "in_threads"]

_FLOAT_BYTES: Final = 8


class Kernels:
    """The two kernels; what they read is made once."""

    def __init__(self, total_bytes: int) -> None:
        """Make two streams of numbers, together of that size, all of whose pages are written."""
        import numpy as np  # noqa: PLC0415 - timed apart from the start of the process

        half = total_bytes // 2 // _FLOAT_BYTES
        self._numpy = np
        self._streams = (np.full(half, 1.0), np.full(half, 0.5))

    def read(self, threads: int) -> list[Callable[[], object]]:
        """Return one reader a thread: the dot product of its part of the two streams."""
        first, second = self._streams
        size = first.size // threads
        parts = [slice(i * size, (i + 1) * size) for i in range(threads)]
        return [_dot(first[part], second[part]) for part in parts]

    def multiply(self, threads: int, *, width: int) -> list[Callable[[], object]]:
        """Return one product of square float32 matrices a thread."""
        np = self._numpy
        return [_product(np.full((width, width), 0.5, dtype=np.float32)) for _ in range(threads)]


def _dot(first: NDArray[np.float64], second: NDArray[np.float64]) -> Callable[[], object]:
    return lambda: first.dot(second)


def _product(matrix: NDArray[np.float32]) -> Callable[[], object]:
    import numpy as np  # noqa: PLC0415 - loaded already

    out = np.empty_like(matrix)
    return lambda: np.matmul(matrix, matrix, out=out)


def in_threads(
    works: list[Callable[[], object]], *, rounds: int, passes: int
) -> list[list[tuple[float, float]]]:
    """Return wall and processor seconds of each thread in each round; a first pass warms up.

    All threads begin a round together, and do their work so many times without a wait.
    """
    barrier = threading.Barrier(len(works))
    found: list[list[tuple[float, float]]] = [[] for _ in works]

    def repeat(work: Callable[[], object], mine: list[tuple[float, float]]) -> None:
        work()
        for _ in range(rounds):
            barrier.wait()
            wall, cpu = time.perf_counter(), time.thread_time()
            for _ in range(passes):
                work()
            mine.append((time.perf_counter() - wall, time.thread_time() - cpu))

    threads = [
        threading.Thread(target=repeat, args=pair) for pair in zip(works, found, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [list(pair) for pair in zip(*found, strict=True)]


def main() -> None:
    """Answer until the input ends."""
    kernels: Kernels | None = None
    for line in sys.stdin:
        request: dict[str, Any] = json.loads(line)
        if kernels is None:
            kernels = Kernels(request["total_bytes"])
        if request["kernel"] == "read":
            works = kernels.read(request["threads"])
        else:
            works = kernels.multiply(request["threads"], width=request["width"])
        found = in_threads(works, rounds=request["rounds"], passes=request["passes"])
        sys.stdout.write(json.dumps({"rounds": found}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    end_with_parent()
    main()
