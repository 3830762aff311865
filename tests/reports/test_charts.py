"""Charts: positions of points and shades of cells."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedpipe.reports import Series, heat_map, line_chart
from embedpipe.reports.charts import ticks

NAN = float("nan")


def series(name, *points):
    return Series(name, [x for x, _ in points], [y for _, y in points])


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


def test_points_have_the_positions_of_the_axes():
    chart = line_chart(
        [series("m", (0, 0.2), (50, 0.6), (100, 1.0))], "Accuracy", upper_baseline=0.8
    )
    assert [(tick.text, round(tick.at, 3)) for tick in chart.x_ticks][::5] == [
        ("0", chart.left),
        ("100", chart.right),
    ]
    assert [tick.text for tick in chart.y_ticks][::2] == ["0.2", "0.4", "0.6", "0.8", "1.0"]
    (line,) = chart.lines
    assert [(dot.x, dot.y) for dot in line.dots] == [
        (chart.left, pytest.approx(chart.bottom)),
        ((chart.left + chart.right) / 2, pytest.approx((chart.top + chart.bottom) / 2)),
        (chart.right, pytest.approx(chart.top)),
    ]
    assert line.dots[1].text == "m: 0.600 with 50 labels"
    assert line.value is None
    assert chart.upper_baseline.text == "all labels 0.800"
    assert chart.upper_baseline.at == pytest.approx(chart.y_ticks[6].at)


def test_values_at_the_ends_do_not_overlap():
    curves = [series(str(i), (10, 0.5), (20, 0.9 + i / 1e4)) for i in range(4)]
    chart = line_chart(curves, "Accuracy", end_values=True)
    heights = sorted(line.value.at for line in chart.lines)
    assert min(b - a for a, b in itertools.pairwise(heights)) >= 15
    highest = min(chart.lines, key=lambda line: line.value.at)
    assert highest.value.text == "0.900"
    assert highest.index == 3
    assert [line.index for line in chart.lines] == [3, 2, 1, 0]  # the first is drawn on top


def test_points_without_a_value_are_left_out():
    curves = [series("a", (10, NAN), (20, 0.5)), series("b", (10, NAN)), None, series("c", (10, 1))]
    chart = line_chart(curves, "A", end_values=True)
    assert [(line.index, len(line.dots)) for line in chart.lines] == [(3, 1), (0, 1)]
    assert [line.value.text for line in chart.lines] == ["1.000", "0.500"]
    assert line_chart([series("b", (10, NAN)), None], "A") is None


def test_a_single_point():
    (line,) = line_chart([series("a", (20, 0.5))], "A").lines
    (dot,) = line.dots
    chart = line_chart([series("a", (20, 0.5))], "A")
    assert chart.left <= dot.x <= chart.right
    assert chart.top <= dot.y <= chart.bottom


def test_intervals_have_the_positions_of_their_values():
    curve = Series("margin", [0, 100], [0.5, 0.75], [0.4, NAN], [0.6, NAN])
    chart = line_chart([None, curve], "Accuracy", upper_baseline=1.0)
    (line,) = chart.lines
    assert line.index == 1
    left, right = (tuple(map(float, point.split(","))) for point in line.points.split())
    assert (left[0], right[0]) == (chart.left, chart.right)
    places = {tick.text: tick.at for tick in chart.y_ticks}
    assert left[1] == pytest.approx(places["0.5"], abs=0.06)
    assert line.area.count(",") == 2  # one point has an interval
    assert chart.upper_baseline.at == pytest.approx(places["1.0"])


def test_differences_have_a_line_at_zero_and_marks():
    curve = Series("margin", [0, 100], [0.1, 0.2], [0.0, 0.1], [0.2, 0.3], [False, True])
    chart = line_chart([curve], "Difference", signed=True)
    assert chart.zero == pytest.approx({t.text: t.at for t in chart.y_ticks}["0.00"])
    assert [dot.filled for dot in chart.lines[0].dots] == [False, True]
    assert chart.lines[0].dots[1].text.endswith("significant")


def test_very_wide_intervals_are_cut():
    wide = Series("margin", [0, 1], [0.1, 0.2], [-9, 0.1], [9, 0.3])
    chart = line_chart([wide], "Difference", signed=True)
    ends = [float(chart.y_ticks[at].text) for at in (0, -1)]
    assert ends == pytest.approx([-0.6, 0.6])


@pytest.mark.parametrize(("last", "expected"), [(3, "1 2 3"), (30, "1 4 7 10 13 16 19 22 25 28")])
def test_an_axis_of_whole_numbers_has_at_most_twelve_ticks(last, expected):
    from embedpipe.reports.replay_report import EXPERIENCES

    points = [(x, 0.5) for x in range(1, last + 1)]
    chart = line_chart([series("a", *points)], "A", axis=EXPERIENCES)
    assert " ".join(tick.text for tick in chart.x_ticks) == expected


def test_heat_maps_shade_numbers_by_a_common_scale():
    maps = [
        heat_map("a", [[0.2, NAN]], "xy", [0.2], scale=(0.2, 0.7)),
        heat_map("b", [[0.7, 0.45]], "xy", [0.7], scale=(0.2, 0.7)),
    ]
    cells = [cell for each in maps for cell in each.rows[0].cells]
    assert [cell.shade for cell in cells] == [0, None, 100, 50]
    assert [cell.framed for cell in cells] == [True, False, True, False]
    (row,) = heat_map("d", [[0.3]], "x", [0.3], scale=(0.3, 0.3)).rows
    assert row.cells[0].shade == 50
    (row,) = heat_map("e", [[NAN]], "x", [NAN], scale=None).rows
    assert (row.cells[0].text, row.cells[0].shade, row.total) == ("–", None, "–")


def test_the_old_name_of_the_upper_baseline_is_deprecated():
    with pytest.warns(DeprecationWarning, match="`bound` is now `upper_baseline`"):
        chart = line_chart([series("a", (1, 0.5))], "A", bound=0.8)
    assert chart.upper_baseline.text == "all labels 0.800"
