"""Charts for pages as inline SVG and HTML: `line_chart` and `heat_map`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from .._deprecated import old_parameters

__all__ = [
    "LABELS",
    "Axis",
    "HeatMap",
    "LineChart",
    "Series",
    "heat_map",
    "line_chart",
]

COLOURS, DASHES = 8, 3
"""Number of line colours, and number of dash patterns for lines of the same colour."""

WIDTH, HEIGHT = 500, 340
LEFT, RIGHT, RIGHT_OF_VALUES, TOP, BOTTOM = 50, 18, 66, 26, 50
"""Size and margins of a line chart, in SVG units."""

LETTER = 10
"""Width of a digit at the largest font size (phones), in SVG units."""

LINE_HEIGHT = 17
"""Minimum distance between the numbers that are written at the ends of two lines, in SVG units."""

MAX_TICKS = 12
"""Maximum number of ticks on an axis of whole numbers."""

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@old_parameters(bound="upper_baseline")
@dataclass(frozen=True)
class Axis:
    """The horizontal axis of a line chart.

    Attributes
    ----------
    name, description
        Title below the axis, and title for screen readers.
    position
        Format of a position in a tooltip: ``"with {:,.0f} labels"``.
    upper_baseline
        Label of the dashed line of the upper baseline; empty if the legend has this label.
    whole
        Whether positions are consecutive whole numbers.
    """

    name: str
    description: str
    position: str
    upper_baseline: str = ""
    whole: bool = False


LABELS = Axis("labels", "the number of labels", "with {:,.0f} labels", "all labels")
"""The axis of learning curves."""


@dataclass(frozen=True)
class Series:
    """One line of a chart.

    Attributes
    ----------
    name
        Name in tooltips.
    x, y
        Coordinates of the points, ascending in x; points with NaN in y are left out.
    low, high
        Ends of the 95 % intervals; NaN or empty without intervals.
    significant
        Whether each point is drawn filled; empty if no point is filled.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    significant: Sequence[bool] = ()


@dataclass(frozen=True)
class Tick:
    """A label and its position along an axis, in SVG units."""

    at: float
    text: str


@dataclass(frozen=True)
class Dot:
    """A point with its tooltip."""

    x: float
    y: float
    text: str
    filled: bool


@dataclass(frozen=True)
class Line:
    """A drawn series, with its position among the series and the label at its end."""

    index: int
    points: str
    area: str
    dots: tuple[Dot, ...]
    value: Tick | None


@dataclass(frozen=True)
class LineChart:
    """A line chart in SVG units, from `line_chart`."""

    title: str
    note: str
    axis: Axis
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    upper_baseline: Tick | None
    zero: float | None
    left: int
    right: int
    width: int = WIDTH
    height: int = HEIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


