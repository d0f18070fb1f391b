"""Call several things at once, and go on without those that take too long."""

from __future__ import annotations

import threading
import time

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    _T = TypeVar("_T")

__all__ = ["all_at_once"]


def all_at_once(
    calls: Sequence[Callable[[], _T]], *, deadline_s: float
) -> list[_T | Exception | None]:
    """Return what each call returned or raised; None for one that has not ended by the deadline."""
    results: list[_T | Exception | None] = [None] * len(calls)

    def run(index: int) -> None:
        try:
            results[index] = calls[index]()
        except Exception as error:  # noqa: BLE001 - it is the caller's answer
            results[index] = error

    threads = [
        threading.Thread(target=run, args=(index,), daemon=True) for index in range(len(calls))
    ]
    for thread in threads:
        thread.start()
    ends_s = time.monotonic() + deadline_s
    for thread in threads:
        thread.join(max(0.0, ends_s - time.monotonic()))
    return list(results)  # a copy: what comes later is not waited for, and changes nothing
