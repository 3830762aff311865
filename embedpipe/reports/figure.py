"""Where the parts of a learning-curve figure go."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from .data import Curve

WIDTH, HEIGHT = 500, 340
LEFT, RIGHT, TOP, BOTTOM = 50, 66, 26, 50
LINE_HEIGHT = 17
"""Values at the ends of the lines keep this distance."""

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)

Metric = Literal["accuracy", "macro_f1"]


@dataclass(frozen=True)
class Tick:
    """A number on an axis and where it stands, in units of the figure."""

    at: float
    text: str


@dataclass(frozen=True)
class Dot:
    """A measured point: its place, and what a pointer over it reads."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class Line:
    """A curve: its place among the curves, its points, and its last value at `value_y`."""

    series: int
    dots: tuple[Dot, ...]
    value: str
    value_y: float

    @property
    def points(self) -> str:
        """The points as SVG writes them."""
        return " ".join(f"{dot.x:.1f},{dot.y:.1f}" for dot in self.dots)


@dataclass(frozen=True)
class Bound:
    """The horizontal line of the upper bound."""

    y: float
    text: str


@dataclass(frozen=True)
class Panel:
    """A figure of one metric against the number of labels."""

    title: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    bound: Bound | None

    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return round numbers that cover an interval, about `count` of them.

    Examples
    --------
    >>> ticks(0.43, 0.88)
    [0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    >>> ticks(20, 300)
    [0.0, 100.0, 200.0, 300.0]
    """
    span = max(high - low, 1e-9)
    power = 10.0 ** math.floor(math.log10(span / count))
    step = next(s * power for s in _STEPS if s * power * count >= span * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 10) for i in range(first, last + 1)]


def lay_out(
    curves: Sequence[Curve], metric: Metric, title: str, upper_bound: float | None = None
) -> Panel | None:
    """Lay out a figure of `metric` against the number of labels.

    Parameters
    ----------
    curves
        One line each.
    metric
        Which number of a round is drawn.
    title
        The name of the metric.
    upper_bound
        Where to draw a horizontal line.

    Returns
    -------
    Panel or None
        None if no round has the metric.
    """
    series = [
        [
            (entry.labelled, value)
            for entry in curve.rounds
            if (value := getattr(entry, metric)) is not None
        ]
        for curve in curves
    ]
    xs = [x for points in series for x, _ in points]
    ys = [y for points in series for _, y in points]
    if not xs:
        return None
    y_values = ticks(min(ys), max([*ys, upper_bound] if upper_bound is not None else ys))
    x_values = ticks(min(xs), max(xs))
    place_x = _scale(x_values[0], x_values[-1], LEFT, WIDTH - RIGHT)
    place_y = _scale(y_values[0], y_values[-1], HEIGHT - BOTTOM, TOP)
    lines = [
        _line(index, curve.name, points, place_x, place_y)
        for index, (curve, points) in enumerate(zip(curves, series, strict=True))
        if points
    ]
    return Panel(
        title,
        tuple(Tick(place_x(value), f"{value:,.0f}") for value in x_values if value == int(value)),
        tuple(Tick(place_y(value), _decimal(value, y_values)) for value in y_values),
        _spread(lines),
        Bound(place_y(upper_bound), f"all labels {upper_bound:.3f}")
        if upper_bound is not None
        else None,
    )


def _line(
    index: int,
    name: str,
    points: Sequence[tuple[int, float]],
    place_x: Callable[[float], float],
    place_y: Callable[[float], float],
) -> Line:
    dots = tuple(
        Dot(place_x(x), place_y(y), f"{name}: {y:.3f} with {x:,} labels") for x, y in points
    )
    return Line(index, dots, f"{points[-1][1]:.3f}", dots[-1].y)


def _spread(lines: Sequence[Line]) -> tuple[Line, ...]:
    """Move the values at the ends of the lines apart, keeping their order."""
    placed: list[Line] = []
    for line in sorted(lines, key=lambda line: line.value_y):
        lowest = placed[-1].value_y + LINE_HEIGHT if placed else -math.inf
        placed.append(Line(line.series, line.dots, line.value, max(line.value_y, lowest)))
    return tuple(sorted(placed, key=lambda line: -line.series))


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """Return the straight map that takes [low, high] to [start, end]."""
    slope = (end - start) / (high - low) if high > low else 0.0
    return lambda value: start + (value - low) * slope


def _decimal(value: float, values: Sequence[float]) -> str:
    """Write a tick with as many digits as the ticks need to differ."""
    step = values[1] - values[0] if len(values) > 1 else 1.0
    digits = next(d for d in range(1, 9) if abs(step * 10**d - round(step * 10**d)) < 1e-6)
    return f"{value:.{digits}f}"
