"""Markdown tables, and how errors are summed up in them."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True)
class Errors:
    """Relative errors of totals: predicted over truth, less one."""

    median: float
    p95: float
    lowest: float
    highest: float

    @property
    def worst(self) -> float:
        return max(-self.lowest, self.highest)

    @property
    def cells(self) -> list[str]:
        return [percent(self.median), percent(self.p95), signed(self.lowest), signed(self.highest)]


def errors_of(values: Sequence[float]) -> Errors:
    """Return median and 95th percentile without signs, and the furthest on either side."""
    sizes = sorted(map(abs, values))
    at = min(len(sizes) - 1, len(sizes) * 95 // 100)
    return Errors(median(sizes), sizes[at], min(0.0, *values), max(0.0, *values))


def percent(value: float) -> str:
    """Return a share with as many digits as it needs."""
    if not value:
        return "0"
    return f"{value:.4%}" if abs(value) < 0.0001 else f"{value:.2%}"


def signed(value: float) -> str:
    """Return the same with its sign."""
    return percent(value) if value <= 0 else f"+{percent(value)}"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; all but the first column to the right."""
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "".join(f"| {' | '.join(map(str, cells))} |\n" for cells in lines)
