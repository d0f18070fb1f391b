"""The accuracy suite's cases as rows: how many, how many exact, how far off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from whatfits.bench.suite import Case

__all__ = ["SuiteAnswer", "SuiteRow", "markdown_table", "suite_rows"]


@dataclass(frozen=True, slots=True)
class SuiteRow:
    """One architecture, or all of them.

    Attributes:
        architecture: GGUF architecture, or `all`.
        shapes: models compared.
        cases: settings compared.
        weights_exact: cases whose weights are equal to the byte.
        cache_exact: cases whose cache and state are.
        compute_exact: cases whose compute buffer is.
        inside: cases whose compute buffer lies in the interval.
        median_error: median of the total's error, without its sign.
        p95_error: 95th percentile of the same.
        lowest_error: the total furthest below the truth; 0 when none is below.
        highest_error: the total furthest above.
        refused_alike: settings that llama.cpp and this engine both refuse.
        refused_otherwise: settings that only one of them refuses.
    """

    architecture: str
    shapes: int
    cases: int
    weights_exact: int
    cache_exact: int
    compute_exact: int
    inside: int
    median_error: float
    p95_error: float
    lowest_error: float
    highest_error: float
    refused_alike: int
    refused_otherwise: int


@dataclass(frozen=True, slots=True)
class SuiteAnswer:
    """The JSON answer of `verify --suite`; the last row is over all architectures."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    schema_version: str
    reference: str
    rows: tuple[SuiteRow, ...]


def suite_rows(cases: Iterable[Case]) -> tuple[SuiteRow, ...]:
    """Return a row an architecture, and one over all at the end."""
    grouped: dict[str, list[Case]] = {}
    for case in cases:
        grouped.setdefault(case.shape.architecture, []).append(case)
    rows = [_row(name, grouped[name]) for name in sorted(grouped)]
    rows.append(_row("all", [case for group in grouped.values() for case in group]))
    return tuple(rows)


def _row(name: str, cases: Sequence[Case]) -> SuiteRow:
    compared = [
        (case.planned, case.predicted, case)
        for case in cases
        if case.planned is not None and case.predicted is not None
    ]
    errors = sorted(abs(case.total_error) for _, _, case in compared) or [0.0]
    signed = [case.total_error for _, _, case in compared]
    both = sum(case.planned is None and case.predicted is None for case in cases)
    return SuiteRow(
        architecture=name,
        shapes=len({case.shape for case in cases}),
        cases=len(compared),
        weights_exact=sum(truth[0] == ours[0] for truth, ours, _ in compared),
        cache_exact=sum(truth[1] == ours[1] for truth, ours, _ in compared),
        compute_exact=sum(truth[2] == ours[2] for truth, ours, _ in compared),
        inside=sum(c.compute_low <= truth[2] <= c.compute_high for truth, _, c in compared),
        median_error=errors[len(errors) // 2],
        p95_error=errors[min(len(errors) - 1, len(errors) * 95 // 100)],
        lowest_error=min([0.0, *signed]),
        highest_error=max([0.0, *signed]),
        refused_alike=both,
        refused_otherwise=len(cases) - len(compared) - both,
    )


def markdown_table(rows: Iterable[SuiteRow]) -> str:
    """Return the rows as a Markdown table."""
    columns = (
        "architecture | shapes | cases | weights exact | cache exact | compute exact | in interval "
        "| median | p95 | lowest | highest"
    )
    lines = [f"| {columns} |", "|---" * 11 + "|"]
    for row in rows:
        errors = (row.median_error, row.p95_error, row.lowest_error, row.highest_error)
        counts = (row.shapes, row.cases, row.weights_exact, row.cache_exact, row.compute_exact)
        cells = [row.architecture, *map(str, counts), str(row.inside)]
        cells += [f"{error:.3%}" if error else "0" for error in errors]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
