"""What was answered is remembered while the same is asked, and worked out one at a time.

Values are frozen, so visitors may share them; nothing is pickled.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from whatfits.sizing.errors import WhatfitsError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = [
    "KNOWN_ANSWERS",
    "KNOWN_CHOICES",
    "KNOWN_CONTEXTS",
    "KNOWN_CURVES",
    "KNOWN_MACHINES",
    "KNOWN_RANKINGS",
    "BusyError",
    "KnownResults",
    "forget_this_machine",
]

_MOST_ANSWERS: Final = 256
_MOST_RANKINGS: Final = 32
_MOST_CHOICES: Final = 32  # each holds the model under every file type: until its answer is whole
_MISSING: Final = object()


class BusyError(WhatfitsError):
    """Too many others are being answered."""

    code = "busy"


class KnownResults:
    """The last results by what they were asked with; the same question is worked out once."""

    def __init__(self, most: int, *, patience_s: float = 60.0) -> None:
        """Keep at most so many, and let nobody wait longer."""
        self._most = most
        self._patience_s = patience_s
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = Lock()

    def of(self, key: Hashable, work: Callable[[], Any]) -> Any:  # noqa: ANN401 - what work returns
        """Return what is known under the key, or what `work` returns; its errors are not kept.

        One at a time: two at once would each take twice as long, and the same may be asked.

        Raises:
            BusyError: those who asked before take too long.
        """
        found = self._kept.get(key, _MISSING)
        if found is not _MISSING:
            return found
        if not self._lock.acquire(timeout=self._patience_s):
            raise BusyError("many are asking at once; try again in a minute")
        try:
            found = self._kept.get(key, _MISSING)
            if found is _MISSING:
                found = self._kept[key] = work()
                while len(self._kept) > self._most:
                    self._kept.popitem(last=False)
            return found
        finally:
            self._lock.release()

    def known(self, key: Hashable) -> Any:  # noqa: ANN401 - what work returned
        """Return what is known under the key; None when nothing is."""
        return self._kept.get(key)

    def forget(self, key: Hashable) -> None:
        """Forget what is known under the key."""
        with self._lock:
            self._kept.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._kept.clear()


KNOWN_CHOICES: Final = KnownResults(_MOST_CHOICES)
KNOWN_ANSWERS: Final = KnownResults(_MOST_ANSWERS)
KNOWN_MACHINES: Final = KnownResults(64)
KNOWN_RANKINGS: Final = KnownResults(_MOST_RANKINGS)
KNOWN_CURVES: Final = KnownResults(_MOST_RANKINGS)
KNOWN_CONTEXTS: Final = KnownResults(_MOST_RANKINGS)


def forget_this_machine() -> None:
    """Read this machine anew when it is asked for next."""
    for known in (
        KNOWN_MACHINES,
        KNOWN_CHOICES,
        KNOWN_ANSWERS,
        KNOWN_RANKINGS,
        KNOWN_CURVES,
        KNOWN_CONTEXTS,
    ):
        known.clear()
