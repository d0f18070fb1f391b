"""Charts as pure functions of answers: fixed colours, words for those who cannot see them."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import altair as alt

from whatfits.sizing.pool_bills import PART_LABELS
from whatfits.sizing.units import GIB, format_bytes, format_tokens
from whatfits.sizing.values import dataclass
from whatfits.sizing.verdict import MAY_RUN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whatfits.sizing.curves import ContextCurve
    from whatfits.sizing.planner import FileTypeOption
    from whatfits.sizing.pool_bills import PoolBill

    Layers: TypeAlias = alt.LayerChart | alt.FacetChart

__all__ = [
    "DARK",
    "LIGHT",
    "PART_COLOURS",
    "Ink",
    "context_alt",
    "context_chart",
    "memory_alt",
    "memory_chart",
    "memory_rows",
    "memory_spec",
    "quant_alt",
    "quant_chart",
    "quant_rows",
]


@dataclass(frozen=True, slots=True)
class Ink:
    """Colours of what is written and ruled, for one background."""

    text: str
    limit: str
    installed: str


LIGHT: Final = Ink(text="#31333f", limit="#c81e1e", installed="#5b6472")
DARK: Final = Ink(text="#fafafa", limit="#ff6b6b", installed="#a3adbd")
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
_LINES: Final = ("#2f6fe4", "#d97706", "#0d9488")
_ROW_PIXELS: Final = 76
_BAR_PIXELS: Final = 24
_RULE_PIXELS: Final = 40
_LABEL_RISE: Final = -26
_LABEL_FALL: Final = 28
# where what is installed has a label above its rule, the name of the pool goes above that
_TALL_ROW_PIXELS: Final = 108
_NAME_RISE: Final = -42
_TOKENS: Final = "datum.value >= 1048576 ? '1m' : datum.value / 1024 + 'k'"
_CURVE_PIXELS: Final = 320
_LEGEND_COLUMNS: Final = 2
_SPECS_KEPT: Final = 256
_FIT: Final = alt.AutoSizeParams(type="fit-x", contains="padding")


def _data(rows: list[dict[str, Any]]) -> alt.Data:
    return alt.Data(values=rows)  # type: ignore[no-untyped-call]


def _legend(columns: int = _LEGEND_COLUMNS) -> alt.Legend:
    return alt.Legend(orient="bottom", title=None, columns=columns, labelLimit=220)


def _finished(chart: Layers, ink: Ink) -> Layers:
    """Return a chart as wide as the page, with axes and legend in ink that can be read."""
    written = {"labelColor": ink.text, "titleColor": ink.text}
    return chart.properties(autosize=_FIT).configure_axis(**written).configure_legend(**written)


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
        what = "limit" if bill.is_limited else "capacity"
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
        alt.Chart(_data(rows))
        .mark_bar(size=_BAR_PIXELS)
        .encode(
            x=alt.X("begin:Q", title="GiB", axis=alt.Axis(tickCount=6, grid=False)),
            x2="end:Q",
            y=y,
            color=alt.Color(
                "part:N",
                scale=alt.Scale(domain=[*colours], range=[*colours.values()]),
                legend=_legend(),
            ),
            tooltip=[alt.Tooltip("part:N"), alt.Tooltip("size:N")],
        )
    )
    names = (
        alt.Chart(_data([{"pool": bill.label, "zero": 0} for bill in bills]))
        .mark_text(
            align="left", dy=_NAME_RISE if tall else _LABEL_RISE, fontSize=13, color=ink.text
        )
        .encode(x="zero:Q", y=y, text="pool:N")
    )
    height = alt.Step(_TALL_ROW_PIXELS if tall else _ROW_PIXELS)
    return _finished(alt.layer(bars, names, *_rules(ends, y, ink)).properties(height=height), ink)


def _rules(ends: list[dict[str, Any]], y: alt.Y, ink: Ink) -> list[alt.Chart]:
    """Return the rules of limits and capacities, each with its label."""
    layers = []
    for is_limit, colour, thickness in ((True, ink.limit, 4), (False, ink.installed, 3)):
        own = [row for row in ends if row["limit"] == is_limit]
        if not own:
            continue
        layers.append(
            alt.Chart(_data(own))
            .mark_tick(thickness=thickness, size=_RULE_PIXELS, orient="vertical", color=colour)
            .encode(x="at:Q", y=y, tooltip=[alt.Tooltip("label:N")])
        )
        for left in (True, False):
            side = [row for row in own if row["left"] == left]
            if side:
                # below for a limit, above for what is installed: the two may lie close together
                rise = _LABEL_FALL if is_limit else _LABEL_RISE
                layers.append(
                    alt.Chart(_data(side))
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


def context_chart(
    curves: Sequence[ContextCurve],
    *,
    free_bytes: int | None,
    here: tuple[int, int] | None,
    ink: Ink,
) -> Layers:
    """Return the need over contexts, a line a precision, against what is free.

    `here`: context and bytes of what was asked.
    """
    rows = [
        {
            "context": point.context_tokens,
            "need": point.high_bytes / GIB,
            "cache": curve.kv_type,
            "verdict": point.verdict,
            "size": format_bytes(point.high_bytes),
        }
        for curve in curves
        for point in curve.points
    ]
    layers = [_curve_lines(rows, [curve.kv_type for curve in curves])]
    if free_bytes is not None:
        layers += _free_rule(free_bytes, ink)
    if here is not None:
        layers += _you_are_here(*here, ink)
    return _finished(alt.layer(*layers).properties(height=_CURVE_PIXELS), ink)


def _curve_lines(rows: list[dict[str, Any]], kinds: list[str]) -> alt.Chart:
    """Return a line a precision, told apart by colour and by dashes."""
    lines: alt.Chart = (
        alt.Chart(_data(rows))
        .mark_line(point=alt.OverlayMarkDef(size=40))
        .encode(
            x=alt.X(
                "context:Q",
                title="tokens of context",
                scale=alt.Scale(type="log", base=2, nice=False),
                axis=alt.Axis(grid=False, labelExpr=_TOKENS, tickCount=6),
            ),
            y=alt.Y(
                "need:Q",
                title="GiB",
                axis=alt.Axis(tickCount=6),
                scale=alt.Scale(zero=False, nice=True, padding=12),
            ),
            color=alt.Color(
                "cache:N",
                scale=alt.Scale(domain=kinds, range=[*_LINES[: len(kinds)]]),
                legend=_legend(3),
            ),
            strokeDash=alt.StrokeDash("cache:N", scale=alt.Scale(domain=kinds), legend=None),
            tooltip=[alt.Tooltip(f"{name}:N") for name in ("context", "cache", "size", "verdict")],
        )
    )
    return lines


def _free_rule(free_bytes: int, ink: Ink) -> list[alt.Chart]:
    """Return what is free as a rule with its label."""
    free = [{"free": free_bytes / GIB, "label": f"free {format_bytes(free_bytes)}"}]
    base = alt.Chart(_data(free))
    label = base.mark_text(align="left", dy=-9, dx=4, fontSize=13, color=ink.limit)
    return [
        base.mark_rule(color=ink.limit, strokeWidth=3).encode(y="free:Q"),
        label.encode(y="free:Q", x=alt.value(0), text="label:N"),
    ]


def _you_are_here(context_tokens: int, need_bytes: int, ink: Ink) -> list[alt.Chart]:
    """Return a mark at what was asked."""
    you = alt.Chart(_data([{"context": context_tokens, "need": need_bytes / GIB}]))
    marks = (
        you.mark_point(shape="diamond", size=180, filled=True, color=ink.text),
        you.mark_text(dy=-16, fontSize=13, color=ink.text, text="you are here"),
    )
    return [mark.encode(x="context:Q", y="need:Q") for mark in marks]


def context_alt(curves: Sequence[ContextCurve], *, free_bytes: int | None) -> str:
    """Return the longest context of each precision in words."""
    free = "unknown memory" if free_bytes is None else format_bytes(free_bytes)
    said = [
        f"with a cache in {curve.kv_type} at most "
        + (
            "no context"
            if curve.largest_context_tokens is None
            else f"{format_tokens(curve.largest_context_tokens)} tokens"
        )
        for curve in curves
    ]
    return f"Of {free} free: {'; '.join(said)}."


def quant_rows(
    options: Sequence[FileTypeOption], loss: dict[str, float | None]
) -> list[dict[str, Any]]:
    """Return one row a file type whose quality was measured: size, loss, speed and verdict."""
    return [
        {
            "file_type": option.file_type,
            "size": option.high_bytes / GIB,
            "loss": loss[option.file_type],
            "rate": None if option.decode_tokens_per_s is None else option.decode_tokens_per_s.mid,
            "verdict": option.verdict,
            "runs": "runs here" if option.verdict in MAY_RUN else "does not fit",
            "needs": format_bytes(option.high_bytes),
        }
        for option in options
        if loss.get(option.file_type) is not None
    ]


def quant_chart(rows: list[dict[str, Any]], ink: Ink) -> Layers:
    """Return size against loss of quality; shape says whether it runs, area how fast it writes."""
    base = alt.Chart(_data(rows)).encode(
        x=alt.X("size:Q", title="GiB needed, at most", scale=alt.Scale(zero=False, padding=30)),
        y=alt.Y(
            "loss:Q",
            title="perplexity above 16 bits (lower is better)",
            scale=alt.Scale(nice=False, padding=30),
        ),
    )
    kinds = ["runs here", "does not fit"]
    points = base.mark_point(filled=True, opacity=1).encode(
        shape=alt.Shape(
            "runs:N", scale=alt.Scale(domain=kinds, range=["circle", "cross"]), legend=_legend()
        ),
        color=alt.Color(
            "runs:N", scale=alt.Scale(domain=kinds, range=["#2f6fe4", ink.limit]), legend=_legend()
        ),
        size=alt.Size("rate:Q", scale=alt.Scale(range=[90, 500]), legend=None),
        tooltip=[alt.Tooltip(f"{name}:N") for name in ("file_type", "needs", "verdict", "rate")],
    )
    # in turn above and below: neighbours lie closer than their names are long
    names = [
        base.mark_text(dy=rise, fontSize=13, color=ink.text)
        .encode(text="file_type:N")
        .transform_filter(
            alt.FieldOneOfPredicate(
                field="file_type", oneOf=[row["file_type"] for row in rows[first::2]]
            )
        )
        for first, rise in ((0, -18), (1, 22))
    ]
    return _finished(alt.layer(points, *names).properties(height=_CURVE_PIXELS), ink)


def quant_alt(rows: Sequence[dict[str, Any]]) -> str:
    """Return every dot in words."""
    return " ".join(
        f"{row['file_type']}: {row['needs']}, perplexity {row['loss']:+.2f}, {row['runs']}."
        for row in rows
    )
