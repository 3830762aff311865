"""Charts by matplotlib: figures for print, and the static pictures of pages."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from functools import singledispatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._files import write_atomically
from ..errors import UsageError
from .charts import (
    DASHES,
    GRID,
    HEAT,
    INK,
    NOT_SIGNIFICANT,
    PALETTE,
    QUIET,
    SHEET,
    SYMBOLS,
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
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["WIDTHS", "print_charts", "static_svg", "write_charts"]

WIDTHS = {"single": 3.3, "double": 6.9}
"""Widths of figures in one column and in two columns of a journal, in inches."""

_LINES = dict(zip(DASHES, ("-", (0, (5, 2)), (0, (1.2, 1.6))), strict=True))

_SHAPES = dict(zip(SYMBOLS, "oD^s", strict=True))

_MARKS = "os^DvPX*"
"""Marks of printed lines, one for each colour, so that lines are distinct in grey."""

_MARKED = 8
"""Maximum number of marks of a printed line, about."""

_LETTERS = 25
"""Maximum length of all headings of a heat map; longer headings are numbered."""

_STYLE: dict[Any, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.linewidth": 0.4,
    "legend.frameon": False,
    "pdf.fonttype": 42,  # text stays text
    "svg.hashsalt": "embedpipe",
    "text.parse_math": False,
}

_PRINT = {
    "font.family": ["STIXGeneral", "DejaVu Sans"],
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.fontsize": 7,
    "legend.handlelength": 2.6,
    "legend.columnspacing": 1.2,
    "legend.labelspacing": 0.3,
    "lines.linewidth": 1.0,
    "lines.markersize": 3.2,
    "text.color": INK,
    "grid.color": "#dddddd",
}

_SCREEN = {
    "font.size": 10,
    "lines.linewidth": 1.4,
    "lines.markersize": 4,
    "svg.fonttype": "none",  # the page has the fonts
    "text.color": QUIET,
    "axes.labelcolor": QUIET,
    "axes.edgecolor": QUIET,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "grid.color": GRID,
}

VARIABLES = {
    **{colour: f"--s{at}" for at, colour in enumerate(PALETTE)},
    INK: "--ink",
    QUIET: "--quiet",
    GRID: "--grid",
    SHEET: "--page",
}
"""The variables of a page's style sheet that replace the colours of charts."""


def write_charts(
    path: Path, charts: Sequence[Chart], y_label: str = "", *, width: str = "double"
) -> Path:
    """Write charts of the same kind beside each other in one ``.pdf``, ``.svg`` or ``.png`` file.

    The vertical axes of line charts have the title `y_label`. `width` is ``"single"`` or
    ``"double"``, the columns of a journal.
    """
    from matplotlib import rc_context

    kind = path.suffix.lower()[1:]
    metadata = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(kind)
    sink = io.BytesIO()
    figure = print_charts(charts, y_label, width=width)
    with rc_context(_STYLE | _PRINT):
        figure.savefig(sink, format=kind, dpi=300, metadata=metadata)
    try:
        write_atomically(path, sink.getvalue())
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}.") from error
    return path


