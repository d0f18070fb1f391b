"""Charts of serving as pure functions: users against waiting and speed, and against contexts."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any, Final

import altair as alt

from whatfits.sizing.explain import rate_text, short_rate
from whatfits.sizing.units import format_tokens
from whatfits.sizing.verdict import MAY_RUN
from whatfits.webapp.chart_parts import Ink, Layers, data_of, finished

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from whatfits.sizing.estimate import RateRange
    from whatfits.sizing.serving.curve import CurvePoint
    from whatfits.sizing.serving.grid import GridCell
    from whatfits.sizing.serving.serve_plan import ServePlan

__all__ = [
    "CELL_COLOURS",
    "cell_words",
    "grid_alt",
    "grid_chart",
    "speed_alt",
    "speed_chart",
    "wait_alt",
    "wait_chart",
]

_PIXELS: Final = 240
_CELL_PIXELS: Final = 56
_LINE: Final = "#2f6fe4"
# black on each of them can be read, on a light page and on a dark one
CELL_COLOURS: Final = {
    "within limits": "#7cc9a0",
    "beyond limits": "#f2b872",
    "does not run": "#e89a9a",
    "speed unknown": "#c3c9d2",
}
_MARKS: Final = {"within limits": "\N{CHECK MARK}", "beyond limits": "beyond"}
_CELL_INK: Final = "#101418"


def wait_chart(found: ServePlan, ink: Ink) -> Layers:
    """Return the time to the first token of 19 of 20 requests over users, against its limit."""
    rows = _rows((point.users, point.ttft_p95_s) for point in found.curve)
    return _curve(
        rows,
        title="seconds to the first token",
        limit=found.limits.ttft_p95_s,
        limit_words=f"limit {found.limits.ttft_p95_s:g} s",
        users=found.users,
        ink=ink,
    )


def speed_chart(found: ServePlan, ink: Ink) -> Layers:
    """Return the tokens a second of one answer over users, against the least that is asked."""
    rows = _rows((point.users, point.tokens_per_s) for point in found.curve)
    return _curve(
        rows,
        title="tokens/s for each user",
        limit=found.limits.tokens_per_s,
        limit_words=f"least {found.limits.tokens_per_s:.3g} tokens/s",
        users=found.users,
        ink=ink,
    )


def _rows(points: Iterable[tuple[int, RateRange | None]]) -> list[dict[str, Any]]:
    """Return the points that have a finite range: a wait without end cannot be drawn."""
    return [
        {"users": users, "low": rate.low, "mid": rate.mid, "high": rate.high}
        for users, rate in points
        if rate is not None and isfinite(rate.high)
    ]


def _curve(
    rows: list[dict[str, Any]],
    *,
    title: str,
    limit: float,
    limit_words: str,
    users: int,
    ink: Ink,
) -> Layers:
    """Return a line with its range over users, a rule at the limit and a mark at those asked."""
    scale = alt.Scale(type="log", base=2, nice=False)
    axis = alt.Axis(grid=False, format="d", tickCount=6)
    x = alt.X("users:Q", title="users at once", scale=scale, axis=axis)
    base = alt.Chart(data_of(rows)).encode(x=x)
    limit_row = alt.Chart(data_of([{"limit": limit, "label": limit_words}]))
    layers = [
        base.mark_area(opacity=0.2, color=_LINE).encode(
            y=alt.Y("low:Q", title=title, axis=alt.Axis(tickCount=5)), y2="high:Q"
        ),
        base.mark_line(color=_LINE, strokeWidth=3, point=alt.OverlayMarkDef(size=40)).encode(
            y="mid:Q",
            tooltip=[alt.Tooltip(f"{name}:Q") for name in ("users", "low", "mid", "high")],
        ),
        limit_row.mark_rule(color=ink.limit, strokeWidth=2).encode(y="limit:Q"),
        limit_row.mark_text(align="left", dx=4, dy=-8, fontSize=13, color=ink.limit).encode(
            y="limit:Q", x=alt.value(0), text="label:N"
        ),
    ]
    asked = [row for row in rows if row["users"] == users]
    if asked:
        you = alt.Chart(data_of(asked)).encode(x="users:Q", y="mid:Q")
        layers.append(you.mark_point(shape="diamond", size=180, filled=True, color=ink.text))
    return finished(alt.layer(*layers).properties(height=_PIXELS), ink)


def wait_alt(found: ServePlan) -> str:
    """Return the first, the asked and the last point of the wait in words."""
    return _said(found, "s to the first token", lambda point: point.ttft_p95_s)


def speed_alt(found: ServePlan) -> str:
    """Return the first, the asked and the last point of the speed in words."""
    return _said(found, "tokens/s each", lambda point: point.tokens_per_s)


def _said(found: ServePlan, unit: str, rate_of: Callable[[CurvePoint], RateRange | None]) -> str:
    asked = [point for point in found.curve if point.users == found.users]
    shown = dict.fromkeys((found.curve[0], *asked, found.curve[-1]))
    said = [f"{point.users:,} at once: {rate_text(rate_of(point), unit)}" for point in shown]
    return f"{'; '.join(said)}."


def cell_words(cell: GridCell) -> str:
    """Return a cell in words: the speed of each user and whether limits are kept, or why not."""
    speed, state = _speed(cell), _state(cell)
    return f"{speed}, {state}" if cell.point is not None else state


def _speed(cell: GridCell) -> str:
    return "" if cell.point is None else short_rate(cell.point.tokens_per_s)


def _state(cell: GridCell) -> str:
    if cell.memory not in MAY_RUN:
        return "does not run"
    if cell.point is None:
        return "speed unknown"
    return "within limits" if cell.point.keeps_limits else "beyond limits"


def grid_chart(cells: Sequence[GridCell], ink: Ink) -> Layers:
    """Return users against contexts; a cell's colour says what its words say too."""
    rows = [
        {
            "users": f"{cell.users:,}",
            "context": format_tokens(cell.context_tokens),
            "state": _state(cell),
            "words": _speed(cell) or _state(cell),
            "mark": _MARKS.get(_state(cell), ""),
        }
        for cell in cells
    ]
    users = list(dict.fromkeys(row["users"] for row in rows))
    contexts = list(dict.fromkeys(row["context"] for row in rows))
    states = [state for state in CELL_COLOURS if any(row["state"] == state for row in rows)]
    base = alt.Chart(data_of(rows)).encode(
        x=alt.X("users:N", sort=users, title="users at once", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("context:N", sort=contexts, title="context of each"),
    )
    tiles = base.mark_rect(stroke=ink.text, strokeWidth=0.5).encode(
        color=alt.Color(
            "state:N",
            scale=alt.Scale(domain=states, range=[CELL_COLOURS[state] for state in states]),
            legend=alt.Legend(orient="bottom", title=None, columns=2),
        )
    )
    words = base.mark_text(fontSize=12, dy=-7, color=_CELL_INK).encode(text="words:N")
    marks = base.mark_text(fontSize=13, dy=10, color=_CELL_INK).encode(text="mark:N")
    return finished(alt.layer(tiles, words, marks).properties(height=alt.Step(_CELL_PIXELS)), ink)


def grid_alt(cells: Sequence[GridCell]) -> str:
    """Return for each context the most users of the map that are within the limits."""
    contexts = dict.fromkeys(cell.context_tokens for cell in cells)
    said = []
    for context in contexts:
        kept = [
            cell.users
            for cell in cells
            if cell.context_tokens == context and _state(cell) == "within limits"
        ]
        most = f"{max(kept):,} users within the limits" if kept else "nobody within the limits"
        said.append(f"{format_tokens(context)} tokens each: {most}")
    return f"{'; '.join(said)}."
