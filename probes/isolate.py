"""Ask a driver in another process, which is abandoned when it does not answer.

A call into a broken GPU driver can sleep in the kernel where no signal reaches it. Here such a
call is made by a child; the parent waits until the deadline and goes on without it. The child is
forked (about a millisecond) while this process has one thread, started afresh otherwise: a fork
beside other threads may inherit a lock that nobody will ever release.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time

from whatfits.probes.answers import error_from, error_kind
from whatfits.probes.files import list_names, read_free_disk, read_small_text
from whatfits.probes.system import (
    MAX_TEXT_BYTES,
    SourceGarbledError,
    SourceHungError,
    SourceMissingError,
)
from whatfits.sizing.errors import ProbeError, printable
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Final

__all__ = ["Worker", "run_isolated"]

_MAX_ANSWER_BYTES: Final = 8 * MAX_TEXT_BYTES  # a text at its cap, escaped as JSON
_REAP_S: Final = 0.1


def run_isolated(
    function: Callable[[], Mapping[str, object]] | str, *, deadline_s: float
) -> dict[str, object]:
    """Return what a function of no arguments returns, called in a process of its own.

    Args:
        function: a function at the top of a module, or `module:function` to leave its import to
            the child. Its result must be made of what JSON knows.
        deadline_s: seconds after which the child is abandoned.

    Raises:
        SourceHungError: no answer by the deadline.
        SourceGarbledError: the child died, failed, or answered with something that is no mapping.
        ProbeError: what the function raised, if it was one.
    """
    name = (
        function if isinstance(function, str) else f"{function.__module__}:{function.__qualname__}"
    )
    if sys.platform == "win32":
        answer = _call_in_thread(name, deadline_s=deadline_s)
    else:
        worker = Worker()
        try:
            answer = worker.ask("call", name, deadline_s=deadline_s)
        finally:
            worker.stop()
    if not isinstance(answer, dict):
        raise SourceGarbledError(f"{name} answered with no mapping")
    return answer


class Worker:
    """A child that reads files and calls functions on request, one at a time."""

    def __init__(self) -> None:
        self._pid, self._asks, self._answers = _fork() if _may_fork() else _spawn()
        self._pending = b""
        self._ended = False

    def ask(self, what: str, argument: str, *, deadline_s: float) -> Any:  # noqa: ANN401 - JSON
        """Return the answer to `read_text`, `list_dir`, `free_disk` or `call` with its argument.

        Raises:
            SourceHungError: no answer by the deadline; the worker is of no more use.
            ProbeError: what the question led to.
        """
        ends_s = time.monotonic() + deadline_s
        try:
            os.write(self._asks, json.dumps([what, argument]).encode() + b"\n")
        except OSError as error:
            raise SourceGarbledError(self._epitaph(argument)) from error
        line = self._read_line(argument, ends_s=ends_s)
        try:
            answer = json.loads(line)
        except ValueError as error:
            raise SourceGarbledError(f"{argument} gave an answer that is not JSON") from error
        if "error" in answer:
            raise error_from(answer["error"], str(answer.get("text", argument)))
        return answer["ok"]

    def stop(self) -> None:
        """End the child; one that cannot be ended is left behind."""
        for descriptor in (self._asks, self._answers):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        if not self._ended:  # an ended child's id may belong to someone else by now
            os.kill(self._pid, signal.SIGKILL)
            self._wait()
        _reap_abandoned()

    def _read_line(self, argument: str, *, ends_s: float) -> bytes:
        while b"\n" not in self._pending:
            left_s = max(0.0, ends_s - time.monotonic())
            if not select.select([self._answers], [], [], left_s)[0]:
                raise SourceHungError(f"{argument} did not answer in time")
            chunk = os.read(self._answers, 65_536)
            if not chunk:
                raise SourceGarbledError(self._epitaph(argument))
            self._pending += chunk
            if len(self._pending) > _MAX_ANSWER_BYTES:
                raise SourceGarbledError(f"{argument} answered with more than it may")
        line, _, self._pending = self._pending.partition(b"\n")
        return line

    def _epitaph(self, argument: str) -> str:
        status = self._wait()
        if status is not None and os.WIFSIGNALED(status):
            return f"{argument}: the driver library crashed (signal {os.WTERMSIG(status)})"
        return f"{argument}: the helper process ended without an answer"

    def _wait(self) -> int | None:
        """Return the child's exit status, or None when it does not end."""
        ends_s = time.monotonic() + _REAP_S
        while not self._ended:
            try:
                pid, status = os.waitpid(self._pid, os.WNOHANG)
            except ChildProcessError:  # this program ignores its children: the kernel took it
                pid, status = self._pid, 0
            if pid:
                self._ended = True
                return status
            if time.monotonic() > ends_s:
                self._ended = True
                _abandoned.append(self._pid)
            else:
                time.sleep(0.001)
        return None


