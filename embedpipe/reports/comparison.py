"""What a comparison shows, in plain types, and where the parts of its figures go."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .figure import BOTTOM, HEIGHT, LEFT, TOP, WIDTH, Bound, Dot, Tick, _decimal, _scale, ticks

__all__ = [
    "LABELS",
    "Axis",
    "Band",
    "Compared",
    "ComparedGroup",
    "ComparisonData",
    "ComparisonPanel",
    "Matrix",
    "lay_out_bands",
]

COLOURS, DASHES = 8, 3
"""Curves differ in colour, and where there are more in how they are dashed."""

MARGIN = 18


@dataclass(frozen=True)
class Axis:
    """What curves are drawn against.

    Attributes
    ----------
    name
        Below the axis.
    against
        The same in a sentence.
    at
        Where a point is, as a pointer over it reads: ``{}`` stands for the number.
    bound
        What stands at the horizontal line; empty where the legend tells it.
    counted
        Whether every number is a place of its own, so that the axis begins with the first.
    """

    name: str
    against: str
    at: str
    bound: str
    counted: bool = False


LABELS = Axis("labelled items", "the number of labels", "with {:,.0f} labels", "all labels")

MOST_TICKS = 12


@dataclass(frozen=True)
class Band:
    """A curve with the range in which it may lie.

    Attributes
    ----------
    name
        As a reader would say it.
    labelled, middle, low, high
        The number of labels in each round, or of the experience; the mean over the seeds and its
        interval, NaN where there is none.
    marked
        Points whose dot is filled, or empty.
    """

    name: str
    labelled: Sequence[float]
    middle: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    marked: Sequence[bool] = ()


@dataclass(frozen=True)
class Compared:
    """A row of the table: its cells as they are shown, by column, and whether it is a baseline."""

    name: str
    runs: str
    area: str
    accuracies: tuple[str, ...]
    difference: str
    verdict: str
    p: str
    gap: str
    labels: str
    rounds: str
    against: str
    baseline: bool


@dataclass(frozen=True)
class ComparedGroup:
    """The settings of one dataset, backbone, head and mode.

    Attributes
    ----------
    title
        What they have in common.
    facts
        Names and values: seeds, labels, the floor, the accuracy with all labels, the target.
    budgets
        Numbers of labels at which the table tells the accuracy.
    rows
        Largest area first.
    accuracies, differences
        Curves in the order of the rows; those of the differences lack the baseline's.
    bound
        Accuracy with all labels, or None.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    budgets: tuple[int, ...]
    rows: tuple[Compared, ...]
    accuracies: tuple[Band, ...]
    differences: tuple[Band | None, ...]
    bound: float | None


@dataclass(frozen=True)
class Matrix:
    """On how many datasets the strategy of a row is significantly better than that of a column.

    Attributes
    ----------
    title
        The head and the mode.
    names
        The strategies: rows and columns.
    wins, ties, untested
        Numbers of datasets: the row is better, no difference was shown, nothing was tested.
    ranks
        The mean rank of each strategy.
    datasets
        Over how many datasets ranks are averaged.
    """

    title: str
    names: tuple[str, ...]
    wins: tuple[tuple[int, ...], ...]
    ties: tuple[tuple[int, ...], ...]
    untested: tuple[tuple[int, ...], ...]
    ranks: tuple[str, ...]
    datasets: int


@dataclass(frozen=True)
class ComparisonData:
    """A whole page.

    Attributes
    ----------
    title
        Of what.
    result, comparison
        The headline, and the sentence below it.
    facts
        Names and values for the line under it.
    groups, matrices
        What is shown.
    command
        What was typed.
    failures
        What could not be done.
    """

    title: str
    result: str
    comparison: str
    facts: tuple[tuple[str, str], ...]
    groups: tuple[ComparedGroup, ...]
    matrices: tuple[Matrix, ...] = ()
    command: str | None = None
    failures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Drawn:
    """A curve in a figure: which one, its points, its band, its dots, those filled first."""

    series: int
    line: str
    area: str
    dots: tuple[tuple[Dot, bool], ...]


