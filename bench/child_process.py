"""A process of its own that knows little of its parent and can always be ended.

It leads a session, so that what it starts ends with it; what leaves that session is found by a
mark in its environment.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import selectors
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["ChildProcess"]

_REAP_S: Final = 2.0
_LOOK_S: Final = 0.1  # how often a silent child is looked after
_CHUNK_BYTES: Final = 65_536
_MOST_SEARCHES: Final = 50  # against one that forks faster than it can be ended
_PAUSE_S: Final = 0.01
_MARK: Final = "WHATFITS_CHILD"
_KEPT: Final = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR")
_KEPT_PREFIXES: Final = ("CUDA_", "HIP_", "ROCR_", "HSA_", "GGML_", "VK_", "LC_", "PYTHONPATH")


class ChildProcess:
    """One child: a pipe that it answers on, and its end.

    `arguments` makes the rest of the command from the number of the descriptor to answer on. With
    `by_streams` the child is asked on its standard input (`say`) and answers on its output.
    `environment` is added to the little that it knows.
    """

    def __init__(
        self,
        command: Sequence[str],
        arguments: Callable[[int], Sequence[str]] = lambda _descriptor: (),
        *,
        folder: str | None = None,
        by_streams: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start it.

        Raises:
            OSError: it cannot be started.
        """
        self._mark = f"{os.getpid()}-{secrets.token_hex(8)}"
        self._pending = b""
        self._read, write = os.pipe()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this program itself, no shell
                [*command, *arguments(write)],
                stdin=subprocess.PIPE if by_streams else subprocess.DEVNULL,
                stdout=write if by_streams else subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=folder,
                env=_environment() | dict(environment or {}) | {_MARK: self._mark},
                pass_fds=() if by_streams else (write,),
                start_new_session=True,
            )
        except BaseException:
            os.close(self._read)
            raise
        finally:
            os.close(write)

    def say(self, line: bytes) -> None:
        """Write a line to its standard input.

        Raises:
            OSError: it does not listen any more.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(line)
        self._process.stdin.flush()

    def line(self, *, ends_s: float, most_bytes: int) -> bytes | None:
        """Return its next line; None when it has ended, or closed its pipe, without one.

        Raises:
            TimeoutError: there was none by `ends_s` of the monotonic clock.
            OverflowError: it is longer than `most_bytes`.
        """
        with selectors.DefaultSelector() as selector:
            selector.register(self._read, selectors.EVENT_READ)
            while b"\n" not in self._pending:
                left_s = ends_s - time.monotonic()
                if left_s <= 0:
                    raise TimeoutError
                has_ended = self._process.poll() is not None
                # what a grandchild keeps open is no reason to wait for a child that is gone
                if not selector.select(0 if has_ended else min(left_s, _LOOK_S)):
                    if has_ended:
                        return None
                    continue
                chunk = os.read(self._read, _CHUNK_BYTES)
                if not chunk:
                    return None
                self._pending += chunk
                if len(self._pending) > most_bytes:
                    raise OverflowError
        line, _, self._pending = self._pending.partition(b"\n")
        return line

    def end(self, *, at_once: bool) -> int | None:
        """End it with all it has started; return its exit status, None when it had to be ended.

        Unless `at_once`, it has a moment to end by itself. What cannot be ended is left behind.
        """
        os.close(self._read)
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        status = self._process.poll()
        if status is None and not at_once:
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = self._process.wait(_REAP_S)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        if status is None:
            try:
                self._process.wait(_REAP_S)
            except subprocess.TimeoutExpired:
                self._process.returncode = -signal.SIGKILL  # left behind: nobody waits for it
        _end_strays(self._mark)
        return status


def _end_strays(mark: str) -> None:
    """End what the child has started and what then left its session.

    One that forks while it is looked for has another one by then: the search goes on until it
    finds none.
    """
    for _ in range(_MOST_SEARCHES):
        if not _end_marked(mark):
            return
        time.sleep(_PAUSE_S)


def _end_marked(mark: str) -> bool:
    """End the processes with a mark; return whether there was one."""
    import psutil  # noqa: PLC0415 - at the end of a child only

    found = False
    for process in psutil.process_iter(["environ"]):
        if (process.info["environ"] or {}).get(_MARK) == mark:
            found = True
            with contextlib.suppress(psutil.Error):
                process.kill()
    return found


def _environment() -> dict[str, str]:
    """Return what a child may know: paths and device settings, no tokens, no home."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or name.startswith(_KEPT_PREFIXES)
    }
    # without this, a failed assertion of llama.cpp starts a debugger on its own process
    return kept | {"GGML_NO_BACKTRACE": "1"}
