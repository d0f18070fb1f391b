"""How much of a figure is the luck of the draw: the same load with other seeds."""

from __future__ import annotations

from whatfits.sizing.estimate import RateRange
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass, replace

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

    from whatfits.sizing.serving.outcome import LoadedServer

__all__ = ["Sampling", "sampling_of"]

_SEEDS: Final = 5


@dataclass(frozen=True, slots=True)
class Sampling:
    """Lowest, mean and highest figure over several seeds, at the middle of the speed's interval.

    Attributes:
        seeds: how many were tried, the answer's own first.
        ttft_p95_s: time to the first token that 19 of 20 requests keep.
        throughput_tokens_per_s: written for all users together.
    """

    seeds: int
    ttft_p95_s: RateRange
    throughput_tokens_per_s: RateRange


def sampling_of(loaded: LoadedServer, users: int) -> Sampling:
    """Return the spread over seeds that follow the given one."""
    seeds = range(loaded.seed, loaded.seed + _SEEDS)
    found = [replace(loaded, seed=seed).outcome(users) for seed in seeds]
    return Sampling(
        seeds=_SEEDS,
        ttft_p95_s=_spread(one.ttft_p95_s for one in found),
        throughput_tokens_per_s=_spread(one.throughput_tokens_per_s for one in found),
    )


def _spread(values: Iterable[float]) -> RateRange:
    known = list(values)
    figures = (min(known), sum(known) / len(known), max(known))
    low, mid, high = (float(f"{value:.4g}") for value in figures)
    return RateRange(low, mid, high)