@old_parameters(bound="upper_baseline")
def line_chart(
    series: Sequence[Series | None],
    title: str,
    note: str = "",
    *,
    axis: Axis = LABELS,
    upper_baseline: float | None = None,
    signed: bool = False,
    end_values: bool = False,
) -> LineChart | None:
    """Return a chart of lines with intervals, or None if no series has a point.

    Parameters
    ----------
    series
        Lines; None for a missing line, whose colour stays unused.
    title, note
        Text above the chart.
    axis
        Horizontal axis.
    upper_baseline
        Value of a dashed horizontal line.
    signed
        Whether values are differences, drawn with signed ticks and a line at 0. Otherwise values
        are shares from 0 to 1.
    end_values
        Whether the last value of each line is written at its end.

    Examples
    --------
    >>> chart = line_chart([Series("margin", [20, 40], [0.5, 0.75])], "Accuracy")
    >>> [dot.text for dot in chart.lines[0].dots]
    ['margin: 0.500 with 20 labels', 'margin: 0.750 with 40 labels']
    """
    shown = [each for each in series if each is not None]
    xs = [x for each in shown for x, y in zip(each.x, each.y, strict=True) if math.isfinite(y)]
    if not xs:
        return None
    y_values = ticks(*_range(shown, upper_baseline, signed=signed), 5 if end_values else 8)
    x_values = _whole_ticks(xs) if axis.whole else ticks(min(xs), max(xs))
    sign = "+" if signed else ""
    texts = [(sign if value > 0 else "") + _decimal(value, y_values) for value in y_values]
    left = max(LEFT, LETTER * max(map(len, texts)) + 10)
    right = WIDTH - (RIGHT_OF_VALUES if end_values else RIGHT)
    place_x = _scale(x_values[0], max(x_values[-1], *xs), left, right)
    place_y = _scale(y_values[0], y_values[-1], HEIGHT - BOTTOM, TOP)
    lines = [
        _line(index, each, place_x, place_y, f"{sign}.3f", axis)
        for index, each in enumerate(series)
        if each is not None and any(map(math.isfinite, each.y))
    ]
    if end_values:
        lines = _with_values(lines, shown)
    return LineChart(
        title=title,
        note=note,
        axis=axis,
        x_ticks=tuple(Tick(place_x(v), f"{v:,.0f}") for v in x_values if v == int(v)),
        y_ticks=tuple(Tick(place_y(v), text) for v, text in zip(y_values, texts, strict=True)),
        lines=tuple(reversed(lines)),  # so that the first line is on top
        upper_baseline=None
        if upper_baseline is None
        else Tick(
            place_y(upper_baseline),
            axis.upper_baseline and f"{axis.upper_baseline} {upper_baseline:.3f}",
        ),
        zero=place_y(0.0) if signed else None,
        left=left,
        right=right,
    )


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return about `count` round numbers that cover [low, high]."""
    span = max(high - low, 1e-9)
    power = 10.0 ** math.floor(math.log10(span / count))
    step = next(s * power for s in _STEPS if s * power * count >= span * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 10) for i in range(first, last + 1)]


def _whole_ticks(xs: Sequence[float]) -> list[float]:
    """Return at most `MAX_TICKS` whole numbers from the first x on."""
    first, last = round(min(xs)), round(max(xs))
    step = -(-(last - first + 1) // MAX_TICKS)
    return [float(x) for x in range(first, last + 1, step)]


def _range(series: Sequence[Series], upper: float | None, *, signed: bool) -> tuple[float, float]:
    """Return the minimum and the maximum of the vertical axis; very wide intervals are cut off."""
    values = [y for each in series for y in (*each.y, *each.low, *each.high) if math.isfinite(y)]
    if signed:
        means = [abs(y) for each in series for y in each.y if math.isfinite(y)]
        most = 3 * max([*means, 0.01])
        values = [min(max(y, -most), most) for y in [*values, 0.0]]
    else:
        values += [] if upper is None else [upper]
        values = [min(max(y, 0.0), 1.0) for y in values]
    return min(values), max(values)


def _line(
    index: int,
    series: Series,
    place_x: Callable[[float], float],
    place_y: Callable[[float], float],
    digits: str,
    axis: Axis,
) -> Line:
    points, upper, lower, dots = [], [], [], []
    for at, (x, y) in enumerate(zip(series.x, series.y, strict=True)):
        if not math.isfinite(y):
            continue
        text = f"{series.name}: {y:{digits}} {axis.position.format(x)}"
        points.append(f"{place_x(x):.1f},{place_y(y):.1f}")
        low, high = (series.low[at], series.high[at]) if series.low else (math.nan, math.nan)
        if math.isfinite(low) and math.isfinite(high):
            text += f"\n95 % interval {low:{digits}} to {high:{digits}}"
            upper.append(f"{place_x(x):.1f},{place_y(high):.1f}")
            lower.append(f"{place_x(x):.1f},{place_y(low):.1f}")
        filled = bool(series.significant and series.significant[at])
        text += "\nsignificant" if filled else ""
        dots.append(Dot(place_x(x), place_y(y), text, filled))
    return Line(index, " ".join(points), " ".join([*upper, *reversed(lower)]), tuple(dots), None)


def _with_values(lines: Sequence[Line], series: Sequence[Series]) -> list[Line]:
    """Label the ends of lines with their last values, without overlaps."""
    names = [each for each in series if any(map(math.isfinite, each.y))]
    last = {
        line.index: [y for y in each.y if math.isfinite(y)][-1]
        for line, each in zip(lines, names, strict=True)
    }
    labelled, lowest = [], -math.inf
    for line in sorted(lines, key=lambda line: line.dots[-1].y):
        at = max(line.dots[-1].y, lowest)
        labelled.append(replace(line, value=Tick(at, f"{last[line.index]:.3f}")))
        lowest = at + LINE_HEIGHT
    return sorted(labelled, key=lambda line: line.index)


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """Return the linear map of [low, high] to [start, end], with clipping."""
    slope = (end - start) / (high - low) if high > low else 0.0
    return lambda value: start + (min(max(value, low), high) - low) * slope


def _decimal(value: float, values: Sequence[float]) -> str:
    """Format a tick with as many decimals as the distance between ticks has."""
    step = values[1] - values[0] if len(values) > 1 else 1.0
    digits = next(d for d in range(1, 9) if abs(step * 10**d - round(step * 10**d)) < 1e-6)
    return f"{value:.{digits}f}"


@dataclass(frozen=True)
class HeatCell:
    """A number as text; `shade` is a percentage of the full colour, or None for no colour."""

    text: str
    shade: int | None
    framed: bool = False


@dataclass(frozen=True)
class HeatRow:
    """A row of a heat map; `total` is the last cell, without colour."""

    heading: str
    cells: tuple[HeatCell, ...]
    total: str


@dataclass(frozen=True)
class HeatMap:
    """A table of shaded numbers, from `heat_map`."""

    title: str
    corner: str
    headings: tuple[str, ...]
    total: str
    rows: tuple[HeatRow, ...]


def heat_map(
    title: str,
    matrix: Sequence[Sequence[float]],
    headings: Sequence[str],
    totals: Sequence[float],
    *,
    scale: tuple[float, float] | None,
    corner: str = "",
    total: str = "",
) -> HeatMap:
    """Return a table of shaded numbers with a framed diagonal.

    Parameters
    ----------
    title
        Text above the table.
    matrix
        Rows of numbers; NaN is shown as a dash.
    headings
        Headings of rows and columns.
    totals
        Last number of each row.
    scale
        Numbers with 0 % and with 100 % of the colour; None for a table without colours.
    corner, total
        Headings of the first and the last column.

    Examples
    --------
    >>> nan = float("nan")
    >>> found = heat_map("naive", [[0.9, nan], [0.5, 0.8]], "ab", [0.9, 0.65], scale=(0.5, 0.9))
    >>> for row in found.rows:
    ...     print(row.heading, [(cell.text, cell.shade) for cell in row.cells], row.total)
    a [('0.900', 100), ('–', None)] 0.900
    b [('0.500', 0), ('0.800', 75)] 0.650
    """
    rows = tuple(
        HeatRow(
            headings[at],
            tuple(
                HeatCell(_number(value), _shade(value, scale), framed=at == column)
                for column, value in enumerate(row)
            ),
            _number(totals[at]),
        )
        for at, row in enumerate(matrix)
    )
    return HeatMap(title, corner, tuple(headings), total, rows)


def _number(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "–"


def _shade(value: float, scale: tuple[float, float] | None) -> int | None:
    if scale is None or not math.isfinite(value):
        return None
    low, high = scale
    share = (value - low) / (high - low) if high > low else 0.5
    return round(100 * min(max(share, 0.0), 1.0))
