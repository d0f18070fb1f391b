"""What every benchmark here stands on: turns within one run, quartiles, a control, and rows.

Tasks take turns, so that a busy machine slows all of them alike, and ratios of medians are held
against a bar. A run whose control spreads by more than a quarter is void.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

VOID_SPREAD = 0.25
MB = 10**6
CONTROL = "control"


class Quartiles(NamedTuple):
    """The middle of what was measured, and where its half lies."""

    low: float
    middle: float
    high: float

    @property
    def spread(self) -> float:
        """The width of the middle half over the median."""
        return (self.high - self.low) / self.middle

    def shown(self, unit: str = "ms", per: float = 1e-3) -> str:
        """Return the three figures as text."""
        low, middle, high = (value / per for value in self)
        digits = 0 if middle >= 1000 else 1 if middle >= 10 else 2
        return f"{middle:,.{digits}f} {unit} ({low:,.{digits}f}–{high:,.{digits}f})"


class Row(NamedTuple):
    """One line of the table: what was measured beside what, and the bar it is held against.

    Attributes:
        value: What is held against the bar; None where it was not measured.
        most: The most it may be; None where there is a least or no bar.
        least: The least it may be; None where there is a most or no bar.

    """

    bar: str
    what: str
    ours: str
    peer: str
    value: float | None
    most: float | None = None
    least: float | None = None
    unit: str = "×"
    is_void: bool = False

    @property
    def limit(self) -> str:
        """The bar in words."""
        if self.most is not None:
            return f"≤ {self.most:,g} {self.unit}"
        return "" if self.least is None else f"≥ {self.least:,g} {self.unit}"

    @property
    def outcome(self) -> str:
        """Whether the bar is met."""
        if self.value is None:
            return "not measured"
        if self.is_void:
            return "VOID"
        if self.most is None and self.least is None:
            return "no bar"
        is_met = self.value <= self.most if self.most is not None else self.value >= self.least
        return "met" if is_met else "**missed**"


def say(text: str = "") -> None:
    """Write one line."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def quartiles(values: Sequence[float]) -> Quartiles:
    """Return the quartiles; those of one value are itself."""
    if len(values) == 1:
        return Quartiles(values[0], values[0], values[0])
    low, middle, high = statistics.quantiles(values, n=4)
    return Quartiles(low, middle, high)


def control() -> None:
    """Do a fixed amount of work."""
    total = 0
    for index in range(200_000):
        total += index


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the processor time that a call takes."""
    began = time.process_time()
    work()
    return time.process_time() - began


def wall_seconds(work: Callable[[], object]) -> float:
    """Return the time that a call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def take_turns(
    tasks: Mapping[str, Callable[[], float]], rounds: int, *, warm_up: int = 1
) -> dict[str, list[float]]:
    """Return the seconds that each task says it took in each round, the first ones left out."""
    seconds: dict[str, list[float]] = {label: [] for label in tasks}
    for number in range(-warm_up, rounds):
        for label, task in tasks.items():
            took = task()
            if number >= 0:
                seconds[label].append(took)
    return seconds


def run_seconds(command: Sequence[str | Path], variables: Mapping[str, str]) -> float:
    """Return how long a command takes from its start to its end; it must succeed."""
    began = time.perf_counter()
    done = subprocess.run(
        command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
    )
    took = time.perf_counter() - began
    if done.returncode:
        sys.exit(f"{command}: exit code {done.returncode}: {done.stderr.decode()[-400:]}")
    return took


def environment(cache: Path) -> dict[str, str]:
    """The environment of a person, with compiled modules and every other file in one folder."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(cache), "XDG_DATA_HOME": str(cache)}


def come_first() -> bool:
    """Run ahead of all others from here on, children too; return whether the system allows it."""
    with contextlib.suppress(AttributeError, OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
        return True
    return False


def come_as_others() -> None:
    """Run as any other process again."""
    with contextlib.suppress(AttributeError, OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
unit = 1 if sys.platform == "darwin" else 1024
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit)
"""


def peak_bytes(command: Sequence[str | Path], variables: Mapping[str, str]) -> int:
    """Return the peak resident memory of a command.

    It is started by a small interpreter: a child's peak begins with what its parent held.
    """
    launcher = [sys.executable, "-I", "-S", "-c", PEAK, *command]
    done = subprocess.run(launcher, env=variables, capture_output=True, text=True, check=True)
    return int(done.stdout)
