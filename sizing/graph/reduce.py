"""Which layers decide the peak: repeated stretches of equal layers are cut short.

The allocator's state repeats with the layers, so a few periods show all there is to see. Kept are
at least as many periods as a family takes to settle (two, a few three) and four layers, and so many
that the end of the graph meets the same state (few families take longer than two layers to come
back to it); a test compares the result with the whole graph.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

__all__ = ["LEAST_LAYERS", "decisive_layers"]

_LONGEST_PERIOD: Final = 12
LEAST_LAYERS: Final = 4


def decisive_layers(
    kinds: Sequence[Hashable], *, cycle: int = 2, periods: int = 2, least: int = LEAST_LAYERS
) -> tuple[int, ...]:
    """Return the indices of the layers to keep, given what each layer is like.

    A multiple of `cycle` layers is left out: after so many the state of the memory comes back. Of
    each stretch at least `periods` repetitions and `least` layers are kept: before, the state has
    not settled yet.
    """

    def kept_of(period: int) -> int:
        return max(periods, -(-least // period))

    kept: list[int] = []
    at = 0
    while at < len(kinds):
        period, repeats = _longest_stretch(kinds, at, kept_of)
        keep = min(repeats, kept_of(period))
        while (repeats - keep) * period % cycle:
            keep += 1
        # the last repetitions are kept: what follows them is met as it is
        skipped = (repeats - keep) * period
        kept += range(at + skipped, at + repeats * period)
        at += repeats * period
    return tuple(kept)


def _longest_stretch(
    kinds: Sequence[Hashable], at: int, kept_of: Callable[[int], int]
) -> tuple[int, int]:
    """Return (period, repetitions) of the stretch from `at` that saves most layers."""
    best, saved = (1, 1), 0
    for period in range(1, min(_LONGEST_PERIOD, len(kinds) - at) + 1):
        pattern = kinds[at : at + period]
        repeats = 1
        while kinds[at + repeats * period : at + (repeats + 1) * period] == pattern:
            repeats += 1
        skipped = (repeats - kept_of(period)) * period
        if skipped > saved:
            best, saved = (period, repeats), skipped
    return best
