"""What a server gives its users under one load: percentiles of what the simulation logged."""

from __future__ import annotations

from whatfits.sizing.serving.arrivals import arrivals_of
from whatfits.sizing.serving.draws import draw
from whatfits.sizing.serving.simulation import simulate
from whatfits.sizing.typed import TYPE_CHECKING, Literal
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from typing import Final

    import numpy as np
    from numpy.typing import NDArray

    from whatfits.sizing.serving.draws import Draws
    from whatfits.sizing.serving.log import Log
    from whatfits.sizing.serving.profile import Limits, LoadProfile
    from whatfits.sizing.serving.server import Server
    from whatfits.sizing.serving.step_costs import StepCosts

__all__ = ["Binds", "LoadedServer", "Outcome", "outcome_of", "play"]

Binds = Literal["kv_cache", "slots", "arithmetic", "bandwidth"]
"""What holds more back: room in the cache, sequences at once, or the pace of a step."""

_FEWEST_REQUESTS: Final = 1000
_REQUESTS_A_USER: Final = 8
_MARGIN: Final = 8  # of so many parts the first and the last are left out: filling up, running dry


@dataclass(frozen=True, slots=True)
class Outcome:
    """One load under one speed.

    Attributes:
        ttft_p50_s: time to the first token, waiting included: half have it by then.
        ttft_p95_s: 19 of 20 have it by then.
        tokens_per_s: of one answer, from its first token to its last: the median.
        slow_tokens_per_s: 19 of 20 answers are written at least this fast.
        throughput_tokens_per_s: written for all users together.
        requests_per_s: answered.
        batch: sequences that were worked on at once, on the average.
        turned_away_share: of the requests, because the queue was full.
        sent_back_share: how often a request lost its place in the cache, for each request.
        binds: what held it back.
    """

    ttft_p50_s: float
    ttft_p95_s: float
    tokens_per_s: float | None
    slow_tokens_per_s: float | None
    throughput_tokens_per_s: float
    requests_per_s: float
    batch: float
    turned_away_share: float
    sent_back_share: float
    binds: Binds

    def keeps(self, limits: Limits) -> bool:
        """Return whether users put up with it; answers of one token have no speed."""
        fast = self.slow_tokens_per_s is None or self.slow_tokens_per_s >= limits.tokens_per_s
        return not self.turned_away_share and self.ttft_p95_s <= limits.ttft_p95_s and fast


@dataclass(frozen=True, slots=True)
class LoadedServer:
    """A server whose costs are known, and the load that is put on it.

    Attributes:
        server: its scheduler's limits.
        costs: of its steps.
        profile: what users do.
        context_tokens: the longest request.
        seed: of the random numbers.
        least_ttft_s: that a first token takes whatever the prompt.
        front_s: that it takes longer for each request at work at the same time.
    """

    server: Server
    costs: StepCosts
    profile: LoadProfile
    context_tokens: int
    seed: int
    least_ttft_s: float = 0.0
    front_s: float = 0.0

    def outcome(self, users: int) -> Outcome:
        """Return what so many users get."""
        log = play(self, users)[0]
        return outcome_of(log, least_ttft_s=self.least_ttft_s, front_s=self.front_s)


def play(loaded: LoadedServer, users: int) -> tuple[Log, Draws]:
    """Return what happened with so many users, and what they asked for."""
    count = max(_FEWEST_REQUESTS, _REQUESTS_A_USER * users)
    profile = loaded.profile
    draws = draw(profile, count, seed=loaded.seed, context_tokens=loaded.context_tokens)
    arrivals = arrivals_of(profile, draws, users=users)
    prefix = profile.shared_prefix_tokens
    return simulate(loaded.server, loaded.costs, draws, arrivals, prefix_tokens=prefix), draws


def outcome_of(log: Log, *, least_ttft_s: float = 0.0, front_s: float = 0.0) -> Outcome:
    """Return the figures of the middle of a log: its first and last eighth are left out.

    `binds` is a lack of place when requests waited for it more than half of the time, else what a
    step spends more of its time on.
    """
    import numpy as np  # noqa: PLC0415 - heavy, and only a simulation needs it

    arrived, first = np.array(log.arrived_s), np.array(log.first_s)
    finished, written = np.array(log.finished_s), np.array(log.written)
    count = len(arrived)
    edge = count // _MARGIN
    middle = slice(edge, count - edge)
    span_s = float(arrived[count - edge] - arrived[edge])
    answered = middle.start + np.flatnonzero(np.isfinite(finished[middle]))
    batch = log.batch_s / log.busy_s
    ttft = np.maximum(first[answered] - arrived[answered], least_ttft_s) + front_s * batch
    longer = answered[written[answered] > 1]
    speeds = (written[longer] - 1) / (finished[longer] - first[longer])
    return Outcome(
        ttft_p50_s=_percentile(ttft, 50),
        ttft_p95_s=_percentile(ttft, 95),
        tokens_per_s=_percentile(speeds, 50) if len(speeds) else None,
        slow_tokens_per_s=_percentile(speeds, 5) if len(speeds) else None,
        throughput_tokens_per_s=float(written[answered].sum()) / span_s,
        requests_per_s=len(answered) / span_s,
        batch=batch,
        turned_away_share=log.turned_away / count,
        sent_back_share=log.sent_back / count,
        binds=_binds(log),
    )


def _percentile(values: NDArray[np.float64], percent: float) -> float:
    import numpy as np  # noqa: PLC0415 - heavy, and only a simulation needs it

    return float(np.percentile(values, percent)) if len(values) else float("inf")


def _binds(log: Log) -> Binds:
    if max(log.no_slot_s, log.no_room_s) > log.end_s / 2:
        return "kv_cache" if log.no_room_s > log.no_slot_s else "slots"
    return "arithmetic" if log.arithmetic_s > log.busy_s / 2 else "bandwidth"
