"""Real loads under limits: whatever the child does, the parent answers and leaves no orphan."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from whatfits.bench.child import LoadRequest, address_limit
from whatfits.bench.child_answers import Answers, NoAnswerError
from whatfits.bench.child_process import ChildProcess
from whatfits.bench.temporary import temporary_folder
from whatfits.sizing.errors import InvalidRequestError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from whatfits.bench.run_settings import RunSettings

__all__ = ["LoadLimits", "LoadOutcome", "OutcomeKind", "load_for_real", "require_llama_cpp"]

OutcomeKind = Literal[
    "measured", "refused", "out_of_memory", "crashed", "killed", "timed_out", "no_answer"
]
_MAX_LINE_BYTES: Final = 1 << 20
_LONGEST_S: Final = 30 * 24 * 3600.0
# words of llama.cpp, ggml, the C++ library and the C library for it
_OUT_OF_MEMORY: Final = (
    "out of memory",
    "failed to allocate",
    "unable to allocate",
    "cannot allocate memory",
    "insufficient memory",
    "bad_alloc",
    "alloc_buffer",
)
_FROM_OUTSIDE: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})


@dataclass(frozen=True, slots=True)
class LoadLimits:
    """What a load may take.

    Attributes:
        seconds: wall time, then the child is ended.
        memory_bytes: memory at most; None: no limit but the system's.
    """

    seconds: float = 600.0
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class LoadOutcome:
    """How a real load ended.

    Attributes:
        kind: `measured`; `refused` by llama.cpp; `out_of_memory`; `crashed` by a signal of its own;
            `killed` from outside; `timed_out`; `no_answer` (it ended or babbled without a result).
        reason: one line for people; empty when measured.
        buffers: llama.cpp's columns per buffer, as it reports them after loading.
        loaded: growth of this process's memory by loading: resident, anonymous, of files.
        decoded: the same after some tokens were decoded.
        devices: bytes gone from each accelerator after decoding.
        n_ctx: context after padding.
        seconds: wall time it took.
    """

    kind: OutcomeKind
    reason: str
    buffers: Mapping[str, Mapping[str, int]]
    loaded: Mapping[str, int]
    decoded: Mapping[str, int]
    devices: Mapping[str, int]
    n_ctx: int | None
    seconds: float


def load_for_real(
    path: Path,
    settings: RunSettings,
    *,
    limits: LoadLimits | None = None,
    decode_tokens: int = 16,
    progress: Callable[[str], None] | None = None,
    command: tuple[str, ...] | None = None,
) -> LoadOutcome:
    """Load a model in a child process and return what it took, or how that failed.

    `progress` is told each stage; `command` replaces the child (its arguments are appended).

    Raises:
        MissingExtraError: llama-cpp-python is not installed.
    """
    if command is None:
        require_llama_cpp()
        command = (sys.executable, "-P", "-m", "whatfits.bench.child")
    limits = limits or LoadLimits()
    request = json.dumps(asdict(_request(path, settings, limits, decode_tokens)))
    started = time.monotonic()
    load = _Load(ends_s=started + min(limits.seconds, _LONGEST_S), progress=progress)
    try:
        with temporary_folder() as empty:
            load.run(command, request, folder=str(empty))
    except InvalidRequestError as error:
        load.refuse(str(error))
    return load.outcome(seconds=time.monotonic() - started)


def _request(
    path: Path, settings: RunSettings, limits: LoadLimits, decode_tokens: int
) -> LoadRequest:
    cores = os.cpu_count() or 1
    return LoadRequest(
        path=str(path.absolute()),  # a link's own name: those of a split model are read
        settings=asdict(settings),
        decode_tokens=decode_tokens,
        memory_limit_bytes=address_limit(limits.memory_bytes),
        cpu_limit_s=int(min(limits.seconds, _LONGEST_S) * cores) + 1,
    )


def require_llama_cpp() -> None:
    """Raise when llama-cpp-python is not installed.

    Raises:
        MissingExtraError: it is not.
    """
    from importlib.util import find_spec  # noqa: PLC0415 - used here only

    try:
        found = find_spec("llama_cpp")
    except ImportError:  # a finder may refuse instead of finding nothing
        found = None
    if found is None:
        raise MissingExtraError(extra="bench", purpose="asking llama.cpp itself")


class _Load:
    """One load: the child's answers, and how it ended."""

    def __init__(self, *, ends_s: float, progress: Callable[[str], None] | None) -> None:
        self._ends_s = ends_s
        self._progress = progress
        self._kills_before = _oom_kills()
        self._answers = Answers()
        self._status: int | None = None
        self._broke_off: tuple[OutcomeKind, str] | None = None

    def run(self, command: Sequence[str], request: str, *, folder: str) -> None:
        """Run the child to its end."""
        try:
            child = ChildProcess(
                command, lambda descriptor: (str(descriptor), request), folder=folder
            )
        except OSError as error:
            self._broke_off = "no_answer", f"the child could not be started: {error.strerror}"
            return
        try:
            self._listen(child)
        except BaseException:
            child.end(at_once=True)
            raise
        self._status = child.end(at_once=self._broke_off is not None)

    def refuse(self, reason: str) -> None:
        """Take it that no child could be started."""
        self._broke_off = "no_answer", reason

    def _listen(self, child: ChildProcess) -> None:
        """Take answers until all are there, the child ends, babbles, or its time is over."""
        while not self._answers.is_complete:
            try:
                line = child.line(ends_s=self._ends_s, most_bytes=_MAX_LINE_BYTES)
                if line is None:
                    return
                self._answers.take(line)
            except TimeoutError:
                doing = self._doing
                self._broke_off = "timed_out", f"not done with {doing} in time; the child was ended"
                return
            except (OverflowError, NoAnswerError):
                told = "the child answered with something that is no result"
                self._broke_off = "no_answer", told
                return
            if self._progress is not None and self._answers.stage is not None:
                self._progress(self._answers.stage)

    @property
    def _doing(self) -> str:
        return "decoding" if self._answers.stage == "loaded" else "loading"

    def outcome(self, *, seconds: float) -> LoadOutcome:
        """Return how it went."""
        kind, reason = self._kind()
        said = self._answers
        return LoadOutcome(
            kind=kind,
            reason=reason,
            buffers=said.buffers,
            loaded=_growth(said.before, said.loaded),
            decoded=_growth(said.before, said.decoded),
            devices=said.devices,
            n_ctx=said.n_ctx,
            seconds=seconds,
        )

    def _kind(self) -> tuple[OutcomeKind, str]:
        error = self._answers.error
        if self._broke_off is not None:
            return self._broke_off
        if error is not None:
            short = any(sign in error.lower() for sign in _OUT_OF_MEMORY)
            return ("out_of_memory" if short else "refused"), error
        if self._answers.is_complete:
            return "measured", ""
        if self._status is None:
            return "no_answer", f"the child closed its answers while {self._doing}, and went on"
        if self._status >= 0:
            return "no_answer", f"the child ended without a result while {self._doing}"
        return self._by_signal(-self._status)

    def _by_signal(self, number: int) -> tuple[OutcomeKind, str]:
        try:
            name = signal.Signals(number).name
        except ValueError:  # a real-time signal
            name = "without a name"
        told = f"(signal {number}, {name}) while {self._doing}"
        if number == signal.SIGXCPU:
            return "timed_out", f"out of processor time while {self._doing}"
        if number in _FROM_OUTSIDE:
            return "killed", f"something outside ended it {told}"
        if number != signal.SIGKILL:
            return "crashed", f"the runtime crashed {told}"
        kills = _oom_kills()
        if kills is None or self._kills_before is None:
            return "killed", f"the system, for want of memory, or something else ended it {told}"
        if kills > self._kills_before:
            return "out_of_memory", f"the system ended it for want of memory while {self._doing}"
        return "killed", f"something outside ended it {told}"


def _growth(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    return {name: after[name] - before[name] for name in before if name in after}


def _oom_kills() -> int | None:
    """Return how often the kernel has ended a process for want of memory; None when unknown."""
    try:
        with Path("/proc/vmstat").open(encoding="ascii") as lines:
            for line in lines:
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    except (OSError, ValueError):
        return None
    return None
