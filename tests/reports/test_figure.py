"""Figures: every point is where its numbers put it."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedpipe.reports import Curve, Round
from embedpipe.reports.figure import lay_out, ticks


def curve(name, *points):
    rounds = tuple(
        Round(i, labelled, value, value, 0.0, 0.0, name)
        for i, (labelled, value) in enumerate(points)
    )
    return Curve(name, rounds)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.43, 0.88, [0.4, 0.5, 0.6, 0.7, 0.8, 0.9]),
        (0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.861, 0.872, [0.86, 0.8625, 0.865, 0.8675, 0.87, 0.8725]),
        (50, 500, [0.0, 100.0, 200.0, 300.0, 400.0, 500.0]),
    ],
)
def test_ticks_are_round_numbers(low, high, expected):
    assert ticks(low, high) == expected


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_ticks_cover_the_interval(a, b):
    low, high = min(a, b), max(a, b)
    values = ticks(low, high)
    slack = 1e-6 * max(1.0, high)
    assert values[0] <= low + slack
    assert values[-1] >= high - slack
    assert len(values) <= 8
    assert values == sorted(values)


def test_points_stand_where_the_axes_say():
    panel = lay_out([curve("m", (0, 0.2), (50, 0.6), (100, 1.0))], "accuracy", "Accuracy", 0.8)
    assert [(tick.text, round(tick.at, 3)) for tick in panel.x_ticks][::5] == [
        ("0", panel.left),
        ("100", panel.right),
    ]
    assert [tick.text for tick in panel.y_ticks] == ["0.2", "0.4", "0.6", "0.8", "1.0"]
    (line,) = panel.lines
    assert [(dot.x, dot.y) for dot in line.dots] == [
        (panel.left, pytest.approx(panel.bottom)),
        ((panel.left + panel.right) / 2, pytest.approx((panel.top + panel.bottom) / 2)),
        (panel.right, pytest.approx(panel.top)),
    ]
    assert line.dots[1].text == "m: 0.600 with 50 labels"
    assert line.value == "1.000"
    assert panel.bound.text == "all labels 0.800"
    assert panel.bound.y == pytest.approx(panel.y_ticks[3].at)


def test_values_at_the_ends_do_not_overlap():
    curves = [curve(str(i), (10, 0.5), (20, 0.9 + i / 1e4)) for i in range(4)]
    panel = lay_out(curves, "accuracy", "Accuracy")
    heights = sorted(line.value_y for line in panel.lines)
    assert min(b - a for a, b in itertools.pairwise(heights)) >= 15
    highest = min(panel.lines, key=lambda line: line.value_y)
    assert highest.value == "0.900"
    assert highest.series == 3


def test_rounds_without_the_metric_are_left_out():
    panel = lay_out([curve("a", (10, None), (20, 0.5)), curve("b", (10, None))], "accuracy", "A")
    assert [len(line.dots) for line in panel.lines] == [1]
    assert lay_out([curve("b", (10, None))], "accuracy", "A") is None


def test_a_single_point():
    panel = lay_out([curve("a", (20, 0.5))], "accuracy", "A")
    (dot,) = panel.lines[0].dots
    assert panel.left <= dot.x <= panel.right
    assert panel.top <= dot.y <= panel.bottom
