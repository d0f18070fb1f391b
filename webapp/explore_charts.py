"""Charts of Explore as pure functions: need over contexts, size against quality; both in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import altair as alt

from whatfits.sizing.units import GIB, format_bytes, format_tokens
from whatfits.sizing.verdict import MAY_RUN
from whatfits.webapp.chart_parts import Ink, Layers, data_of, finished, legend

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whatfits.sizing.curves import ContextCurve
    from whatfits.sizing.planner import FileTypeOption

__all__ = ["context_alt", "context_chart", "quant_alt", "quant_chart", "quant_rows"]

_LINES: Final = ("#2f6fe4", "#d97706", "#0d9488")
_TOKENS: Final = "datum.value >= 1048576 ? '1m' : datum.value / 1024 + 'k'"
_CURVE_PIXELS: Final = 320
_SIZE_TICKS: Final = 8  # else one for each GiB on a wide page
_LEGEND_LINE: Final = 900  # square pixels: a line as long as a side


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
    return finished(alt.layer(*layers).properties(height=_CURVE_PIXELS), ink)


def _curve_lines(rows: list[dict[str, Any]], kinds: list[str]) -> alt.Chart:
    """Return a line a precision, told apart by colour and by dashes."""
    lines: alt.Chart = (
        alt.Chart(data_of(rows))
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
                # lines, as they are drawn: dashes make a ragged circle of a point
                legend=legend(3, symbolType="stroke", symbolSize=_LEGEND_LINE),
            ),
            strokeDash=alt.StrokeDash("cache:N", scale=alt.Scale(domain=kinds), legend=None),
            tooltip=[alt.Tooltip(f"{name}:N") for name in ("context", "cache", "size", "verdict")],
        )
    )
    return lines


def _free_rule(free_bytes: int, ink: Ink) -> list[alt.Chart]:
    """Return what is free as a rule with its label."""
    free = [{"free": free_bytes / GIB, "label": f"free {format_bytes(free_bytes)}"}]
    base = alt.Chart(data_of(free))
    label = base.mark_text(align="left", dy=-9, dx=4, fontSize=13, color=ink.limit)
    return [
        base.mark_rule(color=ink.limit, strokeWidth=3).encode(y="free:Q"),
        label.encode(y="free:Q", x=alt.value(0), text="label:N"),
    ]


def _you_are_here(context_tokens: int, need_bytes: int, ink: Ink) -> list[alt.Chart]:
    """Return a mark at what was asked."""
    you = alt.Chart(data_of([{"context": context_tokens, "need": need_bytes / GIB}]))
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
    base = alt.Chart(data_of(rows)).encode(
        x=alt.X(
            "size:Q",
            title="GiB needed, at most",
            axis=alt.Axis(tickCount=_SIZE_TICKS),
            scale=alt.Scale(zero=False, padding=30),
        ),
        y=alt.Y(
            "loss:Q",
            title="perplexity above 16 bits (lower is better)",
            scale=alt.Scale(nice=False, padding=30),
        ),
    )
    kinds = ["runs here", "does not fit"]
    points = base.mark_point(filled=True, opacity=1).encode(
        shape=alt.Shape(
            "runs:N", scale=alt.Scale(domain=kinds, range=["circle", "cross"]), legend=legend()
        ),
        color=alt.Color(
            "runs:N", scale=alt.Scale(domain=kinds, range=["#2f6fe4", ink.limit]), legend=legend()
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
        for first, rise in ((0, -30), (1, 28))
    ]
    return finished(alt.layer(points, *names).properties(height=_CURVE_PIXELS), ink)


def quant_alt(rows: Sequence[dict[str, Any]]) -> str:
    """Return every dot in words."""
    return " ".join(
        f"{row['file_type']}: {row['needs']}, perplexity {row['loss']:+.2f}, {row['runs']}."
        for row in rows
    )
