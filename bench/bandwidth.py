"""How fast this machine reads memory and multiplies matrices, by kernels of numpy in threads.

Decoding reads weights, so that what counts is a stream of reads: the dot product of two arrays too
large for any cache. Threads are doubled until reading grows no more. A rate counts as measured only
when each thread got its processor; where it did not, undisturbed rounds decide if there are any,
the figure of one thread is else corrected by its processor time, and that of several is a floor.
"""

from __future__ import annotations

import json
import math
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from whatfits.bench.child_process import ChildProcess
from whatfits.bench.timing import CLEAN_SHARE, median, spread
from whatfits.sizing.errors import ProbeError
from whatfits.sizing.units import MIB

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "KernelRate",
    "MachineRates",
    "buffer_bytes",
    "judged",
    "measure_rates",
    "thread_counts",
]

_COMMAND: Final = (sys.executable, "-P", "-m", "whatfits.bench.kernel_child")
# Linear algebra libraries start threads of their own, each by its own variable.
_ONE_THREAD: Final = dict.fromkeys(
    (
        "OPENBLAS_NUM_THREADS",
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "BLIS_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
    ),
    "1",
)
_TIMES_CACHE: Final = 4
_LEAST_BYTES: Final = 128 * MIB
_MOST_BYTES: Final = 2048 * MIB
_SHARE_OF_FREE: Final = 4  # a quarter of what is free, at most
_PLATEAU: Final = 1.05  # doubling the threads must bring more than this
# A round passes over the streams as often as takes so long. A scheduler prefers a thread that has
# just waited for the others, and lets it run for turns of up to 24 ms: in shorter rounds, or few of
# them, a steady load is not seen.
_ROUND_S: Final = 0.025
_ROUNDS: Final = 4
_MOST_PASSES: Final = 1000
_TRIES: Final = 3
_WIDTH: Final = 768
_LONGEST_S: Final = 30.0
_MOST_LINE_BYTES: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class KernelRate:
    """A rate of one kernel at one count of threads.

    Attributes:
        threads: that worked together.
        per_s: median over the rounds that nobody disturbed, over all where there is none; bytes or
            operations a second.
        best_per_s: of the fastest round.
        spread: half of what 80 of 100 of those rounds cover, as a share of the median.
        cpu_share: processor time over wall time while the threads worked, over all rounds.
        corrected_per_s: of one thread, by its processor time instead of the wall's; else None.
    """

    threads: int
    per_s: float
    best_per_s: float
    spread: float
    cpu_share: float
    corrected_per_s: float | None

    @property
    def is_measured(self) -> bool:
        """Whether every thread had its processor for itself."""
        return self.cpu_share >= CLEAN_SHARE

    @property
    def likeliest_per_s(self) -> float:
        """The rate, corrected by processor time where it was disturbed and can be."""
        if self.is_measured or self.corrected_per_s is None:
            return self.per_s
        return self.corrected_per_s


@dataclass(frozen=True, slots=True)
class MachineRates:
    """What the kernels found.

    Attributes:
        total_bytes: that were read in a pass.
        reads: by count of threads, up to the plateau and one count beyond.
        matrix: floating-point operations a second of float32 products, at the plateau's threads.
        seconds: wall time of all of it.
    """

    total_bytes: int
    reads: tuple[KernelRate, ...]
    matrix: KernelRate
    seconds: float

    @property
    def plateau(self) -> KernelRate:
        """Reading at the fewest threads from which on more bring nothing."""
        best = self.reads[0]
        for rate in self.reads[1:]:
            if rate.likeliest_per_s > _PLATEAU * best.likeliest_per_s:
                best = rate
        return best

    @property
    def cpu_share(self) -> float:
        """The least share of any count of threads: any disturbance counts."""
        return min(rate.cpu_share for rate in (*self.reads, self.matrix))


