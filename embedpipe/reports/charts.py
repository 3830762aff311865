"""The content of charts. `interactive` draws charts with plotly, `printed` with matplotlib."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap

from .._deprecated import old_parameters
from .._text import isolated
from ..errors import UsageError

__all__ = [
    "LABELS",
    "Axis",
    "BarChart",
    "Chart",
    "HeatMap",
    "LineChart",
    "PointMap",
    "Series",
    "bar_chart",
    "heat_map",
    "line_chart",
    "point_map",
]

PALETTE = (
    "#0064a0", "#b8480a", "#00794f", "#a84a86", "#7a5c00", "#55585e", "#2a86b8", "#a86a00",
)  # fmt: skip
"""The colours of lines and points on a light background, distinct for the colour-blind."""

INK, QUIET, GRID, SHEET = "#1b1d21", "#5c6169", "#ebe8e1", "#fbfaf7"
"""The colours of text, axes, grids and backgrounds of light pages."""

HEAT = ["#f4f0e7", "#5f9fd9"]
"""The colours of the lowest and the highest number of a heat map."""

DASHES = ("solid", "dash", "dot")
"""The dashes of lines: the first for the first eight lines, and so on."""


SYMBOLS = ("circle", "diamond", "triangle-up", "square")
"""The shapes of points: the first for the first eight groups, and so on."""


def symbol(index: int) -> str:
    """Return the shape of the points of the group at this position."""
    return SYMBOLS[max(index, 0) // len(PALETTE) % len(SYMBOLS)]


NOT_SIGNIFICANT = "not significant, or not tested"
"""The meaning of bars and points without fill in charts with tests."""


def look(index: int, colour: str = "") -> tuple[str, str]:
    """Return the colour and the dash of the line or group at this position.

    `colour` replaces the colour of the palette, unless it is empty.
    """
    return colour or PALETTE[index % len(PALETTE)], DASHES[index // len(PALETTE) % len(DASHES)]


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
        Ends of the intervals; NaN or empty without intervals.
    significant
        Whether each point is drawn filled; empty if no point is filled.
    notes
        Additional text in the tooltip of each point, with line breaks; empty without it.
    runs
        Single runs behind a mean, drawn as thin lines in interactive figures.
    colour
        Colour as ``"#0064a0"``; empty for the colour of the palette.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    significant: Sequence[bool] = ()
    notes: Sequence[str] = ()
    runs: Sequence[Series] = ()
    colour: str = ""


class Chart:
    """The base of all charts; `figure_of` draws them with plotly."""

    title: str
    note: str


@dataclass(frozen=True)
class LineChart(Chart):
    """A line chart, from `line_chart`."""

    title: str
    note: str
    series: tuple[Series | None, ...]
    axis: Axis
    upper_baseline: float | None
    signed: bool
    end_values: bool
    interval: str = "95 % interval"

    def known(self) -> list[tuple[int, Series]]:
        """Return each series that has a point, with its position."""
        return [
            (index, each)
            for index, each in enumerate(self.series)
            if each is not None and any(map(math.isfinite, each.y))
        ]

    def tooltip(self, series: Series, at: int) -> str:
        """Return the text of a point."""
        digits = "+.3f" if self.signed else ".3f"
        value = f"{series.y[at]:{digits}}"
        text = f"{isolated(series.name)}: {value} {self.axis.position.format(series.x[at])}"
        if series.low and math.isfinite(series.low[at]) and math.isfinite(series.high[at]):
            text += f"\n{self.interval} {series.low[at]:{digits}} to {series.high[at]:{digits}}"
        if series.significant and series.significant[at]:
            text += "\nsignificant"
        return f"{text}\n{series.notes[at]}" if series.notes else text

    def ends(self) -> list[tuple[int, float, float, float]]:
        """Return the line, x, last value and height of each text at the end of a line.

        The heights keep a distance of 6 % of the vertical axis, inside the axis.
        """
        low, high = self.y_range
        apart = 0.06 * (high - low)
        found: list[tuple[int, float, float, float]] = []
        for index, series in self.known():
            at = max(place for place, y in enumerate(series.y) if math.isfinite(y))
            found.append((index, series.x[at], series.y[at], series.y[at]))
        found.sort(key=lambda end: end[2])
        lowest = -math.inf
        for place, (index, x, value, _) in enumerate(found):
            height = max(value, lowest)
            found[place] = (index, x, value, height)
            lowest = height + apart
        highest = high
        for place, (index, x, value, height) in reversed(list(enumerate(found))):
            found[place] = (index, x, value, min(height, highest))
            highest = min(height, highest) - apart
        return found

    @property
    def y_range(self) -> tuple[float, float]:
        """The minimum and the maximum of the vertical axis; very wide intervals are cut off."""
        shown = [each for _, each in self.known()]
        values = [y for s in shown for y in (*s.y, *s.low, *s.high) if math.isfinite(y)]
        if self.signed:
            means = [abs(y) for each in shown for y in each.y if math.isfinite(y)]
            most = 3 * max([*means, 0.01])
            values = [min(max(y, -most), most) for y in [*values, 0.0]]
        else:
            runs = [run for each in shown for run in each.runs]
            values += [y for run in runs for y in run.y if math.isfinite(y)]
            values += [] if self.upper_baseline is None else [self.upper_baseline]
            if all(0.0 <= y <= 1.0 for each in shown for y in each.y if math.isfinite(y)):
                values = [min(max(y, 0.0), 1.0) for y in values]
        margin = 0.04 * max(max(values) - min(values), 1e-3)
        return min(values) - margin, max(values) + margin


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
    interval: str = "95 % interval",
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
    interval
        Name of the intervals in tooltips.

    Examples
    --------
    >>> from embedpipe.reports import figure_of
    >>> chart = line_chart([Series("margin", [20, 40], [0.5, 0.75])], "Accuracy")
    >>> figure_of(chart).data[0].text
    ('margin: 0.500 with 20 labels', 'margin: 0.750 with 40 labels')
    """
    chart = LineChart(
        title, note, tuple(series), axis, upper_baseline, signed, end_values, interval
    )
    return chart if chart.known() else None


