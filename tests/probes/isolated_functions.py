"""Functions that misbehave as drivers do; called by name in a child process."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Never

from whatfits.probes.system import SourceDeniedError


def answer() -> dict[str, object]:
    return {"pid": os.getpid(), "text": "ä"}


def sleep() -> None:
    time.sleep(60)


def nap() -> None:
    """Sleep long enough to be late, and not so long that a thread outlives the tests."""
    time.sleep(0.5)


def sleep_deaf() -> None:
    """Sleep through every signal that can be caught."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    time.sleep(60)


def crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def leave() -> None:
    os._exit(0)


def fail() -> Never:
    raise ZeroDivisionError("a defect")


def refuse() -> Never:
    raise SourceDeniedError("this user may not")


def answer_with_a_list() -> list[int]:
    return [1, 2]


def answer_with_an_object() -> dict[str, object]:
    return {"object": object()}


def answer_with_much() -> dict[str, str]:
    return {"text": "x" * 9_000_000}


def talk() -> dict[str, bool]:
    sys.stdout.write("noise on the output\n")
    sys.stderr.write("noise on the error output\n")
    os.write(1, b"noise past Python\n")
    return {"ok": True}


def descriptors() -> dict[str, list[int]]:
    return {"open": sorted(int(path.name) for path in Path("/dev/fd").iterdir())}