_abandoned: list[int] = []


def _reap_abandoned() -> None:
    """Collect children that could not be ended when they were left, so none stays a zombie."""
    for pid in tuple(_abandoned):
        try:
            done = os.waitpid(pid, os.WNOHANG)[0] != 0
        except ChildProcessError:
            done = True
        if done:
            _abandoned.remove(pid)


def _may_fork() -> bool:
    try:
        return len(os.listdir("/proc/self/task")) == 1  # noqa: PTH208 - pathlib is not imported
    except OSError:
        return False


def _fork() -> tuple[int, int, int]:
    """Fork a child that serves; return its id, where to ask, where to listen."""
    asks_read, asks_write = os.pipe()
    answers_read, answers_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            # The child may outlive this process: it must hold none of its descriptors, or whoever
            # reads our output from a pipe would wait for ever.
            os.setsid()
            _stop_fault_reports()
            _keep_only(asks_read, answers_write)
            # What was redirected in this process may be closed by now.
            with open(1, "w", closefd=False) as sys.stdout:
                sys.stderr = sys.stdout
                _serve(0, 3)
        finally:
            os._exit(0)
    os.close(asks_read)
    os.close(answers_write)
    return pid, asks_write, answers_read


def _stop_fault_reports() -> None:
    """Keep Python from reporting a crash to a descriptor that the answers will take over."""
    handler = sys.modules.get("faulthandler")
    if handler is not None:
        handler.disable()


def _keep_only(asks: int, answers: int) -> None:
    import fcntl  # noqa: PLC0415 - in the child only

    asks, answers = (fcntl.fcntl(fd, fcntl.F_DUPFD, 16) for fd in (asks, answers))
    nothing = os.open(os.devnull, os.O_RDWR)
    for source, target in ((asks, 0), (nothing, 1), (nothing, 2), (answers, 3)):
        os.dup2(source, target)
    for name in os.listdir("/dev/fd"):  # noqa: PTH208 - pathlib is not imported
        if int(name) > 3:  # noqa: PLR2004 - the four above
            with contextlib.suppress(OSError):
                os.close(int(name))


def _spawn() -> tuple[int, int, int]:
    """Start a fresh interpreter that serves; return its id, where to ask, where to listen."""
    import subprocess  # noqa: PLC0415 - where a fork would not do

    if getattr(sys, "frozen", False) or not sys.executable:
        raise SourceMissingError("there is no interpreter to ask the driver from")
    asks_read, asks_write = os.pipe()
    answers_read, answers_write = os.pipe()
    # -P keeps the current directory off the import path.
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "whatfits.probes.isolate"],
        stdin=asks_read,
        stdout=answers_write,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(asks_read)
    os.close(answers_write)
    pid = child.pid
    child.returncode = 0  # the worker waits for it itself; Popen must not complain
    return pid, asks_write, answers_read


def _serve(asks: int, answers: int) -> None:
    """Answer one JSON line with one JSON line until the other side goes away."""
    with os.fdopen(asks, "rb", closefd=False) as lines:
        for line in lines:
            what, argument = json.loads(line)
            left = json.dumps(_answer(what, argument)).encode() + b"\n"
            while left:
                left = left[os.write(answers, left) :]


def _answer(what: str, argument: str) -> dict[str, object]:
    try:
        return {"ok": _ACTIONS[what](argument)}
    except ProbeError as error:
        return {"error": error_kind(error), "text": str(error)}
    except Exception as error:  # noqa: BLE001 - whatever a driver does, the answer is an answer
        return {
            "error": "garbled",
            "text": f"{argument}: {type(error).__name__}: {printable(error)}",
        }


def _call(name: str) -> Mapping[str, object]:
    from importlib import import_module  # noqa: PLC0415 - in the child only

    module, _, function = name.partition(":")
    result: Mapping[str, object] = getattr(import_module(module), function)()
    return result


_ACTIONS: Final[dict[str, Callable[[str], object]]] = {
    "read_text": read_small_text,
    "list_dir": list_names,
    "free_disk": read_free_disk,
    "call": _call,
}


def _call_in_thread(name: str, *, deadline_s: float) -> object:
    """Return what the function returns; Windows has no fork, so a thread is what is left behind."""
    import threading  # noqa: PLC0415 - Windows only

    answers: list[dict[str, object]] = []
    thread = threading.Thread(target=lambda: answers.append(_answer("call", name)), daemon=True)
    thread.start()
    thread.join(deadline_s)
    if not answers:
        raise SourceHungError(f"{name} did not answer in time")
    if "error" in answers[0]:
        raise error_from(answers[0]["error"], str(answers[0]["text"]))
    return answers[0]["ok"]


if __name__ == "__main__":
    _keep_only(0, 1)
    _serve(0, 3)
