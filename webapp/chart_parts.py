"""What every chart shares: the ink for a light and a dark page, rows, legend and width."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import altair as alt

from whatfits.sizing.values import dataclass

__all__ = ["DARK", "LIGHT", "Ink", "Layers", "data_of", "finished", "legend"]

Layers: TypeAlias = alt.LayerChart | alt.FacetChart
_LEGEND_COLUMNS: Final = 2
_FIT: Final = alt.AutoSizeParams(type="fit-x", contains="padding")


@dataclass(frozen=True, slots=True)
class Ink:
    """Colours of what is written and ruled, for one background."""

    text: str
    limit: str
    installed: str


LIGHT: Final = Ink(text="#31333f", limit="#c81e1e", installed="#5b6472")
DARK: Final = Ink(text="#fafafa", limit="#ff6b6b", installed="#a3adbd")


def data_of(rows: list[dict[str, Any]]) -> alt.Data:
    """Return rows as a chart takes them."""
    return alt.Data(values=rows)  # type: ignore[no-untyped-call]


def legend(columns: int = _LEGEND_COLUMNS, **symbols: Any) -> alt.Legend:  # noqa: ANN401 - altair's
    """Return a legend below the chart: beside it, it takes a third of a phone."""
    return alt.Legend(orient="bottom", title=None, columns=columns, labelLimit=220, **symbols)


def finished(chart: Layers, ink: Ink) -> Layers:
    """Return a chart as wide as the page, with axes and legend in ink that can be read."""
    axes = chart.properties(autosize=_FIT).configure_axis(labelColor=ink.text, titleColor=ink.text)
    written: Layers = axes.configure_legend(labelColor=ink.text, titleColor=ink.text)
    return written
