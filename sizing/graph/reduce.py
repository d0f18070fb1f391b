"""Which layers decide the peak: repeated stretches of equal layers are cut short.

The allocator's state comes back after a few equal layers (mostly one or two, at times three), so
that a few repetitions show all there is to see, when their number is right for what follows. The
replay's own states tell after how many they come back, and whether more repetitions are needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

__all__ = ["Stretch", "corrected", "layers_of", "stretches_of"]

_LONGEST_PERIOD: Final = 12
_KEPT_PERIODS: Final = 2
_KEPT_LAYERS: Final = 4
_USUAL_CYCLE: Final = 2


class Stretch(NamedTuple):
    """Equal periods of layers in a row, and how many of them are kept: the last ones.

    Attributes:
        start: first layer.
        period: layers of a period.
        repeats: periods there are.
        kept: periods that are replayed.
    """

    start: int
    period: int
    repeats: int
    kept: int

    @property
    def layers(self) -> range:
        """The layers that are kept; what follows them is met as it is."""
        first = self.start + (self.repeats - self.kept) * self.period
        return range(first, self.start + self.repeats * self.period)


def stretches_of(kinds: Sequence[Hashable]) -> tuple[Stretch, ...]:
    """Return a model's layers as stretches, given what each layer is like."""
    found: list[Stretch] = []
    at = 0
    while at < len(kinds):
        period, repeats = _longest_stretch(kinds, at)
        kept = min(repeats, _periods_kept(period))
        # twice the usual number of layers brings most states back
        kept += (repeats - kept) * period % _USUAL_CYCLE
        found.append(Stretch(at, period, repeats, kept))
        at += repeats * period
    return tuple(found)


def layers_of(stretches: Iterable[Stretch]) -> tuple[int, ...]:
    """Return the indices of the layers to replay."""
    return tuple(layer for stretch in stretches for layer in stretch.layers)


def corrected(
    stretches: Sequence[Stretch], states: Mapping[int, Hashable]
) -> tuple[Stretch, ...] | None:
    """Return stretches with more periods kept where the states ask for it; None when all is well.

    `states` are the allocator's before each replayed layer.
    """
    better = tuple(_corrected(stretch, states) for stretch in stretches)
    return None if better == tuple(stretches) else better


def _corrected(stretch: Stretch, states: Mapping[int, Hashable]) -> Stretch:
    """Keep so many periods that what is left out is a multiple of the states' own cycle."""
    if stretch.kept == stretch.repeats:
        return stretch
    cycle = _cycle(stretch, states)
    if cycle is None:
        return stretch._replace(kept=min(stretch.repeats, 2 * stretch.kept))
    return stretch._replace(kept=stretch.kept + (stretch.repeats - stretch.kept) % cycle)


def _cycle(stretch: Stretch, states: Mapping[int, Hashable]) -> int | None:
    """Return after how many periods a state came back; None when none did."""
    layers, period = stretch.layers, stretch.period
    for distance in range(1, stretch.kept):
        for early, late in zip(layers, layers[distance * period :], strict=False):
            if states.get(early) is not None and states.get(early) == states.get(late):
                return distance
    return None


def _periods_kept(period: int) -> int:
    return max(_KEPT_PERIODS, -(-_KEPT_LAYERS // period))


def _longest_stretch(kinds: Sequence[Hashable], at: int) -> tuple[int, int]:
    """Return (period, repetitions) of the stretch from `at` that saves most layers."""
    best, saved = (1, 1), 0
    for period in range(1, min(_LONGEST_PERIOD, len(kinds) - at) + 1):
        pattern = kinds[at : at + period]
        repeats = 1
        while kinds[at + repeats * period : at + (repeats + 1) * period] == pattern:
            repeats += 1
        skipped = (repeats - _periods_kept(period)) * period
        if skipped > saved:
            best, saved = (period, repeats), skipped
    return best
