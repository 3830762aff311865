"""The page of one chart: the figure, its legend and the table of its numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import singledispatch
from pathlib import Path

from .charts import BarChart, Chart, LineChart
from .pages import write_page
from .sections import Table
from .study_report import version_facts

__all__ = ["table_of", "write_chart"]


@dataclass(frozen=True)
class ChartPage:
    """The data of the page of a chart."""

    title: str
    chart: Chart
    table: Table | None
    facts: tuple[tuple[str, str], ...] = field(
        default_factory=lambda: version_facts("embedpipe", "numpy")
    )
    command: str | None = None


def write_chart(path: Path, chart: Chart) -> Path:
    """Write the page of a chart, whole or not at all."""
    if isinstance(chart, LineChart):
        own = [series.colour for _, series in chart.known()]
    else:
        own = list(getattr(chart, "colours", ()))
    return write_page(
        path,
        "chart.html.j2",
        ChartPage("Figure", chart, table_of(chart)),
        chart.title,
        palette=[colour for colour in own if colour],
    )


@singledispatch
def table_of(chart: Chart) -> Table | None:
    """Return the numbers of a chart; None for a chart that is a table or has none."""
    return None


@table_of.register(LineChart)
def _lines(chart: LineChart) -> Table:
    shown = [series for _, series in chart.known()]
    places = sorted({x for series in shown for x in series.x})
    number = "+.3f" if chart.signed else ".3f"
    found = []
    for series in shown:
        low, high = (each or [math.nan] * len(series.x) for each in (series.low, series.high))
        points = zip(series.x, zip(series.y, low, high, strict=True), strict=True)
        found.append({x: _interval(values, number) for x, values in points})
    rows = tuple(
        (f"{x:,.4g}" if x % 1 else f"{x:,.0f}", *(each.get(x, "–") for each in found))
        for x in places
    )
    return Table((chart.axis.name, *(series.name for series in shown)), rows)


@table_of.register(BarChart)
def _bars(chart: BarChart) -> Table:
    none = [math.nan] * len(chart.names)
    values = zip(chart.values, chart.low or none, chart.high or none, strict=True)
    rows = tuple(
        (name, _interval(numbers, chart.number))
        for name, numbers in zip(chart.names, values, strict=True)
    )
    return Table(("", chart.unit or chart.title), rows)


def _interval(values: tuple[float, float, float], number: str) -> str:
    value, low, high = values
    if math.isnan(value):
        return "–"
    if math.isnan(low) or math.isnan(high):
        return f"{value:{number}}"
    return f"{value:{number}} [{low:{number}}, {high:{number}}]"