def print_charts(charts: Sequence[Chart], y_label: str = "", *, width: str = "double") -> Figure:
    """Return the figure of `write_charts`. Lines of the same name look the same in all charts."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    if not charts:
        raise UsageError("there is no curve to draw: no run is finished.")
    inches = WIDTHS[width]
    columns = 1 if width == "single" else min(len(charts), 3)
    rows = -(-len(charts) // columns)
    with rc_context(_STYLE | _PRINT):
        places, labels = _places(charts), _labels(charts)
        beside = max(1, int(inches / (0.55 + 0.042 * max(map(len, labels), default=0))))
        height = max(_print_height(chart, inches / columns) for chart in charts) * rows
        figure = Figure(figsize=(inches, height), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        handles: dict[str, Any] = {}
        for axis, chart in zip(axes, charts, strict=False):
            if isinstance(chart, LineChart):
                of_lines = [places[series.name] for _, series in chart.known()]
                handles |= _lines(axis, chart, of_lines, printed=True)
                axis.set_ylabel(y_label)
            else:
                _draw(chart, axis)
                handles |= _hollow(chart)
            axis.set_title(chart.title, linespacing=1.0)
        for axis in axes[len(charts) :]:
            axis.set_axis_off()
        ordered = {label: handles[label] for label in (*labels, *handles)}
        if ordered:
            n = min(len(ordered), beside)
            figure.legend(ordered.values(), ordered, loc="outside lower center", ncols=n)
            figure.set_figheight(height + 0.16 * -(-len(ordered) // n))
    return figure


def _labels(charts: Sequence[Chart]) -> list[str]:
    """Return the names of all lines."""
    lines = [chart for chart in charts if isinstance(chart, LineChart)]
    names = dict.fromkeys(each.name for chart in lines for _, each in chart.known())
    upper = (chart.axis.upper_baseline for chart in lines if chart.upper_baseline is not None)
    return [*names, *dict.fromkeys(upper)]


def _places(charts: Sequence[Chart]) -> dict[str, int]:
    """Return the place of each line: that in its chart, unless the places of charts differ."""
    lines = [chart.known() for chart in charts if isinstance(chart, LineChart)]
    pairs = {(series.name, place) for known in lines for place, series in known}
    places = dict(sorted(pairs, key=lambda pair: pair[1]))
    if len(pairs) == len(places) == len(set(places.values())):
        return places
    return {name: at for at, name in enumerate(_labels(charts))}


def _hollow(chart: Chart) -> dict[str, Any]:
    """Return the handle of bars without fill."""
    from matplotlib.patches import Patch

    if not isinstance(chart, BarChart) or not any(chart.hollow):
        return {}
    return {chart.hollow_name: Patch(facecolor="none", edgecolor=INK, linewidth=0.8)}


def static_svg(chart: Chart, variables: Mapping[str, str] = VARIABLES) -> str:
    """Return a chart as inline SVG, with the colours and fonts of the page."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    sink = io.StringIO()
    with rc_context(_STYLE | _SCREEN):
        figure = Figure(figsize=(5, _height(chart)), layout="constrained")
        axes = figure.subplots()
        _draw(chart, axes)
        figure.savefig(sink, format="svg", transparent=True, metadata={"Date": None})
    return _for_page(sink.getvalue(), variables)


def _height(chart: Chart) -> float:
    """Return the height of a picture of 5 inches width."""
    return max(1.2, 0.5 + 0.22 * chart.rows) if isinstance(chart, BarChart) else 3.4


def _print_height(chart: Chart, width: float) -> float:
    """Return the height of a printed chart of a width, in inches."""
    title = 0.14 * (1 + chart.title.count("\n"))
    if isinstance(chart, BarChart):
        return title + 0.5 + 0.19 * chart.rows
    if isinstance(chart, HeatMap):
        return title + 0.3 + 0.3 * len(chart.matrix)
    return title + max(1.8, min(0.6 * width, 3.2))


def _for_page(svg: str, variables: Mapping[str, str]) -> str:
    """Return SVG without header, with classes for lines and variables for colours and fonts."""
    box = re.search(r'viewBox="[^"]*"', svg)
    body = svg[svg.index(">", svg.index("<svg")) + 1 :]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|\n", "", body, flags=re.DOTALL)
    body = re.sub(r'<g id="line-(\d+)[^"]*">', r'<g class="curve c\1">', body)
    body = re.sub(r'<g id="[^"]*"', "<g", body)
    body = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font: \1 var(--sans)", body)
    for colour, name in variables.items():
        body = body.replace(colour, f"var({name})")
    return f'<svg class="static" {box and box[0]} aria-hidden="true">{body}'


@singledispatch
def _draw(chart: Chart, axes: Axes) -> None:
    """Draw a chart as the static picture of a page."""
    raise TypeError(f"cannot draw {type(chart).__name__}")


