"""Interactive figures by plotly, for pages and notebooks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import singledispatch
from html import escape
from typing import TYPE_CHECKING, Any

from .charts import (
    GRID,
    HEAT,
    INK,
    QUIET,
    SHEET,
    BarChart,
    Chart,
    HeatMap,
    LineChart,
    PointMap,
    Series,
    look,
    symbol,
)

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["figure_of"]

MARGIN = {"l": 56, "r": 18, "t": 40, "b": 48}

BAND, RUN = "28", "59"
"""Opacity of bands and of single runs, in hexadecimal."""

MANY = 15
"""Number of points of a line from which its points are small."""

_AXIS = {"gridcolor": GRID, "zeroline": False, "linecolor": QUIET, "tickcolor": QUIET}

TEMPLATE = {
    "layout": {
        "font": {"color": INK, "size": 13},
        "margin": MARGIN,
        "paper_bgcolor": SHEET,
        "plot_bgcolor": SHEET,
        "hoverlabel": {
            "bgcolor": SHEET,
            "bordercolor": QUIET,
            "font": {"color": INK},
            "align": "left",
        },
        "xaxis": _AXIS,
        "yaxis": _AXIS,
    }
}
"""The style of all figures; `figure.update_layout(template=...)` replaces it."""


def figure_of(chart: Chart) -> Figure:
    """Return the interactive figure of a chart; `meta` of a trace has the number of its line."""
    return _figure(chart)


@singledispatch
def _figure(chart: Chart) -> Figure:
    raise TypeError(f"cannot draw {type(chart).__name__}")


def _layout(chart: Chart, **more: Any) -> dict[str, Any]:
    return {
        "title": {"text": escape(chart.title, quote=False)},
        "hovermode": "closest",
        "showlegend": True,
        "template": TEMPLATE,
        **more,
    }


def _text(text: str) -> str:
    """Escape text: plotly reads some tags in tooltips and names."""
    return escape(text, quote=False).replace("\n", "<br>")


def _made(traces: Sequence[Any], layout: Mapping[str, Any]) -> Figure:
    from plotly.graph_objects import Figure

    return Figure(traces, layout)


@_figure.register(LineChart)
def _lines(chart: LineChart) -> Figure:
    sign = "+" if chart.signed else ""
    known = chart.known()
    traces = [trace for index, each in known for trace in _series(chart, each, index)]
    shapes = []
    annotations = []
    if chart.upper_baseline is not None:
        shapes.append(_level(chart.upper_baseline, "dot"))
        if chart.axis.upper_baseline:
            text = f"{chart.axis.upper_baseline} {chart.upper_baseline:.3f}"
            annotations.append(_beside(chart.upper_baseline, text))
    if chart.signed:
        shapes.append(_level(0.0, "solid"))
    if chart.end_values:
        colours = {index: look(index, each.colour)[0] for index, each in known}
        annotations += [
            {
                "text": f"{value:.3f}", "x": x, "y": height, "xanchor": "left", "xshift": 6,
                "showarrow": False, "font": {"color": colours[index]}, "name": f"line {index}",
            }
            for index, x, value, height in chart.ends()
        ]  # fmt: skip
    whole = {"dtick": 1} if chart.axis.whole and max(len(s.x) for _, s in known) <= 12 else {}
    return _made(
        traces,
        _layout(
            chart,
            xaxis={"title": {"text": chart.axis.name}, **whole},
            yaxis={"range": list(chart.y_range), "tickformat": f"{sign}.3~f"},
            shapes=shapes,
            annotations=annotations,
            margin=MARGIN | {"r": 56 if chart.end_values else MARGIN["r"]},
        ),
    )


def _level(value: float, dash: str) -> dict[str, Any]:
    line = {"color": QUIET, "width": 1.25, "dash": dash}
    return {
        "type": "line",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "y0": value,
        "y1": value,
        "line": line,
    }


def _beside(value: float, text: str) -> dict[str, Any]:
    """Return a text above the left end of a horizontal line."""
    return {
        "text": text, "xref": "paper", "x": 0.01, "xanchor": "left", "y": value,
        "yanchor": "bottom", "showarrow": False, "font": {"color": QUIET},
    }  # fmt: skip


def _series(chart: LineChart, series: Series, index: int) -> list[Any]:
    """Return the traces of a series, from the back to the front."""
    from plotly.graph_objects import Scatter

    colour, dash = look(index, series.colour)
    name = _text(series.name)
    shared = {"meta": {"line": index}, "legendgroup": str(index), "showlegend": False}
    at = [place for place, y in enumerate(series.y) if math.isfinite(y)]
    line = Scatter(
        x=[series.x[place] for place in at],
        y=[series.y[place] for place in at],
        name=name,
        mode="lines+markers",
        line={"color": colour, "dash": dash, "width": 2},
        marker={
            "opacity": 1,
            "size": 4 if len(at) > MANY else 7,
            "color": [
                colour if not series.significant or series.significant[p] else SHEET for p in at
            ],
            "line": {"color": colour, "width": 1.5},
        },
        text=[_text(chart.tooltip(series, place)) for place in at],
        hoverinfo="text",
        **shared | {"showlegend": True},
    )
    back: list[Any] = []
    banded = [p for p in at if series.low and math.isfinite(series.low[p] + series.high[p])]
    if banded:
        back.append(
            Scatter(
                x=[series.x[p] for p in (*banded, *reversed(banded))],
                y=[*(series.high[p] for p in banded), *(series.low[p] for p in reversed(banded))],
                mode="lines",
                line={"width": 0},
                fill="toself",
                fillcolor=colour + BAND,
                hoverinfo="skip",
                name=name,
                **shared | {"meta": {"line": index, "part": "band"}},
            )
        )
    if series.runs:
        back.append(_runs(chart, series, colour, shared))
    return [*back, line]


def _runs(chart: LineChart, series: Series, colour: str, shared: dict[str, Any]) -> Any:
    """Return one trace of all single runs, with gaps between them."""
    from plotly.graph_objects import Scatter

    x: list[float | None] = []
    y: list[float | None] = []
    text: list[str] = []
    for run in series.runs:
        x += [*run.x, None]
        y += [*run.y, None]
        text += [*(_text(chart.tooltip(run, at)) for at in range(len(run.x))), ""]
    return Scatter(
        x=x, y=y, text=text, hoverinfo="text", mode="lines", name=_text(series.name),
        line={"color": colour + RUN, "width": 1},
        **shared | {"meta": {**shared["meta"], "part": "runs"}},
    )  # fmt: skip


@_figure.register(BarChart)
def _bars(chart: BarChart) -> Figure:
    places = range(len(chart.names))
    groups = [[place] for place in places] if chart.lines else [list(places)]
    names = {
        "tickvals": list(places),
        "ticktext": ["<br>".join(map(_text, lines)) for lines in chart.name_lines],
        "range": [len(chart.names) - 0.5, -0.5],  # from top to bottom
    }
    return _made(
        [_bar(chart, places) for places in groups],
        _layout(
            chart,
            showlegend=False,
            xaxis={"title": {"text": chart.unit}, "nticks": 4, "tickangle": 0},
            yaxis=names | {"automargin": True, "ticklabelstandoff": 6},
            annotations=[_end_of(chart, at) for at in places if chart.texts],
            margin=MARGIN | {"r": 24 + 7 * max(map(len, chart.texts))} if chart.texts else MARGIN,
        ),
    )


def _end_of(chart: BarChart, at: int) -> dict[str, Any]:
    """Return the text of a bar, at the right end of its row."""
    return {
        "text": _text(chart.texts[at]), "xref": "paper", "x": 1, "xanchor": "left", "xshift": 8,
        "y": at, "showarrow": False, "font": {"color": QUIET, "size": 12},
        "name": f"line {chart.line(at)}",
    }  # fmt: skip


def _bar(chart: BarChart, places: Sequence[int]) -> Any:
    """Return one trace of bars; with lines, each bar has its own trace, which a legend can hide."""
    from plotly.graph_objects import Bar

    error = None
    if chart.low and any(math.isfinite(chart.low[at] + chart.high[at]) for at in places):
        below, above = chart.errors()
        error = {
            "type": "data", "symmetric": False, "color": INK, "thickness": 1.5,
            "array": [above[at] for at in places], "arrayminus": [below[at] for at in places],
        }  # fmt: skip
    colours = [chart.colour(at) for at in places]
    return Bar(
        x=[chart.values[at] for at in places],
        y=list(places),
        orientation="h",
        marker={
            "color": [
                colour + BAND if chart.is_hollow(at) else colour
                for at, colour in zip(places, colours, strict=True)
            ],
            "line": {"color": colours, "width": 1},
        },
        error_x=error,
        text=[_text(chart.tooltip(at)) for at in places],
        textposition="none",
        hoverinfo="text",
        meta={"line": chart.line(places[0])} if chart.lines else None,
    )


@_figure.register(PointMap)
def _points(chart: PointMap) -> Figure:
    from plotly.graph_objects import Scatter

    traces = []
    for code in sorted(set(chart.codes)):
        at = [place for place, each in enumerate(chart.codes) if each == code]
        traces.append(
            Scatter(
                x=[chart.x[p] for p in at],
                y=[chart.y[p] for p in at],
                mode="markers",
                name="" if code < 0 else _text(chart.groups[code]),
                marker={
                    "color": QUIET if code < 0 else look(code)[0],
                    "symbol": symbol(code),
                    "size": 5,
                    "opacity": 0.7,
                },
                text=[_text(chart.notes[p]) for p in at] if chart.notes else None,
                hoverinfo="text" if chart.notes else "name",
                meta={"line": code},
                showlegend=code >= 0,
            )
        )
    if chart.axes is not None:
        x_axis, y_axis = (
            {"title": {"text": name}, "rangemode": "tozero", "tickangle": 0} for name in chart.axes
        )
        return _made(traces, _layout(chart, xaxis=x_axis, yaxis=y_axis))
    hidden = {"visible": False}
    return _made(traces, _layout(chart, xaxis=hidden, yaxis=hidden | {"scaleanchor": "x"}))


@_figure.register(HeatMap)
def _heat(chart: HeatMap) -> Figure:
    from plotly.graph_objects import Heatmap

    low, high = chart.scale or (0.0, 1.0)
    numbers = [[None if math.isnan(v) else v for v in row] for row in chart.matrix]
    texts = [
        [_text(chart.text(i, j)) for j in range(len(row))] for i, row in enumerate(chart.matrix)
    ]
    heat = Heatmap(
        z=numbers,
        zmin=low,
        zmax=high,
        colorscale=[[0, HEAT[0]], [1, HEAT[1]]],
        text=texts,
        texttemplate="%{text}",
        hovertemplate="%{text}<extra></extra>",
        xgap=2,
        ygap=2,
    )
    size = len(chart.headings)
    names = {"tickvals": list(range(size)), "ticktext": [_text(each) for each in chart.headings]}
    return _made(
        [heat],
        _layout(
            chart,
            showlegend=False,
            margin=MARGIN | {"t": 80},  # the title is above the headings
            xaxis=names | {"side": "top"},
            yaxis=names | {"autorange": "reversed"},
        ),
    )