@dataclass(frozen=True)
class ComparisonPanel:
    """A figure of curves with bands."""

    title: str
    note: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    curves: tuple[Drawn, ...]
    bound: Bound | None
    zero: float | None
    axis: Axis = LABELS

    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - MARGIN
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def lay_out_bands(
    bands: Sequence[Band | None],
    title: str,
    note: str,
    *,
    bound: float | None = None,
    signed: bool = False,
    axis: Axis = LABELS,
) -> ComparisonPanel | None:
    """Lay out a figure of curves with bands.

    Parameters
    ----------
    bands
        One curve each; None for a place in the order without one.
    title, note
        Above the figure.
    bound
        Where to draw a horizontal line.
    signed
        Whether values are differences: with signs, and a line at 0.
    axis
        What they are drawn against.

    Returns
    -------
    ComparisonPanel or None
        None if there is nothing to draw.
    """
    drawn = [band for band in bands if band is not None]
    xs = [
        x
        for band in drawn
        for x, y in zip(band.labelled, band.middle, strict=True)
        if math.isfinite(y)
    ]
    ys = [y for band in drawn for y in (*band.middle, *band.low, *band.high) if math.isfinite(y)]
    if not xs:
        return None
    ys += [0.0] if signed else []
    ys += [bound] if bound is not None else []
    if not signed:  # intervals of few seeds may be absurdly wide
        ys = [min(max(y, 0.0), 1.0) for y in ys]
    else:
        middles = [abs(y) for band in drawn for y in band.middle if math.isfinite(y)]
        most = 3 * max([*middles, 0.01])
        ys = [min(max(y, -most), most) for y in ys]
    x_values = _counted(xs) if axis.counted else ticks(min(xs), max(xs))
    y_values = ticks(min(ys), max(ys), 8)
    sign = "+" if signed else ""
    told = [(sign if v > 0 else "") + _decimal(v, y_values) for v in y_values]
    left = max(LEFT, 10 * max(map(len, told)) + 10)  # letters of the largest size, on a phone
    x = _scale(x_values[0], max(x_values[-1], *xs), left, WIDTH - MARGIN)
    y = _scale(y_values[0], y_values[-1], HEIGHT - BOTTOM, TOP)
    digits = "+.3f" if signed else ".3f"
    low, high = y_values[0], y_values[-1]

    def placed(value: float) -> float:
        return y(min(max(value, low), high))

    curves = tuple(
        _drawn(at, band, x, placed, digits, axis)
        for at, band in enumerate(bands)
        if band is not None
    )
    return ComparisonPanel(
        title=title,
        note=note,
        x_ticks=tuple(Tick(x(v), f"{v:,.0f}") for v in x_values if v == int(v)),
        y_ticks=tuple(Tick(y(v), text) for v, text in zip(y_values, told, strict=True)),
        curves=tuple(reversed(curves)),  # the first row on top
        bound=None
        if bound is None
        else Bound(y(bound), axis.bound and f"{axis.bound} {bound:.3f}"),
        zero=y(0.0) if signed else None,
        axis=axis,
        left=left,
    )


def _counted(xs: Sequence[float]) -> list[float]:
    """Return whole numbers from the first to the last, leaving out as many as have no room.

    >>> _counted([1, 2, 3]), _counted([1, 30])
    ([1.0, 2.0, 3.0], [1.0, 4.0, 7.0, 10.0, 13.0, 16.0, 19.0, 22.0, 25.0, 28.0])
    """
    first, last = round(min(xs)), round(max(xs))
    step = -(-(last - first + 1) // MOST_TICKS)
    return [float(x) for x in range(first, last + 1, step)]


def _drawn(series: int, band: Band, x: object, y: object, digits: str, axis: Axis) -> Drawn:
    assert callable(x)
    assert callable(y)
    known = [at for at, value in enumerate(band.middle) if math.isfinite(value)]
    spread = [at for at in known if math.isfinite(band.low[at]) and math.isfinite(band.high[at])]
    line = [f"{x(band.labelled[at]):.1f},{y(band.middle[at]):.1f}" for at in known]
    upper = [f"{x(band.labelled[at]):.1f},{y(band.high[at]):.1f}" for at in spread]
    lower = [f"{x(band.labelled[at]):.1f},{y(band.low[at]):.1f}" for at in reversed(spread)]
    dots = []
    for at in known:
        text = f"{band.name}: {band.middle[at]:{digits}} {axis.at.format(band.labelled[at])}"
        if at in spread:
            text += f"\n95 % interval {band.low[at]:{digits}} to {band.high[at]:{digits}}"
        marked = bool(band.marked and band.marked[at])
        if marked:
            text += "\nsignificant"
        dots.append((Dot(x(band.labelled[at]), y(band.middle[at]), text), marked))
    return Drawn(series, " ".join(line), " ".join([*upper, *lower]), tuple(dots))
