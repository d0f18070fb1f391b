"""The few models that are named first: one a maker's line, the newest and biggest that fits.

Rows are worked out as they are needed. Most models never are: they are older than one that fits,
smaller than one that fits, or larger than the memory that it would have to fit into.
"""

from __future__ import annotations

import math
from functools import cache, partial

from whatfits.sizing.explain import READING_TOKENS_PER_S
from whatfits.sizing.ranking.rows import MONTHS_A_YEAR, months_of
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Final

    from whatfits.sizing.catalog.lookup import ModelEntry
    from whatfits.sizing.estimate import Verdict
    from whatfits.sizing.ranking.ranker import Ranker
    from whatfits.sizing.ranking.rows import RankedModel

__all__ = ["FAMILY_RULE", "QUICK_RULE", "NewestOfLines", "is_quick"]

FAMILY_RULE: Final = (
    "one row a maker's line: of its models that fit and came out within twelve months of its "
    "newest that fits, the one with the most parameters; lines without a model of the last two "
    "years are left to 'whatfits list'; biggest first"
)
QUICK_RULE: Final = (
    f"the same among models that write faster than people read "
    f"({READING_TOKENS_PER_S:.1f} tokens/s by the middle of the estimate)"
)
_RECENT_MONTHS: Final = 24
_ADDED_AT_MOST: Final = 1.01  # as factors of rotary embedding


def is_quick(row: RankedModel) -> bool:
    """Return whether a model writes faster than people read, by the middle of the estimate."""
    rate = row.decode_tokens_per_s
    return rate is not None and rate.mid >= READING_TOKENS_PER_S


class NewestOfLines:
    """Chooses by `FAMILY_RULE` among catalog models; a line is a maker's, as qwen or gemma."""

    def __init__(self, entries: Iterable[ModelEntry], ranker: Ranker) -> None:
        """Sort the models into lines; no row is worked out yet."""
        self._lines: dict[str, list[ModelEntry]] = {}
        for entry in entries:
            if entry.released is not None:
                self._lines.setdefault(entry.line, []).append(entry)
        self._entirely = cache(ranker.row_if_entirely)
        self._anyhow = cache(ranker.row_if_any)

    def rows(self, wanted: Callable[[RankedModel], bool] | None = None) -> list[RankedModel]:
        """Return one row a line, biggest first within a verdict; only of rows that are `wanted`."""
        known = (entry for line in self._lines.values() for entry in line)
        newest = max((_months(entry) for entry in known), default=0)
        chosen = [
            row
            for line in self._lines.values()
            if (row := self._of_line(line, newest - _RECENT_MONTHS, wanted)) is not None
        ]
        return sorted(
            chosen, key=lambda row: (row.verdict != "fits", -(row.parameters or 0), row.model)
        )

    def _of_line(
        self, line: Sequence[ModelEntry], since: int, wanted: Callable[[RankedModel], bool] | None
    ) -> RankedModel | None:
        """Return the row of one line: of those that fit entirely, else of those that spill."""
        ways: tuple[tuple[Verdict, Callable[[ModelEntry], RankedModel | None]], ...]
        ways = (("fits", self._entirely), ("slow", self._anyhow))
        for verdict, row_of in ways:
            usable = partial(_usable, row_of=row_of, verdict=verdict, wanted=wanted)
            by_age = sorted(line, key=_months, reverse=True)
            newest = next((_months(e) for e in by_age if usable(e) is not None), None)
            if newest is not None:
                near = [e for e in line if 0 <= newest - _months(e) <= MONTHS_A_YEAR]
                return _biggest(near, usable) if newest >= since else None
        return None


def _usable(
    entry: ModelEntry,
    *,
    row_of: Callable[[ModelEntry], RankedModel | None],
    verdict: Verdict,
    wanted: Callable[[RankedModel], bool] | None,
) -> RankedModel | None:
    """Return a model's row if it has the verdict and is wanted."""
    row = row_of(entry)
    if row is None or row.verdict != verdict:
        return None
    return row if wanted is None or wanted(row) else None


def _biggest(
    entries: Iterable[ModelEntry], row_of: Callable[[ModelEntry], RankedModel | None]
) -> RankedModel | None:
    """Return the row with most parameters; none is worked out that cannot have more."""
    best: RankedModel | None = None
    for entry in sorted(entries, key=_most_parameters, reverse=True):
        if best is not None and _most_parameters(entry) < (best.parameters or 0):
            break
        row = row_of(entry)
        if row is not None and (best is None or _size(row) > _size(best)):
            best = row
    return best


def _size(row: RankedModel) -> tuple[int, str]:
    return row.parameters or 0, row.model


def _most_parameters(entry: ModelEntry) -> float:
    """Return a bound of what a model's row has: a file adds a few tables to the count."""
    if entry.params_total is None:
        return math.inf
    return (entry.params_total + (entry.params_mtp or 0)) * _ADDED_AT_MOST


def _months(entry: ModelEntry) -> int:
    return months_of(entry.released)
