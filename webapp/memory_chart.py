"""Bars of memory against capacity: fixed colours, words for those who cannot see them."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import altair as alt

from whatfits.sizing.pool_bills import PART_LABELS
from whatfits.sizing.units import GIB, format_bytes
from whatfits.webapp.chart_parts import Ink, Layers, data_of, finished, legend

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whatfits.sizing.pool_bills import PoolBill

__all__ = ["PART_COLOURS", "memory_alt", "memory_chart", "memory_rows", "memory_spec"]

# one colour a part, everywhere; told apart on white and on black
PART_COLOURS: Final = {
    "weights": "#2f6fe4",
    "kv_cache": "#d97706",
    "compute": "#0d9488",
    "output": "#a855f7",
    "overhead": "#64748b",
    "margin": "#8593ab",
    "cpu": "#be185d",
    "used": "#b08968",
    "reserve": "#9b8b57",
}
_ROW_PIXELS: Final = 76
_BAR_PIXELS: Final = 24
_RULE_PIXELS: Final = 40
_LABEL_RISE: Final = -26
_LABEL_FALL: Final = 28
# where what is installed has a label above its rule, the name of the pool goes above that
_TALL_ROW_PIXELS: Final = 108
_NAME_RISE: Final = -42
_SPECS_KEPT: Final = 256


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
    """Return the ends of each pool; a label stands on the side where it has room."""
    longest = max((max(b.bar_bytes, b.installed_bytes or 0) for b in bills), default=1)
    rows = []
    for bill in bills:
        of_gpu = bill.needs[0].pool.limit_scope == "accelerators"
        limit = "GPU's limit" if of_gpu else "limit"
        what = limit if bill.is_limited else "capacity"
        ends = [(bill.limit_bytes, what, True)]
        if bill.is_limited:
            ends.append((bill.installed_bytes, "installed", False))
        for size, name, is_limit in ends:
            if size is not None:
                row = {
                    "pool": bill.label,
                    "at": size / GIB,
                    "label": f"{name} {format_bytes(size)}",
                    "limit": is_limit,
                    "left": size * 2 > longest,
                }
                rows.append(row)
    return rows


@lru_cache(maxsize=_SPECS_KEPT)
def memory_spec(bills: tuple[PoolBill, ...], ink: Ink) -> str:
    """Return the chart below as Vega-Lite's JSON: making it takes longer than all the rest."""
    return memory_chart(bills, ink).to_json(indent=None)


def memory_chart(bills: Sequence[PoolBill], ink: Ink) -> Layers:
    """Return a bar a pool, part by part, against what the pool may hold.

    The height is a step for each pool: under a fixed one the legend takes the room of the bars.
    """
    rows, ends = memory_rows(bills), _rule_rows(bills)
    there = {row["part"] for row in rows}
    colours = {PART_LABELS[key]: c for key, c in PART_COLOURS.items() if PART_LABELS[key] in there}
    y = alt.Y("pool:N", sort=[bill.label for bill in bills], title=None, axis=None)
    tall = any(not row["limit"] for row in ends)
    bars = (
        alt.Chart(data_of(rows))
        .mark_bar(size=_BAR_PIXELS)
        .encode(
            x=alt.X("begin:Q", title="GiB", axis=alt.Axis(tickCount=6, grid=False)),
            x2="end:Q",
            y=y,
            color=alt.Color(
                "part:N",
                scale=alt.Scale(domain=[*colours], range=[*colours.values()]),
                legend=legend(),
            ),
            tooltip=[alt.Tooltip("part:N"), alt.Tooltip("size:N")],
        )
    )
    names = (
        alt.Chart(data_of([{"pool": bill.label, "zero": 0} for bill in bills]))
        .mark_text(
            align="left", dy=_NAME_RISE if tall else _LABEL_RISE, fontSize=13, color=ink.text
        )
        .encode(x="zero:Q", y=y, text="pool:N")
    )
    height = alt.Step(_TALL_ROW_PIXELS if tall else _ROW_PIXELS)
    return finished(alt.layer(bars, names, *_rules(ends, y, ink)).properties(height=height), ink)


def _rules(ends: list[dict[str, Any]], y: alt.Y, ink: Ink) -> list[alt.Chart]:
    """Return the rules of limits and capacities, each with its label."""
    layers = []
    for is_limit, colour, thickness in ((True, ink.limit, 4), (False, ink.installed, 3)):
        own = [row for row in ends if row["limit"] == is_limit]
        if not own:
            continue
        layers.append(
            alt.Chart(data_of(own))
            .mark_tick(thickness=thickness, size=_RULE_PIXELS, orient="vertical", color=colour)
            .encode(x="at:Q", y=y, tooltip=[alt.Tooltip("label:N")])
        )
        for left in (True, False):
            side = [row for row in own if row["left"] == left]
            if side:
                # below for a limit, above for what is installed: the two may lie close together
                rise = _LABEL_FALL if is_limit else _LABEL_RISE
                layers.append(
                    alt.Chart(data_of(side))
                    .mark_text(
                        align="right" if left else "left", dy=rise, fontSize=13, color=colour
                    )
                    .encode(x="at:Q", y=y, text="label:N")
                )
    return layers


def memory_alt(bills: Sequence[PoolBill]) -> str:
    """Return the chart's conclusion in a sentence a pool."""
    said = []
    for bill in bills:
        need, spare = bill.tightest, bill.spare_bytes
        free = need.pool.free_low_bytes
        if free is None or spare is None:
            said.append(f"{bill.label}: {format_bytes(bill.high_bytes)} needed, free unknown.")
            continue
        of_gpu = " by the GPU" if need.pool.limit_scope == "accelerators" else ""
        left = "to spare" if spare >= 0 else "short"
        said.append(
            f"{bill.label}: up to {format_bytes(need.high_bytes)} needed{of_gpu} of "
            f"{format_bytes(free)} free, {format_bytes(abs(spare))} {left}."
        )
    return " ".join(said)
