"""Real loads under limits: whatever the child does, the parent answers and leaves no orphan."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from whatfits.bench.child import LoadRequest
from whatfits.sizing.errors import MissingExtraError, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from whatfits.bench.run_settings import RunSettings

__all__ = ["LoadLimits", "LoadOutcome", "OutcomeKind", "load_for_real", "require_llama_cpp"]

OutcomeKind = Literal[
    "measured", "refused", "out_of_memory", "crashed", "killed", "timed_out", "no_answer"
]
_MAX_ANSWER_BYTES: Final = 1 << 20
_REAP_S: Final = 2.0
_ADDRESS_SLACK_BYTES: Final = 4 << 30  # libraries, thread stacks, arenas: addresses, not memory
_KEPT_ENVIRONMENT: Final = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR")
_KEPT_PREFIXES: Final = ("CUDA_", "HIP_", "ROCR_", "GGML_", "VK_", "LC_", "PYTHONPATH")
_OUT_OF_MEMORY: Final = (
    "out of memory",
    "failed to allocate",
    "unable to allocate",
    "alloc_buffer",
)


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
    cores = os.cpu_count() or 1
    cap = limits.memory_bytes
    request = LoadRequest(
        path=str(path.resolve()),
        settings=asdict(settings),
        decode_tokens=decode_tokens,
        memory_limit_bytes=None if cap is None else cap + _ADDRESS_SLACK_BYTES,
        cpu_limit_s=int(limits.seconds * cores) + 1,
    )
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as empty:
        child = _Child(command, request, folder=empty)
        try:
            child.listen(ends_s=started + limits.seconds, progress=progress)
        finally:
            status = child.end()
    return child.outcome(status, seconds=time.monotonic() - started)


def require_llama_cpp() -> None:
    """Raise when llama-cpp-python is not installed.

    Raises:
        MissingExtraError: it is not.
    """
    from importlib.util import find_spec  # noqa: PLC0415 - used here only

    if find_spec("llama_cpp") is None:
        raise MissingExtraError(extra="bench", purpose="loading a model")


class _Child:
    """One child process: its answers so far, and its end."""

    def __init__(self, command: tuple[str, ...], request: LoadRequest, *, folder: str) -> None:
        self._kills_before = _oom_kills()
        self._read, write = os.pipe()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this program itself, no shell
                [*command, str(write), json.dumps(asdict(request))],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=folder,
                env=_environment(),
                pass_fds=(write,),
                start_new_session=True,
            )
        finally:
            os.close(write)
        self._stages: dict[str, dict[str, Any]] = {}
        self._error: str | None = None
        self._late = self._babbled = False

    def listen(self, *, ends_s: float, progress: Callable[[str], None] | None) -> None:
        """Take answers until the child ends, babbles, or its time is over."""
        pending, taken = b"", 0
        while True:
            left_s = ends_s - time.monotonic()
            if left_s <= 0 or not select.select([self._read], [], [], left_s)[0]:
                self._late = True
                return
            chunk = os.read(self._read, 65_536)
            taken += len(chunk)
            if taken > _MAX_ANSWER_BYTES:
                self._babbled = True
            if not chunk or self._babbled:
                return
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                self._take(line, progress)

    def _take(self, line: bytes, progress: Callable[[str], None] | None) -> None:
        try:
            answer = json.loads(line)
        except ValueError:
            self._babbled = True
            return
        if not isinstance(answer, dict):
            self._babbled = True
        elif "error" in answer:
            self._error = printable(answer["error"])
        else:
            stage = str(answer.get("stage"))
            self._stages[stage] = answer
            if progress is not None:
                progress(stage)

    def end(self) -> int | None:
        """End the process group; return the exit status, None when it cannot be ended."""
        os.close(self._read)
        if not (self._late or self._babbled):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_REAP_S)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        try:
            return self._process.wait(_REAP_S)
        except subprocess.TimeoutExpired:
            self._process.returncode = -signal.SIGKILL  # abandoned: nobody waits for it
            return None

    def outcome(self, status: int | None, *, seconds: float) -> LoadOutcome:
        """Return how it went."""
        kind, reason = self._kind(status)
        before = self._stages.get("loading", {}).get("before", {})
        loaded, decoded = self._stages.get("loaded", {}), self._stages.get("decoded", {})
        return LoadOutcome(
            kind=kind,
            reason=reason,
            buffers=loaded.get("buffers", {}),
            loaded=_growth(before, loaded.get("memory", {})),
            decoded=_growth(before, decoded.get("memory", {})),
            devices=decoded.get("devices", {}),
            n_ctx=loaded.get("n_ctx"),
            seconds=seconds,
        )

    def _kind(self, status: int | None) -> tuple[OutcomeKind, str]:
        stage = "decoding" if "loaded" in self._stages else "loading"
        if "decoded" in self._stages and not self._babbled:
            return "measured", ""
        if self._late:
            return "timed_out", f"not done with {stage} in time; the child was ended"
        if self._babbled:
            return "no_answer", "the child answered with something that is no result"
        if self._error is not None:
            short = any(sign in self._error.lower() for sign in _OUT_OF_MEMORY)
            return ("out_of_memory" if short else "refused"), self._error
        if status is None or status >= 0:
            return "no_answer", f"the child ended without a result while {stage}"
        return self._by_signal(-status, stage)

    def _by_signal(self, number: int, stage: str) -> tuple[OutcomeKind, str]:
        name = signal.Signals(number).name
        if number == signal.SIGXCPU:
            return "timed_out", f"out of processor time while {stage}"
        if number != signal.SIGKILL:
            return "crashed", f"the runtime crashed (signal {number}, {name}) while {stage}"
        kills = _oom_kills()
        if kills is not None and self._kills_before is not None and kills > self._kills_before:
            return "out_of_memory", f"the system ended it for want of memory while {stage}"
        return "killed", f"something outside ended it (signal {number}, {name}) while {stage}"


def _growth(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    return {name: after[name] - before[name] for name in before if name in after}


def _environment() -> dict[str, str]:
    """Return what the child may know: paths and device settings, no tokens, no home."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT_ENVIRONMENT or name.startswith(_KEPT_PREFIXES)
    }


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
