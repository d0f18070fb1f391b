"""Repeated timings, and what they are worth: medians, spreads, and whether anybody disturbed them.

A thread that computes all the time uses as much processor time as passes on the wall. Where it got
less, something else was running: such a repeat says nothing about the machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CLEAN_SHARE", "Repeat", "Timing", "median", "spread"]

CLEAN_SHARE: Final = 0.9  # below it other programs have taken part of the processors
_TENTH: Final = 0.1


@dataclass(frozen=True, slots=True)
class Repeat:
    """One run of the work: wall time, and processor time over all its threads."""

    seconds: float
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Timing:
    """Repeats of one piece of work.

    Attributes:
        threads: threads that computed.
        repeats: in the order they were made, warm-up left out.
        on_cpu: whether the processor did the work; else its share says nothing.
    """

    threads: int
    repeats: tuple[Repeat, ...]
    on_cpu: bool = True

    def share_of(self, repeat: Repeat) -> float:
        """Return processor time over wall time of each thread."""
        return repeat.cpu_seconds / (repeat.seconds * self.threads)

    @property
    def cpu_share(self) -> float | None:
        """The share over all repeats; None where the processor did not do the work."""
        if not self.on_cpu:
            return None
        wall = sum(repeat.seconds for repeat in self.repeats)
        return sum(repeat.cpu_seconds for repeat in self.repeats) / (wall * self.threads)

    @property
    def clean(self) -> tuple[Repeat, ...]:
        """The repeats that nobody disturbed, as far as processor time tells."""
        if not self.on_cpu:
            return self.repeats
        return tuple(r for r in self.repeats if self.share_of(r) >= CLEAN_SHARE)

    @property
    def is_clean(self) -> bool:
        """Whether the figures rest on undisturbed repeats, at least half of what was made."""
        return bool(self.clean) and 2 * len(self.clean) >= len(self.repeats)

    @property
    def used(self) -> tuple[Repeat, ...]:
        """The repeats that figures rest on: the clean ones, all where there is none."""
        return self.clean or self.repeats

    @property
    def median_seconds(self) -> float:
        """Median of the repeats that are used."""
        return median([repeat.seconds for repeat in self.used])

    @property
    def spread(self) -> float:
        """Half of what 80 of 100 repeats cover, as a share of the median."""
        return spread([repeat.seconds for repeat in self.used])

    def with_more(self, other: Timing) -> Timing:
        """Return both together."""
        return Timing(self.threads, (*self.repeats, *other.repeats), self.on_cpu)


def median(values: Sequence[float]) -> float:
    """Return the median of at least one value."""
    return _quantile(sorted(values), 0.5)


def spread(values: Sequence[float]) -> float:
    """Return half the distance from the lower tenth to the upper, as a share of the median."""
    ordered = sorted(values)
    width = _quantile(ordered, 1 - _TENTH) - _quantile(ordered, _TENTH)
    return width / 2 / _quantile(ordered, 0.5)


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value at a share of the way through, between neighbours in a straight line."""
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
