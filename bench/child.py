"""Loads a model for real, in a process of its own, and reports what that took.

usage: python -m whatfits.bench.child DESCRIPTOR REQUEST; REQUEST is a `LoadRequest` as JSON. One
JSON object a line goes to the descriptor: `{"stage": "loading"}`, then `loaded` and `decoded` with
figures, or `{"error": reason}`. What the process prints is nobody's answer.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from whatfits.bench.run_settings import settings_of
from whatfits.sizing.errors import WhatfitsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from whatfits.bench.devices import SeenDevice

__all__ = ["LoadRequest", "address_limit", "end_with_parent", "limit_process", "memory_now"]

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_CPU_GRACE_S: Final = 2
_ADDRESS_SLACK_BYTES: Final = 4 << 30  # libraries, thread stacks, arenas: addresses, not memory
_STATUS: Final = Path("/proc/self/status")
_KINDS: Final = {"VmRSS": "resident_bytes", "RssAnon": "anonymous_bytes", "RssFile": "file_bytes"}


@dataclass(frozen=True, slots=True)
class LoadRequest:
    """What the child is to load, and what it may take.

    Attributes:
        path: model file.
        settings: how it is loaded.
        decode_tokens: tokens put through it afterwards.
        memory_limit_bytes: address space at most, where the OS can say so; None: no limit.
        cpu_limit_s: processor time at most.
    """

    path: str
    settings: dict[str, Any] = field(default_factory=dict)
    decode_tokens: int = 16
    memory_limit_bytes: int | None = None
    cpu_limit_s: int = 3600


def address_limit(memory_bytes: int | None) -> int | None:
    """Return the address space for so much memory; None for no limit."""
    return None if memory_bytes is None else memory_bytes + _ADDRESS_SLACK_BYTES


def main() -> None:
    """Serve one request and end."""
    descriptor, request = int(sys.argv[1]), LoadRequest(**json.loads(sys.argv[2]))
    end_with_parent()
    limit_process(request)
    try:
        _load(request, descriptor)
    except (WhatfitsError, MemoryError) as error:
        _tell(descriptor, {"error": str(error) or "out of memory"})


def _load(request: LoadRequest, descriptor: int) -> None:
    from whatfits.bench.devices import seen_devices  # noqa: PLC0415 - after the limits
    from whatfits.bench.driver_memory import used_by_address  # noqa: PLC0415 - same
    from whatfits.bench.llama_cpp import running  # noqa: PLC0415 - same

    used_before = used_by_address()  # before llama.cpp, which makes a context on each card
    # asking for devices loads the libraries: they are no part of what the model takes
    seen_before = seen_devices()
    before = memory_now()
    _tell(descriptor, {"stage": "loading", "before": before})
    with running(Path(request.path), settings_of(request.settings), real=True) as run:
        reservation = run.reservation()
        _tell(
            descriptor,
            {
                "stage": "loaded",
                "memory": memory_now(),
                "devices": _taken(seen_before, used_before),
                "buffers": {name: asdict(row) for name, row in reservation.buffers.items()},
                "n_ctx": reservation.n_ctx,
            },
        )
        run.decode(request.decode_tokens)
        _tell(
            descriptor,
            {
                "stage": "decoded",
                "memory": memory_now(),
                "devices": _taken(seen_before, used_before),
            },
        )


def memory_now() -> dict[str, int]:
    """Return what this process has in RAM: all of it, and where known anonymous and of files."""
    try:
        lines = _STATUS.read_text(encoding="ascii").splitlines()
    except OSError:
        import psutil  # noqa: PLC0415 - where there is no /proc

        return {"resident_bytes": psutil.Process().memory_info().rss}
    found = {}
    for line in lines:
        name, _, value = line.partition(":")
        if name in _KINDS:
            found[_KINDS[name]] = int(value.split()[0]) * 1024
    return found


def _taken(before: Sequence[SeenDevice], used_before: Mapping[str, int]) -> dict[str, int]:
    """Return the bytes that have gone from each accelerator since, the context among them.

    A card of which only the back end tells, and not without a context, is left out.
    """
    from whatfits.bench.devices import seen_devices  # noqa: PLC0415 - after the limits
    from whatfits.bench.driver_memory import used_by_address  # noqa: PLC0415 - same

    free_before = {device.name: device.free_bytes for device in before}
    used = used_by_address()
    taken = {}
    for device in seen_devices():
        at = device.address
        if at is not None and at in used and at in used_before:
            taken[device.name] = used[at] - used_before[at]
        elif device.name in free_before and not device.is_asked_within:
            taken[device.name] = free_before[device.name] - device.free_bytes
    return taken


def end_with_parent() -> None:
    """Have the kernel end this process when its parent is gone, where it knows how to."""
    if sys.platform.startswith("linux"):
        import ctypes  # noqa: PLC0415 - only there

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def limit_process(request: LoadRequest) -> None:
    """Hold this process to the request's limits, as far as the system knows such."""
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return
    # at the hard limit the kernel kills: the soft one comes first, with a signal that says why
    limits = {resource.RLIMIT_CPU: (request.cpu_limit_s, request.cpu_limit_s + _CPU_GRACE_S)}
    limits[resource.RLIMIT_CORE] = limits[resource.RLIMIT_FSIZE] = (0, 0)  # it writes to the pipe
    if request.memory_limit_bytes is not None:
        limits[resource.RLIMIT_AS] = (request.memory_limit_bytes, request.memory_limit_bytes)
    for kind, pair in limits.items():
        # a lower limit of the system stays
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, pair)


def _tell(descriptor: int, answer: dict[str, object]) -> None:
    left = json.dumps(answer).encode() + b"\n"
    while left:
        left = left[os.write(descriptor, left) :]


if __name__ == "__main__":
    main()