@_draw.register(LineChart)
def _(chart: LineChart, axes: Axes) -> None:
    _lines(axes, chart, [index for index, _ in chart.known()], printed=False)
    if chart.upper_baseline is not None and chart.axis.upper_baseline:
        axes.annotate(
            f"{chart.axis.upper_baseline} {chart.upper_baseline:.3f}", (0.01, chart.upper_baseline),
            (0, 3), xycoords=("axes fraction", "data"), textcoords="offset points",
        )  # fmt: skip


def _lines(axes: Axes, chart: LineChart, places: Sequence[int], *, printed: bool) -> dict[str, Any]:
    """Draw lines and bands in the looks at `places`; return the handles of the legend."""
    from matplotlib.ticker import MaxNLocator

    handles: dict[str, Any] = {}
    tested = any(series.significant for _, series in chart.known())
    known = zip(chart.known(), places, strict=True)
    for (_, series), place in reversed(list(known)):  # the first line is on top
        handles[series.name] = _line(axes, series, place)
        if printed:
            _mark(handles[series.name], series, place, tested=tested)
        elif series.significant:
            filled = [at for at, shown in enumerate(series.significant) if shown]
            axes.plot(
                [series.x[p] for p in filled], [series.y[p] for p in filled], "o",
                color=handles[series.name].get_color(), gid=f"line-{place}-points",
            )  # fmt: skip
    if chart.upper_baseline is not None:
        handles[chart.axis.upper_baseline] = axes.axhline(
            chart.upper_baseline, color=QUIET, linestyle=":", linewidth=1.0
        )
    if printed:
        handles |= _meanings(chart)
    if chart.signed:
        axes.axhline(0.0, color=QUIET, linewidth=0.8)
        axes.yaxis.set_major_formatter(lambda y, _: f"{y:+.3g}".replace("-", "−"))
    if chart.end_values:
        colours = {index: look(index, each.colour)[0] for index, each in chart.known()}
        for index, x, value, height in chart.ends():
            axes.annotate(
                f"{value:.3f}", (x, height), (5, 0), textcoords="offset points", va="center",
                color=colours[index], annotation_clip=False, gid=f"line-{index}-end",
            )  # fmt: skip
    axes.set_ylim(*chart.y_range)
    axes.set_xlabel(chart.axis.name)
    if all(float(x).is_integer() for _, series in chart.known() for x in series.x):
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
        axes.xaxis.set_major_formatter("{x:,.0f}")
    return handles


def _line(axes: Axes, series: Series, place: int) -> Any:
    colour, dash = look(place, series.colour)
    at = [p for p, y in enumerate(series.y) if math.isfinite(y)]
    if series.low:
        axes.fill_between(
            series.x, series.low, series.high, color=colour, alpha=0.12, linewidth=0,
            gid=f"line-{place}-band",
        )  # fmt: skip
    (line,) = axes.plot(
        [series.x[p] for p in at], [series.y[p] for p in at],
        color=colour, linestyle=_LINES[dash], gid=f"line-{place}",
    )  # fmt: skip
    return line


