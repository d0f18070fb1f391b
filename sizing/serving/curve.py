"""From one user to many: what each gets, how many a server carries, where more bring no more."""

from __future__ import annotations

from whatfits.sizing.estimate import RateRange
from whatfits.sizing.serving.batching import ENDS, MID
from whatfits.sizing.serving.outcome import Binds  # noqa: TC001 - read by pydantic
from whatfits.sizing.serving.profile import MOST_USERS
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Final

    from whatfits.sizing.serving.outcome import LoadedServer, Outcome
    from whatfits.sizing.serving.profile import Limits

__all__ = ["KNEE_SHARE", "CurvePoint", "UserRange", "Users", "knee_users", "user_steps"]

KNEE_SHARE: Final = 0.9
"""The knee is the fewest users on the curve with this share of the most that all get together."""

_CLOSE: Final = 32  # the most users are told to a part of so many of them
_WIDEST_BEYOND: Final = 2  # the curve goes on to so many times the users asked for


@dataclass(frozen=True, slots=True)
class UserRange:
    """A number of users at the slow end of the speed's interval, its middle and its fast end."""

    low: int
    mid: int
    high: int


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """What so many users get: of each figure the simulations at both ends of the speed's interval.

    Attributes are those of `Outcome`; `keeps_limits` at the slow end, `binds` in the middle.
    """

    users: int
    ttft_p50_s: RateRange
    ttft_p95_s: RateRange
    tokens_per_s: RateRange | None
    slow_tokens_per_s: RateRange | None
    throughput_tokens_per_s: RateRange
    requests_per_s: RateRange
    batch: RateRange
    turned_away_share: float
    sent_back_share: float
    keeps_limits: bool
    binds: Binds


class Users:
    """Simulates numbers of users, each once, at the three ends of the speed's interval."""

    def __init__(self, servers: Mapping[str, LoadedServer], limits: Limits) -> None:
        """`servers` are the server at each of `ENDS`."""
        self.servers, self._limits = servers, limits
        self._known: dict[tuple[str, int], Outcome] = {}

    def outcome(self, users: int, end: str) -> Outcome:
        """Return what so many users get at one end."""
        key = (end, users)
        if key not in self._known:
            self._known[key] = self.servers[end].outcome(users)
        return self._known[key]

    def point(self, users: int) -> CurvePoint:
        """Return what so many users get."""
        every = [self.outcome(users, end) for end in ENDS]
        _, mid, slow = every

        def spread(name: str) -> RateRange:
            return _range([getattr(one, name) for one in every])

        speeds = mid.tokens_per_s is not None
        return CurvePoint(
            users=users,
            ttft_p50_s=spread("ttft_p50_s"),
            ttft_p95_s=spread("ttft_p95_s"),
            tokens_per_s=spread("tokens_per_s") if speeds else None,
            slow_tokens_per_s=spread("slow_tokens_per_s") if speeds else None,
            throughput_tokens_per_s=spread("throughput_tokens_per_s"),
            requests_per_s=spread("requests_per_s"),
            batch=spread("batch"),
            turned_away_share=mid.turned_away_share,
            sent_back_share=mid.sent_back_share,
            keeps_limits=self.servers["slow"].server.starts and slow.keeps(self._limits),
            binds=mid.binds,
        )

    def most(self) -> UserRange:
        """Return how many users are within the limits at each end; 0 where not even one is."""
        fast, mid, slow = (self._most(end) for end in ENDS)
        return UserRange(slow, mid, fast)

    def _most(self, end: str) -> int:
        """Close in on the last number that keeps the limits, to 3 %: more users never help."""
        if not self.servers[end].server.starts:
            return 0
        kept, lost = 0, 1
        while lost <= MOST_USERS and self.outcome(lost, end).keeps(self._limits):
            kept, lost = lost, lost * 2
        lost = min(lost, MOST_USERS + 1)
        while lost - kept > max(1, kept // _CLOSE):
            middle = (kept + lost) // 2
            if self.outcome(middle, end).keeps(self._limits):
                kept = middle
            else:
                lost = middle
        return kept


def user_steps(users: int, most: UserRange) -> list[int]:
    """Return the numbers of users a curve is drawn over: doubling, what was asked, what is kept."""
    last = min(MOST_USERS, _WIDEST_BEYOND * max(users, most.mid))
    doubling = {2**power for power in range(last.bit_length())}
    return sorted(n for n in {*doubling, users, most.low, most.mid, last} if 1 <= n <= last)


def knee_users(points: Sequence[CurvePoint]) -> int | None:
    """Return the fewest users that get `KNEE_SHARE` of the most throughput on the curve.

    None where only its end does: more users might bring more.
    """
    least = KNEE_SHARE * max(point.throughput_tokens_per_s.mid for point in points)
    reached = (one.users for one in points[:-1] if one.throughput_tokens_per_s.mid >= least)
    return next(reached, None)


def _range(values: Sequence[float]) -> RateRange:
    """Return the middle simulation's value between the lowest and the highest of all."""
    low, mid, high = (float(f"{value:.3g}") for value in (min(values), values[MID], max(values)))
    return RateRange(low, mid, high)
