"""The accuracy suite: shapes by a rule, settings in turns, rows that count what they say."""

from __future__ import annotations

from functools import cache

import pytest

from whatfits.bench.run_settings import RunSettings
from whatfits.bench.suite import (
    QUICK_TURNS,
    Case,
    CatalogShape,
    _taken,
    settings_grid,
    smallest_shapes,
    suite_shapes,
)
from whatfits.bench.suite_report import markdown_table, suite_rows

SMALL, LARGE = CatalogShape("small", "llama", "Q8_0"), CatalogShape("large", "llama", "Q4_0")
OTHER = CatalogShape("other", "bert", "F16")
SETTINGS = RunSettings(512)


def _case(
    shape: CatalogShape,
    planned: tuple[int, int, int] | None,
    predicted: tuple[int, int, int] | None,
    *,
    low: int = 0,
    high: int = 10**9,
) -> Case:
    return Case(shape, SETTINGS, planned, predicted, low, high)


@cache
def shapes_of(bounded: bool) -> tuple[CatalogShape, ...]:
    return smallest_shapes() if bounded else suite_shapes()


def test_the_suite_has_the_shapes_it_promises() -> None:
    shapes = shapes_of(bounded=False)
    assert len(shapes) >= 60
    assert len({shape.architecture for shape in shapes}) >= 35
    assert len(set(shapes)) == len(shapes)
    assert len({shape.file_type for shape in shapes}) >= 8


def test_the_bounded_suite_has_one_shape_of_every_architecture() -> None:
    every, few = shapes_of(bounded=False), shapes_of(bounded=True)
    assert [shape.architecture for shape in few] == sorted({s.architecture for s in every})
    assert set(few) <= set(every)


def test_turns_leave_no_setting_of_the_grid_out() -> None:
    grid = settings_grid()
    taken = [_taken(grid, index, QUICK_TURNS) for index in range(len(shapes_of(bounded=True)))]
    assert {len(some) for some in taken} == {QUICK_TURNS}
    assert {setting for some in taken for setting in some} == set(grid)
    assert _taken(grid, 7, None) == grid


def test_rows_count_what_is_equal_what_is_inside_and_what_is_refused() -> None:
    rows = suite_rows(
        [
            _case(SMALL, (100, 50, 10), (100, 50, 10)),
            _case(SMALL, (100, 50, 10), (100, 50, 12), low=9, high=13),
            _case(LARGE, (100, 50, 10), (100, 51, 9), low=11, high=13),
            _case(LARGE, (100, 50, 10), (99, 50, 10)),
            _case(LARGE, None, None),
            _case(LARGE, None, (1, 1, 1)),
            _case(OTHER, (100, 0, 0), None),
        ]
    )
    assert [row.architecture for row in rows] == ["bert", "llama", "all"]
    llama, whole = rows[1], rows[2]
    assert (llama.shapes, llama.cases) == (2, 4)
    assert (llama.weights_exact, llama.cache_exact, llama.compute_exact) == (3, 3, 2)
    assert llama.inside == 3
    assert (llama.refused_alike, llama.refused_otherwise) == (1, 1)
    assert llama.lowest_error == pytest.approx(-1 / 160)
    assert llama.highest_error == pytest.approx(2 / 160)
    assert (whole.shapes, whole.cases, whole.refused_otherwise) == (3, 4, 2)


def test_a_row_without_a_comparison_has_no_errors() -> None:
    row = suite_rows([_case(OTHER, None, None)])[0]
    assert (row.cases, row.refused_alike, row.p95_error, row.median_error) == (0, 1, 0.0, 0.0)


def test_the_table_has_a_line_a_row_and_as_many_cells_as_columns() -> None:
    rows = suite_rows([_case(SMALL, (100, 50, 10), (100, 50, 12))])
    lines = markdown_table(rows).splitlines()
    assert len(lines) == len(rows) + 2
    assert len({line.count("|") for line in lines}) == 1
    assert "1.250%" in lines[2]


def test_a_case_agrees_when_it_is_equal_or_refused_by_both() -> None:
    assert _case(SMALL, (1, 2, 3), (1, 2, 3)).agrees
    assert _case(SMALL, None, None).agrees
    assert not _case(SMALL, None, (1, 2, 3)).agrees
    assert not _case(SMALL, (1, 2, 3), None).is_compared
    assert _case(SMALL, (1, 2, 3), None).total_error == 0.0