@dataclass(frozen=True)
class BarChart(Chart):
    """Horizontal bars, from `bar_chart`."""

    title: str
    note: str
    names: tuple[str, ...]
    values: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    unit: str
    number: str
    texts: tuple[str, ...] = ()
    lines: tuple[int, ...] = ()
    colours: tuple[str, ...] = ()
    hollow: tuple[bool, ...] = ()
    hollow_name: str = ""

    def tooltip(self, at: int) -> str:
        """Return the text of a bar."""
        value = f"{self.values[at]:{self.number}} {self.unit}".rstrip()
        text = f"{isolated(self.names[at])}: {self.texts[at] if self.texts else value}"
        if self.low and math.isfinite(self.low[at]) and math.isfinite(self.high[at]):
            ends = f"{self.low[at]:{self.number}} to {self.high[at]:{self.number}}"
            text += f"\n95 % interval {ends}"
        return text

    @property
    def name_lines(self) -> list[list[str]]:
        """The lines of the name beside each bar: long names are broken and cut."""
        return [wrap(name, 26, max_lines=3, placeholder=" …") or [name] for name in self.names]

    @property
    def rows(self) -> float:
        """The height of all bars, in bars with short names."""
        return sum(max(1.0, 0.75 * len(lines)) for lines in self.name_lines)

    def line(self, at: int) -> int:
        """Return the number of the line to which a bar belongs; 0 without lines."""
        return self.lines[at] if self.lines else 0

    def colour(self, at: int) -> str:
        """Return the colour of a bar."""
        return look(self.line(at), self.colours[at] if self.colours else "")[0]

    def is_hollow(self, at: int) -> bool:
        """Return whether a bar has no fill."""
        return bool(self.hollow) and self.hollow[at]

    def errors(self) -> tuple[list[float], list[float]]:
        """Return the distances from the values to the ends of the intervals; 0 without one."""
        ends = zip(self.values, self.low, self.high, strict=True)
        known = [
            (max(0.0, v - a), max(0.0, b - v)) if math.isfinite(a + b) else (0.0, 0.0)
            for v, a, b in ends
        ]
        return [below for below, _ in known], [above for _, above in known]