def _mark(line: Any, series: Series, place: int, *, tested: bool) -> None:
    """Add marks to a printed line; in a chart with tests, only significant points are filled."""
    axes, shape = line.axes, _MARKS[place % len(_MARKS)]
    at = [p for p, y in enumerate(series.y) if math.isfinite(y)]
    step = -(-len(at) // _MARKED)
    shown = at[place % step :: step]
    for filled in (False, True):
        chosen = [p for p in shown if (_is_significant(series, p) or not tested) == filled]
        axes.plot(
            [series.x[p] for p in chosen], [series.y[p] for p in chosen],
            linestyle="none", marker=shape, color=line.get_color(), zorder=line.get_zorder() + 0.1,
            markerfacecolor=line.get_color() if filled else "white", markeredgewidth=0.7,
        )  # fmt: skip
    line.set(marker=shape, markevery=(len(at), 1))  # the mark of the legend


def _is_significant(series: Series, at: int) -> bool:
    return bool(series.significant) and series.significant[at]


def _meanings(chart: LineChart) -> dict[str, Any]:
    """Return the handles of bands and filled marks."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    shown = [series for _, series in chart.known()]
    found: dict[str, Any] = {}
    if any(math.isfinite(low) for series in shown for low in series.low):
        found["95 % interval"] = Patch(color=QUIET, alpha=0.25, linewidth=0)
    if any(series.significant for series in shown):
        faces = {"significant difference": QUIET, NOT_SIGNIFICANT: "white"}
        for name, face in faces.items():
            found[name] = Line2D(
                [], [], linestyle="none", marker="o", color=QUIET, markerfacecolor=face,
                markeredgewidth=0.7,
            )  # fmt: skip
    return found


@_draw.register(BarChart)
def _(chart: BarChart, axes: Axes) -> None:
    places = list(range(len(chart.names)))
    errors = chart.errors() if chart.low else None
    for at in places:
        colour = chart.colour(at)
        axes.barh(
            at, chart.values[at], height=0.7, edgecolor=colour, linewidth=0.8,
            color="none" if chart.is_hollow(at) else colour,
            gid=f"line-{chart.line(at)}-bar" if chart.lines else None,
        )  # fmt: skip
    if errors is not None:
        axes.errorbar(
            chart.values, places, xerr=errors, linestyle="none", ecolor=INK, elinewidth=0.8,
        )  # fmt: skip
    axes.set_yticks(places, ["\n".join(lines) for lines in chart.name_lines])
    axes.set_ylim(len(places) - 0.5, -0.5)  # from top to bottom
    axes.set_xlabel(chart.unit)
    axes.grid(axis="y", visible=False)
    if chart.number == ",.0f":
        axes.xaxis.set_major_formatter("{x:,.0f}")
    if min(chart.values) < 0:
        axes.axvline(0.0, color=QUIET, linewidth=0.8)
    if chart.texts:
        _beside(axes, chart.texts)


@_draw.register(PointMap)
def _(chart: PointMap, axes: Axes) -> None:
    for shape in dict.fromkeys(map(symbol, chart.codes)):
        at = [place for place, code in enumerate(chart.codes) if symbol(code) == shape]
        colours = [QUIET if chart.codes[p] < 0 else look(chart.codes[p])[0] for p in at]
        axes.scatter(
            [chart.x[p] for p in at], [chart.y[p] for p in at],
            c=colours, marker=_SHAPES[shape], s=4, alpha=0.7, linewidths=0, rasterized=True,
        )  # fmt: skip
    if chart.axes is None:
        axes.set_aspect("equal")
        axes.set_axis_off()
    else:
        axes.set_xlabel(chart.axes[0])
        axes.set_ylabel(chart.axes[1])
        axes.set_xlim(0)
        axes.set_ylim(0)


@_draw.register(HeatMap)
def _(chart: HeatMap, axes: Axes) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    low, high = chart.scale or (0.0, 1.0)
    colours = LinearSegmentedColormap.from_list("ramp", HEAT)
    axes.imshow(chart.matrix, vmin=low, vmax=high, cmap=colours, aspect="auto")
    for i, row in enumerate(chart.matrix):
        for j in range(len(row)):
            axes.text(j, i, chart.text(i, j), ha="center", va="center", color=INK)
    rows, columns = list(chart.headings[: len(chart.matrix)]), list(chart.headings)
    if sum(map(len, columns)) > _LETTERS:
        rows = [f"{name}  {at}" for at, name in enumerate(rows, 1)]
        columns = [str(at) for at in range(1, len(columns) + 1)]
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    if chart.total:
        number = ".1f" if chart.texts else ".3f"
        totals = [f"{total:{number}}" if math.isfinite(total) else "–" for total in chart.totals]
        _beside(axes, totals).set_ylabel(chart.total)


def _beside(axes: Axes, texts: Sequence[str]) -> Axes:
    """Write a text to the right of each bar or row."""
    behind = axes.twinx()
    behind.set_ylim(axes.get_ylim())
    behind.set_yticks(range(len(texts)), [re.sub(r"(?<!\w)-(?=\d)", "−", each) for each in texts])
    behind.tick_params(length=0)
    behind.grid(visible=False)
    behind.spines[:].set_visible(False)
    return behind