def buffer_bytes(*, cache_bytes: int | None, free_bytes: int | None) -> int:
    """Return how much to read in a pass: four last-level caches, as far as memory allows.

    Source: at twice 64 MiB and 32 MiB of cache figures settled within 8 % after three rounds.
    """
    wanted = min(max(_TIMES_CACHE * (cache_bytes or 0), _LEAST_BYTES), _MOST_BYTES)
    if free_bytes is None:
        return min(wanted, _LEAST_BYTES)
    return max(MIB, min(wanted, free_bytes // _SHARE_OF_FREE))


def thread_counts(cores: int) -> tuple[int, ...]:
    """Return 1, 2, 4, … and the cores themselves."""
    counts = [1]
    while 2 * counts[-1] < cores:
        counts.append(2 * counts[-1])
    return tuple(counts) if cores <= 1 else (*counts, cores)


def judged(rounds: Sequence[Sequence[tuple[float, float]]], *, work_per_round: float) -> KernelRate:
    """Return the rate that rounds of (wall, processor) seconds of each thread show.

    A round lasts as long as its slowest thread.
    """
    clean = [row for row in rounds if _share([row]) >= CLEAN_SHARE]
    rates = [work_per_round / max(wall for wall, _ in row) for row in clean or rounds]
    threads = len(rounds[0])
    corrected = None
    if threads == 1:
        # a clock of the processor too coarse to see a round tells nothing
        times = [row[0][1] for row in rounds if row[0][1] > 0]
        corrected = work_per_round / median(times) if times else None
    return KernelRate(
        threads=threads,
        per_s=median(rates),
        best_per_s=max(work_per_round / max(wall for wall, _ in row) for row in rounds),
        spread=spread(rates),
        cpu_share=_share(rounds),
        corrected_per_s=corrected,
    )


def _share(rounds: Sequence[Sequence[tuple[float, float]]]) -> float:
    wall = sum(pair[0] for row in rounds for pair in row)
    return sum(pair[1] for row in rounds for pair in row) / wall


class _Child:
    """The process that works."""

    def __init__(self, total_bytes: int, command: Sequence[str]) -> None:
        self._total_bytes = total_bytes
        try:
            self._process = ChildProcess(command, by_streams=True, environment={**_ONE_THREAD})
        except OSError as error:
            raise ProbeError(f"the child could not be started: {error.strerror}") from error

    def end(self) -> None:
        self._process.end(at_once=True)

    def rounds(
        self, kernel: str, threads: int, *, rounds: int, passes: int
    ) -> list[list[tuple[float, float]]]:
        """Return the rounds of a kernel, each of so many passes.

        Raises:
            ProbeError: the child ended, or answered with something else.
        """
        request = {
            "kernel": kernel,
            "threads": threads,
            "rounds": rounds,
            "passes": passes,
            "total_bytes": self._total_bytes,
            "width": _WIDTH,
        }
        try:
            self._process.say(json.dumps(request).encode() + b"\n")
            line = self._process.line(
                ends_s=time.monotonic() + _LONGEST_S, most_bytes=_MOST_LINE_BYTES
            )
            found: list[list[tuple[float, float]]] = json.loads(line or b"")["rounds"]
        except (OSError, OverflowError, ValueError, KeyError, TypeError) as error:
            raise ProbeError("the kernels of numpy gave no answer") from error
        return found


def _settled(child: _Child, kernel: str, threads: int, *, work_per_pass: float) -> KernelRate:
    """Return the rate of the least disturbed of a few tries: a load that comes and goes passes."""
    one = judged(child.rounds(kernel, threads, rounds=1, passes=1), work_per_round=work_per_pass)
    passes = min(math.ceil(_ROUND_S * one.best_per_s / work_per_pass), _MOST_PASSES)
    best: KernelRate | None = None
    for _ in range(_TRIES):
        found = child.rounds(kernel, threads, rounds=_ROUNDS, passes=passes)
        rate = judged(found, work_per_round=passes * work_per_pass)
        if best is None or rate.cpu_share > best.cpu_share:
            best = rate
        if best.is_measured:
            break
    assert best is not None
    return best


def measure_rates(
    *, total_bytes: int, cores: int, command: Sequence[str] = _COMMAND
) -> MachineRates:
    """Return how fast memory is read, swept over threads, and matrices are multiplied.

    Raises:
        ProbeError: the kernels could not be run, as for want of memory.
    """
    started = time.monotonic()
    child = _Child(total_bytes, command)
    try:
        reads: list[KernelRate] = []
        for threads in thread_counts(cores):
            reads.append(_settled(child, "read", threads, work_per_pass=total_bytes))
            if len(reads) > 1 and reads[-1].per_s <= _PLATEAU * reads[-2].per_s:
                break
        work = 2.0 * _WIDTH**3 * cores
        matrix = _settled(child, "multiply", cores, work_per_pass=work)
    finally:
        child.end()
    return MachineRates(total_bytes, tuple(reads), matrix, time.monotonic() - started)
