"""Charts as pure functions of answers: fixed colours, words for those who cannot see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import altair as alt

from whatfits.sizing.pool_bills import PART_LABELS, pool_bills
from whatfits.sizing.units import GIB, format_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whatfits.sizing.estimate import Plan
    from whatfits.sizing.pool_bills import PoolBill

__all__ = ["LIMIT_COLOUR", "PART_COLOURS", "memory_alt", "memory_chart", "memory_rows"]

# one colour a part, everywhere; told apart on white and on black
PART_COLOURS: Final = {
    "weights": "#2f6fe4",
    "kv_cache": "#d97706",
    "compute": "#0d9488",
    "output": "#a855f7",
    "overhead": "#64748b",
    "margin": "#94a3b8",
    "used": "#b08968",
    "reserve": "#c4b5a0",
}
LIMIT_COLOUR: Final = "#dc2626"
INSTALLED_COLOUR: Final = "#7c8698"
_ROW_PIXELS: Final = 44
_LEGEND_COLUMNS: Final = 2


def memory_rows(bills: Sequence[PoolBill]) -> list[dict[str, Any]]:
    """Return one row a part of a pool that is there, with where it begins and ends in GiB."""
    rows = []
    for bill in bills:
        begin = 0
        for part, size in bill.parts:
            if size:
                rows.append(
                    {
                        "pool": bill.label,
                        "part": PART_LABELS[part],
                        "begin": begin / GIB,
                        "end": (begin + size) / GIB,
                        "size": format_bytes(size),
                    }
                )
            begin += size
    return rows


def _rule_rows(bills: Sequence[PoolBill]) -> list[dict[str, Any]]:
    rows = []
    for bill in bills:
        if bill.limit_bytes is not None:
            what = "may use" if bill.is_limited else "capacity"
            rows.append(_rule(bill, bill.limit_bytes, what, is_limit=True))
        if bill.is_limited and bill.installed_bytes is not None:
            rows.append(_rule(bill, bill.installed_bytes, "installed", is_limit=False))
    return rows


def _rule(bill: PoolBill, size: int, what: str, *, is_limit: bool) -> dict[str, Any]:
    return {
        "pool": bill.label,
        "at": size / GIB,
        "label": f"{what} {format_bytes(size)}",
        "limit": is_limit,
    }


def memory_chart(plan: Plan) -> alt.LayerChart:
    """Return a bar a pool, part by part, against what the pool may hold.

    The height is a step for each pool: under a fixed one the legend takes the room of the bars.
    """
    bills = pool_bills(plan)
    order = [bill.label for bill in bills]
    parts = [PART_LABELS[key] for key in PART_COLOURS]
    there = {row["part"] for row in memory_rows(bills)}
    shown = [part for part in parts if part in there]
    colours = [colour for key, colour in PART_COLOURS.items() if PART_LABELS[key] in there]
    y = alt.Y("pool:N", sort=order, title=None, axis=None)
    bars = (
        alt.Chart(alt.Data(values=memory_rows(bills)))
        .mark_bar(size=22)
        .encode(
            x=alt.X("begin:Q", title="GiB", axis=alt.Axis(tickCount=6, grid=False)),
            x2="end:Q",
            y=y,
            color=alt.Color(
                "part:N",
                sort=shown,
                scale=alt.Scale(domain=shown, range=colours),
                legend=alt.Legend(
                    orient="bottom", title=None, columns=_LEGEND_COLUMNS, labelLimit=200
                ),
            ),
            tooltip=[alt.Tooltip("part:N"), alt.Tooltip("size:N")],
        )
    )
    rules = (
        alt.Chart(alt.Data(values=_rule_rows(bills)))
        .mark_tick(thickness=3, size=_ROW_PIXELS - 6, orient="vertical")
        .encode(
            x="at:Q",
            y=y,
            color=alt.condition(
                alt.datum.limit, alt.value(LIMIT_COLOUR), alt.value(INSTALLED_COLOUR)
            ),
            tooltip=[alt.Tooltip("label:N")],
        )
    )
    return alt.layer(bars, rules).properties(height=alt.Step(_ROW_PIXELS))


def memory_alt(plan: Plan) -> str:
    """Return the chart's conclusion in a sentence a pool."""
    said = []
    for bill in pool_bills(plan):
        if bill.free_bytes is None:
            said.append(f"{bill.label}: {format_bytes(bill.high_bytes)} needed, free unknown.")
            continue
        spare = bill.spare_bytes or 0
        left = "to spare" if spare >= 0 else "short"
        said.append(
            f"{bill.label}: up to {format_bytes(bill.high_bytes)} needed of "
            f"{format_bytes(bill.free_bytes)} free, {format_bytes(abs(spare))} {left}."
        )
    return " ".join(said)