def bar_chart(
    names: Sequence[str],
    values: Sequence[float],
    title: str,
    note: str = "",
    *,
    low: Sequence[float] = (),
    high: Sequence[float] = (),
    unit: str = "",
    number: str = ",.0f",
    texts: Sequence[str] = (),
    lines: Sequence[int] = (),
    colours: Sequence[str] = (),
    hollow: Sequence[bool] = (),
    hollow_name: str = "",
) -> BarChart | None:
    """Return a chart of horizontal bars, from top to bottom, or None without a finite value.

    Parameters
    ----------
    names, values
        The bars; bars with NaN keep their place.
    title, note
        Text above the chart.
    low, high
        Ends of intervals; empty or NaN without intervals.
    unit
        Title of the axis, also in tooltips.
    number
        Format of the values.
    texts
        Text behind each bar, which replaces the value in the tooltip.
    lines
        Number of the line chart's line to which each bar belongs; it has the same colour.
    colours
        Colour of each bar as ``"#0064a0"``; empty for the colour of the palette.
    hollow, hollow_name
        Whether each bar has no fill, and the meaning of bars without fill.

    Examples
    --------
    >>> bar_chart(["hat", "shoe"], [12, 7], "Classes", unit="images").tooltip(0)
    'hat: 12 images'
    """
    for each in (low, high, texts, lines, colours, hollow):
        if each and len(each) != len(names):
            raise UsageError(f"{len(each)} entries do not fit {len(names)} bars.")
    if len(names) != len(values):
        raise UsageError(f"{len(names)} names of bars do not fit {len(values)} values.")
    if not any(map(math.isfinite, values)):
        return None
    return BarChart(
        title, note, tuple(names), tuple(values), tuple(low), tuple(high), unit, number,
        tuple(texts), tuple(lines), tuple(colours), tuple(hollow), hollow_name,
    )  # fmt: skip


@dataclass(frozen=True)
class PointMap(Chart):
    """Points in the plane in named groups, from `point_map`."""

    title: str
    note: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    groups: tuple[str, ...]
    codes: tuple[int, ...]
    notes: tuple[str, ...]
    axes: tuple[str, str] | None = None


def point_map(
    x: Sequence[float],
    y: Sequence[float],
    title: str,
    note: str = "",
    *,
    groups: Sequence[str],
    codes: Sequence[int],
    notes: Sequence[str] = (),
    axes: tuple[str, str] | None = None,
) -> PointMap | None:
    """Return a map of points, or None without a point.

    Parameters
    ----------
    x, y
        Coordinates without unit, such as the two main axes of embeddings.
    title, note
        Text above the map.
    groups, codes
        Names of the groups, and for each point the position of its group; -1 for none.
    notes
        Tooltip of each point.
    axes
        Titles of the axes, with units; None for coordinates without meaning.
    """
    if len({len(x), len(y), len(codes), len(notes or x)}) > 1:
        raise UsageError(
            f"the map has {len(x)} x, {len(y)} y, {len(codes)} codes and {len(notes)} notes: give "
            "one of each for every point."
        )
    if not len(x):
        return None
    return PointMap(
        title, note, tuple(x), tuple(y), tuple(groups), tuple(codes), tuple(notes), axes
    )


@dataclass(frozen=True)
class HeatMap(Chart):
    """A table of shaded numbers, from `heat_map`. Undefined numbers are NaN."""

    title: str
    corner: str
    headings: tuple[str, ...]
    total: str
    matrix: tuple[tuple[float, ...], ...]
    totals: tuple[float, ...]
    scale: tuple[float, float] | None
    note: str = ""
    texts: tuple[tuple[str, ...], ...] = ()

    def text(self, row: int, column: int) -> str:
        """Return the text of a cell."""
        if self.texts:
            return self.texts[row][column]
        value = self.matrix[row][column]
        return "–" if math.isnan(value) else f"{value:.3f}"

    def shade(self, value: float) -> int | None:
        """Return the percentage of the full colour of a number; None for no colour."""
        if self.scale is None or not math.isfinite(value):
            return None
        low, high = self.scale
        share = (value - low) / (high - low) if high > low else 0.5
        return round(100 * min(max(share, 0.0), 1.0))


def heat_map(
    title: str,
    matrix: Sequence[Sequence[float]],
    headings: Sequence[str],
    totals: Sequence[float],
    *,
    scale: tuple[float, float] | None,
    corner: str = "",
    total: str = "",
    texts: Sequence[Sequence[str]] = (),
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
    texts
        Texts of the cells; by default the numbers with three decimals.

    Examples
    --------
    >>> nan = float("nan")
    >>> found = heat_map("naive", [[0.9, nan], [0.5, 0.8]], "ab", [0.9, 0.65], scale=(0.5, 0.9))
    >>> [[found.shade(value) for value in row] for row in found.matrix]
    [[100, None], [0, 75]]
    """
    rows, cells = tuple(map(tuple, matrix)), tuple(map(tuple, texts))
    return HeatMap(title, corner, tuple(headings), total, rows, tuple(totals), scale, texts=cells)
