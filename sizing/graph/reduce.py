"""Which layers are replayed: of repeated stretches of equal layers a few periods are enough.

What the periods that are left out would do follows from those that are kept (see `repeat`); where
these are too few to tell, more of them are.
"""

from __future__ import annotations

from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence
    from typing import Final

__all__ = ["Stretch", "layers_of", "more_of", "stretches_of"]

_LONGEST_PERIOD: Final = 12
_KEPT_PERIODS: Final = 2
_KEPT_LAYERS: Final = 3
_NOT_WORTH_IT: Final = 2  # layers left out


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


def stretches_of(kinds: Sequence[Hashable], kept: int = _KEPT_LAYERS) -> tuple[Stretch, ...]:
    """Return a model's layers as stretches, given what each is like.

    `kept`: how many are kept of equal layers in a row; of longer periods two and what that leaves.
    """
    found: list[Stretch] = []
    at = 0
    while at < len(kinds):
        period, repeats = _longest_stretch(kinds, at, kept)
        found.append(Stretch(at, period, repeats, min(repeats, _periods_kept(period, kept))))
        at += repeats * period
    return tuple(found)


def layers_of(stretches: Iterable[Stretch]) -> tuple[int, ...]:
    """Return the indices of the layers to replay."""
    return tuple(layer for stretch in stretches for layer in stretch.layers)


def more_of(stretch: Stretch) -> Stretch:
    """Return a stretch with more periods kept; of one that leaves some out, two are at least."""
    return stretch._replace(kept=min(stretch.repeats, stretch.kept + stretch.kept // 2))


def _periods_kept(period: int, kept: int) -> int:
    return _KEPT_PERIODS + (kept - _KEPT_PERIODS) // period


def _longest_stretch(kinds: Sequence[Hashable], at: int, kept: int) -> tuple[int, int]:
    """Return (period, repetitions) of the stretch from `at` that saves most layers."""
    best, saved = (1, 1), 0
    for period in range(1, min(_LONGEST_PERIOD, len(kinds) - at) + 1):
        pattern = kinds[at : at + period]
        repeats = 1
        while kinds[at + repeats * period : at + (repeats + 1) * period] == pattern:
            repeats += 1
        skipped = (repeats - _periods_kept(period, kept)) * period
        if skipped > max(saved, _NOT_WORTH_IT):
            best, saved = (period, repeats), skipped
    return best
