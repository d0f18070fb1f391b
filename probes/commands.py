"""Run a program of the operating system within limits of time and size."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from contextlib import suppress

from whatfits.probes.system import (
    MAX_TEXT_BYTES,
    SourceDeniedError,
    SourceGarbledError,
    SourceHungError,
)
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

__all__ = ["run_command"]

_ENVIRONMENT: Final = {
    "LC_ALL": "C",
    "LANG": "C",
    "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
}


def run_command(
    command: tuple[str, ...],
    *,
    deadline_s: float,
    more_environment: Mapping[str, str] | None = None,
    with_errors: bool = False,
) -> str:
    """Return what a program prints, at most `MAX_TEXT_BYTES`, whatever its exit status.

    It runs in the root folder with the C locale, no input and no variables of ours but those in
    `more_environment`, as the leader of a group that is killed when the program is late or says
    too much. `with_errors` takes what it prints on standard error too.

    Raises:
        SourceDeniedError: it may not be run.
        SourceHungError: it did not end in time.
        SourceGarbledError: it failed and printed nothing.
    """
    try:
        child = subprocess.Popen(  # noqa: S603 - an absolute path in a folder of the system
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if with_errors else subprocess.DEVNULL,
            env={**_ENVIRONMENT, **(more_environment or {})},
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        raise SourceDeniedError(f"{command[0]} cannot be run: {error.strerror}") from error
    ends_s = time.monotonic() + deadline_s
    assert child.stdout is not None
    try:
        with child.stdout as output:
            text, is_complete = _read(output.fileno(), ends_s=ends_s)
    except BaseException:  # an interrupted program must not be left running
        _end(child, ends_s=ends_s, is_complete=False)
        raise
    status = _end(child, ends_s=ends_s, is_complete=is_complete)
    if not is_complete and len(text) < MAX_TEXT_BYTES:
        raise SourceHungError(f"{command[0]} did not end within {deadline_s:.1f} s")
    if status and not text.strip():
        raise SourceGarbledError(f"{command[0]} failed with status {status} and printed nothing")
    return text.decode("utf-8", "replace")


def _read(descriptor: int, *, ends_s: float) -> tuple[bytes, bool]:
    """Return what was printed, and whether that was all: else the time or the cap ran out."""
    text = b""
    while len(text) < MAX_TEXT_BYTES:
        left_s = max(0.0, ends_s - time.monotonic())
        if not select.select([descriptor], [], [], left_s)[0]:
            return text, False
        chunk = os.read(descriptor, min(65_536, MAX_TEXT_BYTES - len(text)))
        if not chunk:
            return text, True
        text += chunk
    return text, False


def _end(child: subprocess.Popen[bytes], *, ends_s: float, is_complete: bool) -> int:
    """Return the exit status; kill the whole group unless it ended by itself."""
    if is_complete:
        with suppress(subprocess.TimeoutExpired):
            return child.wait(max(0.05, ends_s - time.monotonic()))
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    try:
        return child.wait(0.1)
    except subprocess.TimeoutExpired:
        # It sleeps in the kernel and cannot be killed; Popen must not complain that it is left.
        child.returncode = -signal.SIGKILL
        return child.returncode
