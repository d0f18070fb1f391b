"""Limits on what a server may cost: bytes, seconds, a least rate, and the length of its headers.

They are kept where bytes come off the socket, below every layer that could be made to wait: a
server that sends one byte a second, headers without end, or more than was asked for, meets them.
"""

from __future__ import annotations

import time

from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import KIB, MIB
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

__all__ = ["Budget", "Guard", "SpentError"]

_BESIDE_BODY_BYTES: Final = 64 * KIB
_RATE_GRACE_S: Final = 5.0  # the start of a connection is slow
_LEAST_TIMEOUT_S: Final = 0.001  # zero would mean "do not block" to a socket


@dataclass(frozen=True, slots=True)
class Budget:
    """What one client may spend over its life, whatever the servers do.

    Attributes:
        most_bytes: received, headers and redirects counted too.
        deadline_s: from the first request to the last byte.
        connect_s: for one connection: name, handshake and encryption each.
        silence_s: without a single byte.
        least_bytes_per_s: of an answer, measured once its first byte is five seconds old.
        most_header_bytes: headers of one answer.
        most_redirects: in a row.
    """

    most_bytes: int = 128 * MIB
    deadline_s: float = 120.0
    connect_s: float = 10.0
    silence_s: float = 15.0
    least_bytes_per_s: int = 2 * KIB
    most_header_bytes: int = 64 * KIB
    most_redirects: int = 5


class SpentError(Exception):
    """A limit is reached; the client says which one in an error of its own.

    Attributes:
        late: whether it is a limit of time.
    """

    def __init__(self, reason: str, *, late: bool = False) -> None:
        super().__init__(reason)
        self.late = late


class Guard:
    """Counts what one client has spent.

    Attributes:
        received_bytes: so far, over all connections.
    """

    __slots__ = (
        "_answer_bytes",
        "_clock",
        "_ends_at",
        "_in_headers",
        "_most_answer",
        "_sends_since",
        "budget",
        "received_bytes",
    )

    def __init__(self, budget: Budget, clock: Callable[[], float] = time.monotonic) -> None:
        self.budget = budget
        self.received_bytes = 0
        self._clock = clock
        self._ends_at: float | None = None
        self._sends_since = 0.0
        self._answer_bytes = 0
        self._in_headers = False
        self._most_answer = 0

    def start_request(self, *, most_body_bytes: int) -> None:
        """Note that a request begins, and how much of its answer's body is of use."""
        if self._ends_at is None:
            self._ends_at = self._clock() + self.budget.deadline_s
        self._answer_bytes = 0
        self._in_headers = True
        self.expect_body(most_body_bytes)

    def expect_body(self, most_body_bytes: int) -> None:
        """Note how much of the answer's body is of use; headers and framing have room beside it."""
        self._most_answer = most_body_bytes + _BESIDE_BODY_BYTES

    def start_body(self, *, most_body_bytes: int) -> None:
        """Note that the headers of the answer are complete, and what body they announce."""
        self._in_headers = False
        self.expect_body(most_body_bytes)

    def timeout(self, most_s: float) -> float:
        """Return how long the next wait may last, in seconds.

        Raises:
            SpentError: no time is left.
        """
        assert self._ends_at is not None
        left = self._ends_at - self._clock()
        if left <= 0:
            raise SpentError(f"took longer than {self.budget.deadline_s:g} s", late=True)
        return max(min(left, most_s), _LEAST_TIMEOUT_S)

    def next_read_bytes(self, wanted: int) -> int:
        """Return how much may be read at once, at most `wanted`.

        Raises:
            SpentError: nothing more may be read, or it comes too slowly.
        """
        budget = self.budget
        lasted = self._clock() - self._sends_since if self._answer_bytes else 0.0
        if lasted > _RATE_GRACE_S and self._answer_bytes < budget.least_bytes_per_s * lasted:
            raise SpentError(f"sends less than {budget.least_bytes_per_s:,} bytes/s", late=True)
        left = [budget.most_bytes - self.received_bytes, self._most_answer - self._answer_bytes]
        if self._in_headers:
            left.append(budget.most_header_bytes - self._answer_bytes)
        if min(left) <= 0:
            what = "headers" if self._in_headers else "data"
            raise SpentError(f"sends more {what} than was asked for")
        return min(wanted, *left)

    def received(self, n: int) -> None:
        """Count `n` bytes that came in."""
        if not self._answer_bytes:
            self._sends_since = self._clock()
        self.received_bytes += n
        self._answer_bytes += n
