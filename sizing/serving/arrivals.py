"""When requests come: at random whatever the server does, or when a user has an answer."""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import accumulate
from math import inf

from whatfits.sizing.typed import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from whatfits.sizing.serving.draws import Draws
    from whatfits.sizing.serving.profile import LoadProfile

__all__ = ["Arrivals", "arrivals_of"]

_SECONDS_AN_HOUR: Final = 3600.0


class Arrivals(Protocol):
    """The requests to come; `next_s` is when the next one does, infinite after the last."""

    next_s: float

    def take(self) -> None:
        """Let the next request come."""

    def answered(self, request: int, at_s: float) -> None:
        """Take note that a request has its answer."""


def arrivals_of(profile: LoadProfile, draws: Draws, *, users: int) -> Arrivals:
    """Return the arrivals of so many users.

    Users that wait for their answers all begin at once, the worst they can do: with equal lengths
    and no pauses they stay together, as benchmarks with a fixed number of requests at once do.
    """
    if profile.requests_per_hour is not None:
        mean_s = _SECONDS_AN_HOUR / (users * profile.requests_per_hour)
        return _Open([mean_s * pause for pause in draws.pauses])
    return _Closed(users, [profile.think_s * pause for pause in draws.pauses])


class _Open:
    """Requests at moments that were drawn beforehand."""

    def __init__(self, gaps_s: Sequence[float]) -> None:
        self._times = accumulate(gaps_s)
        self.next_s = next(self._times, inf)

    def take(self) -> None:
        self.next_s = next(self._times, inf)

    def answered(self, request: int, at_s: float) -> None:
        """Nobody waits for it."""


class _Closed:
    """Users that ask again some time after each answer, until all requests were made."""

    def __init__(self, users: int, thinks_s: Sequence[float]) -> None:
        self._coming = [0.0] * users
        self._thinks = thinks_s
        self._left = len(thinks_s)
        self.next_s = 0.0

    def take(self) -> None:
        heappop(self._coming)
        self._left -= 1
        self._look()

    def answered(self, request: int, at_s: float) -> None:
        heappush(self._coming, at_s + self._thinks[request])
        self._look()

    def _look(self) -> None:
        self.next_s = self._coming[0] if self._coming and self._left else inf
