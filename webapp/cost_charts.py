"""The chart of Local or cloud as a pure function: what was paid by each month, and in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import altair as alt

from whatfits.sizing.costing.headline import days_text
from whatfits.sizing.costing.ownership import DAYS_PER_MONTH
from whatfits.webapp.chart_parts import Ink, Layers, data_of, finished, legend

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from whatfits.sizing.costing.lines import CostLine, CostLines, CostPoint

__all__ = ["LINE_NAMES", "cost_alt", "cost_chart", "cost_table", "usd_range"]

LINE_NAMES: Final[Mapping[str, str]] = {
    "own": "this machine",
    "api": "the API",
    "rent": "the rented GPU",
}
_COLOURS: Final = {"own": "#2f6fe4", "api": "#d97706", "rent": "#0d9488"}
_PIXELS: Final = 320
_LEGEND_LINE: Final = 900  # square pixels: a line as long as a side
_MONTHS_A_YEAR: Final = 12
# the earlier day above at the left, the later below at the right: between them the lines rise
_LABEL_PLACES: Final[tuple[dict[str, Any], ...]] = (
    {"align": "right", "dx": -10, "dy": -16},
    {"align": "left", "dx": 10, "dy": 18},
)


def cost_chart(found: CostLines, ink: Ink) -> Layers:
    """Return a line each way with its range, and a dot where the machine has paid for itself."""
    kinds = [line.kind for line in found.lines]
    rows = [row for line in found.lines for row in _rows(line)]
    layers = [_bands(rows, kinds), _lines(rows, kinds), *_crossings(found, ink)]
    return finished(alt.layer(*layers).properties(height=_PIXELS), ink)


def _rows(line: CostLine) -> list[dict[str, Any]]:
    """Return a line's points; a sale on the last day drops it."""
    points = (*line.points, *([] if line.sold is None else [line.sold]))
    return [
        {
            "way": LINE_NAMES[line.kind],
            "at": place,
            "months": round(point.months, 2),
            "low": point.low_usd,
            "usd": point.usd,
            "high": point.high_usd,
            "paid": usd_range(point),
        }
        for place, point in enumerate(points)
    ]


def _bands(rows: list[dict[str, Any]], kinds: Sequence[str]) -> alt.Chart:
    bands: alt.Chart = (
        alt.Chart(data_of(rows))
        .mark_area(opacity=0.18)
        .encode(
            x=_months(),
            y=alt.Y("low:Q", title="US dollars paid", axis=alt.Axis(tickCount=6, format="~s")),
            y2="high:Q",
            color=_colour(kinds),
        )
    )
    return bands


def _lines(rows: list[dict[str, Any]], kinds: Sequence[str]) -> alt.Chart:
    """Return the middle lines, told apart by colour and by dashes."""
    lines: alt.Chart = (
        alt.Chart(data_of(rows))
        .mark_line(strokeWidth=3)
        .encode(
            x=_months(),
            y="usd:Q",
            order="at:Q",
            color=_colour(kinds),
            strokeDash=alt.StrokeDash(
                "way:N", scale=alt.Scale(domain=[LINE_NAMES[kind] for kind in kinds]), legend=None
            ),
            tooltip=[alt.Tooltip(f"{name}:N") for name in ("way", "months", "paid")],
        )
    )
    return lines


def _months() -> alt.X:
    axis = alt.Axis(grid=False, tickCount=6, tickMinStep=1)
    return alt.X("months:Q", title="months", axis=axis)


def _colour(kinds: Sequence[str]) -> alt.Color:
    """Return the colours, the same in every layer: one without a legend would take it from all."""
    scale = alt.Scale(
        domain=[LINE_NAMES[kind] for kind in kinds], range=[_COLOURS[kind] for kind in kinds]
    )
    return alt.Color(
        "way:N",
        scale=scale,
        legend=legend(symbolType="stroke", symbolSize=_LEGEND_LINE, symbolOpacity=1),
    )


def _crossings(found: CostLines, ink: Ink) -> list[alt.Chart]:
    """Return a dot on each break-even day, the range that it lies in, and its words."""
    rows: list[dict[str, Any]] = [
        {
            "months": crossing.even.day / DAYS_PER_MONTH,
            "early": (crossing.even.early_day or 0) / DAYS_PER_MONTH,
            "late": (crossing.even.late_day or found.life_days) / DAYS_PER_MONTH,
            "usd": crossing.usd,
            "label": days_text(crossing.even.day),
        }
        for crossing in found.crossings
        if crossing.even.day
    ]
    if not rows:
        return []
    in_time = sorted(rows, key=lambda row: row["months"])
    base = alt.Chart(data_of(rows)).encode(y="usd:Q")
    return [
        base.mark_rule(color=ink.text, strokeWidth=2).encode(x="early:Q", x2="late:Q"),
        base.mark_point(filled=True, size=140, color=ink.text, opacity=1).encode(x="months:Q"),
        *(
            alt.Chart(data_of([row]))
            .mark_text(**place, fontSize=13, color=ink.text)
            .encode(x="months:Q", y="usd:Q", text="label:N")
            for row, place in zip(in_time, _LABEL_PLACES, strict=False)
        ),
    ]


def cost_alt(found: CostLines) -> str:
    """Return what was paid at the end of the life, and where the lines cross, in words."""
    ends = ", ".join(
        f"{LINE_NAMES[line.kind]} {usd_range(line.sold or line.points[-1])}" for line in found.lines
    )
    said = [f"Paid after {days_text(found.life_days)}: {ends}."]
    for crossing in found.crossings:
        other = LINE_NAMES[crossing.kind]
        if crossing.even.day is None:
            said.append(f"Against {other} the machine does not break even.")
        elif crossing.even.day:
            said.append(f"It breaks even with {other} after {days_text(crossing.even.day)}.")
        else:
            said.append(f"It costs less than {other} from the first day.")
    return " ".join(said)


def cost_table(found: CostLines) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the columns and a row for each year, and for the sale where there is one."""
    columns = ("after", *(LINE_NAMES[line.kind] for line in found.lines))
    years = zip(*(line.points[::_MONTHS_A_YEAR] for line in found.lines), strict=True)
    rows = [
        ("the purchase" if not points[0].day else days_text(points[0].day), *map(usd_range, points))
        for points in years
    ]
    if any(line.sold for line in found.lines):
        sold = ("" if line.sold is None else usd_range(line.sold) for line in found.lines)
        rows.append(("the sale", *sold))
    return columns, rows


def usd_range(point: CostPoint) -> str:
    """Return what was paid, with both ends where they look different."""
    low, middle, high = (f"${usd:,.0f}" for usd in (point.low_usd, point.usd, point.high_usd))
    return middle if low == high else f"{middle} ({low} to {high})"
