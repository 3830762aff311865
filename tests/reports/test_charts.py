"""Charts: their interactive figures and their pictures have the same numbers."""

import itertools
import re
from xml.etree import ElementTree

import pytest

from embedpipe.errors import UsageError
from embedpipe.reports import Series, bar_chart, figure_of, heat_map, line_chart, point_map
from embedpipe.reports.charts import PALETTE
from embedpipe.reports.printed import static_svg
from embedpipe.reports.replay_report import EXPERIENCES

NAN = float("nan")


def series(name, *points):
    return Series(name, [x for x, _ in points], [y for _, y in points])


def lines_of(figure):
    """The traces of lines with points, without bands and single runs."""
    return [trace for trace in figure.data if trace.mode == "lines+markers"]


def test_lines_have_points_texts_and_a_baseline():
    chart = line_chart(
        [series("m", (0, 0.2), (50, 0.6), (100, 1.0))], "Accuracy", upper_baseline=0.8
    )
    figure = figure_of(chart)
    (line,) = lines_of(figure)
    assert (line.x, line.y) == ((0, 50, 100), (0.2, 0.6, 1.0))
    assert line.text[1] == "m: 0.600 with 50 labels"
    assert [(shape.y0, shape.y1) for shape in figure.layout.shapes] == [(0.8, 0.8)]
    assert [each.text for each in figure.layout.annotations] == ["all labels 0.800"]
    low, high = figure.layout.yaxis.range
    assert low < 0.2 < 1.0 < high


def test_values_at_the_ends_do_not_overlap():
    curves = [series(str(i), (10, 0.5), (20, 0.9 + i / 1e4)) for i in range(4)]
    chart = line_chart(curves, "Accuracy", end_values=True)
    low, high = chart.y_range
    ends = chart.ends()
    heights = [height for *_, height in ends]
    assert min(b - a for a, b in itertools.pairwise(heights)) >= 0.0599 * (high - low)
    assert [(index, f"{value:.3f}") for index, _, value, _ in ends][-1] == (3, "0.900")
    texts = [each.text for each in figure_of(chart).layout.annotations]
    assert texts == ["0.900"] * 4
    assert static_svg(chart).count(">0.900<") == 4


def test_points_without_a_value_are_left_out():
    curves = [series("a", (10, NAN), (20, 0.5)), series("b", (10, NAN)), None, series("c", (10, 1))]
    chart = line_chart(curves, "A", end_values=True)
    assert [(t.meta["line"], len(t.x)) for t in lines_of(figure_of(chart))] == [(0, 1), (3, 1)]
    assert 'class="curve c3"' in static_svg(chart)
    assert line_chart([series("b", (10, NAN)), None], "A") is None


def test_intervals_and_their_bands():
    curve = Series("margin", [0, 50, 100], [0.5, 0.6, 0.7], [0.4, NAN, 0.6], [0.6, NAN, 0.8])
    figure = figure_of(line_chart([None, curve], "Accuracy"))
    band, line = figure.data
    assert (band.x, band.y) == ((0, 100, 100, 0), (0.6, 0.8, 0.6, 0.4))
    assert band.fillcolor.startswith(PALETTE[1]) and line.line.color == PALETTE[1]
    assert line.text[0].endswith("<br>95 % interval 0.400 to 0.600")
    assert line.text[1] == "margin: 0.600 with 50 labels"


def test_differences_have_a_line_at_zero_and_marks():
    curve = Series("margin", [0, 100], [0.1, 0.2], [0.0, 0.1], [0.2, 0.3], [False, True])
    figure = figure_of(line_chart([curve], "Difference", signed=True))
    assert [shape.y0 for shape in figure.layout.shapes] == [0.0]
    line = figure.data[-1]
    assert line.text[1].startswith("margin: +0.200") and line.text[1].endswith("significant")
    assert line.marker.color[0] != line.marker.color[1] == PALETTE[0]


def test_very_wide_intervals_are_cut():
    wide = Series("margin", [0, 1], [0.1, 0.2], [-9, 0.1], [9, 0.3])
    low, high = line_chart([wide], "Difference", signed=True).y_range
    assert (low, high) == pytest.approx((-0.648, 0.648))
    shares = Series("margin", [0], [0.9], [0.7], [1.2])
    assert line_chart([shares], "Accuracy").y_range[1] == pytest.approx(1.012)
    costs = Series("margin", [0, 1], [3.0, 90.0])
    assert line_chart([costs], "Cost").y_range[1] > 90


def test_single_runs_are_one_trace_with_the_name_of_each_run():
    runs = [Series(f"margin, seed {s}", [20, 40], [0.5, 0.6 + s / 10]) for s in range(2)]
    mean = Series("margin", [20, 40], [0.5, 0.65], runs=runs)
    behind, line = figure_of(line_chart([mean], "Accuracy")).data
    assert behind.x == (20, 40, None, 20, 40, None)
    assert behind.y == (0.5, 0.6, None, 0.5, 0.7, None)
    assert behind.text[4] == "margin, seed 1: 0.700 with 40 labels"
    assert len(line.x) == 2


def test_a_line_can_have_a_colour_of_its_own():
    curve = Series("a", [1, 2], [0.5, 0.7], [0.4, 0.6], [0.6, 0.8], colour="#123456")
    chart = line_chart([None, curve], "A", end_values=True)
    band, line = figure_of(chart).data
    assert (line.line.color, band.fillcolor[:7]) == ("#123456", "#123456")
    assert figure_of(chart).layout.annotations[0].font.color == "#123456"
    svg = static_svg(chart)
    assert svg.count("#123456") >= 3 and "var(--s1)" not in svg


@pytest.mark.parametrize(("last", "step"), [(3, 1), (30, None)])
def test_an_axis_of_whole_numbers(last, step):
    points = [(x, 0.5) for x in range(1, last + 1)]
    chart = line_chart([series("a", *points)], "A", axis=EXPERIENCES)
    assert figure_of(chart).layout.xaxis.dtick == step
    assert re.findall(r">(\d+)<", static_svg(chart))


def test_names_are_text_in_figures_and_pictures():
    name = '<script>fail()</script> "$x$" %{y}'
    chart = line_chart([series(name, (1, 0.5), (2, 0.6))], name)
    (line,) = figure_of(chart).data
    assert line.name == '&lt;script&gt;fail()&lt;/script&gt; "$x$" %{y}'
    hebrew = line_chart([series("שלום", (1, 0.5))], "A")
    assert figure_of(hebrew).data[0].text == ("\u2068שלום\u2069: 0.500 with 1 labels",)
    bars = bar_chart([name], [3.0], "Classes", unit="images")
    assert "<script>" not in static_svg(bars)
    assert "&lt;script&gt;" in static_svg(bars)


def test_pictures_are_inline_svg_in_the_colours_of_the_page():
    chart = line_chart([series("a", (1, 0.5), (2, 0.7)), series("b", (1, 0.4), (2, 0.5))], "A")
    svg = static_svg(chart)
    root = ElementTree.fromstring(svg.replace("xlink:", ""))
    assert root.attrib["class"] == "static" and "viewBox" in root.attrib
    assert "<style" not in svg and "http://" not in svg
    assert all(f"var(--{name})" in svg for name in ("s0", "s1", "quiet", "grid"))
    assert not set(re.findall(r"#[0-9a-f]{6}\b", svg)) - {"#000000", "#ffffff"}
    assert static_svg(chart) == svg


def test_bars():
    chart = bar_chart(["hat", "shoe"], [12, NAN], "C", low=[10, NAN], high=[15, NAN], unit="images")
    (bars,) = figure_of(chart).data
    assert bars.text[0] == "hat: 12 images<br>95 % interval 10 to 15"
    assert (bars.error_x.array[0], bars.error_x.arrayminus[0]) == (3, 2)
    assert figure_of(chart).layout.yaxis.ticktext == ("hat", "shoe")
    assert bar_chart(["hat"], [NAN], "C") is None
    with pytest.raises(UsageError, match="1 names of bars do not fit 2 values."):
        bar_chart(["hat"], [1, 2], "C")


def test_maps_of_points():
    chart = point_map(
        [0, 1, 2], [0, 1, 0], "Map", groups=["hat", "shoe"], codes=[1, -1, 1], notes=["a", "b", "c"]
    )
    others, shoes = figure_of(chart).data
    assert (shoes.name, shoes.x, shoes.text) == ("shoe", (0, 2), ("a", "c"))
    assert (others.name, others.x) == ("", (1,))
    assert "<image" in static_svg(chart)
    assert point_map([], [], "Map", groups=[], codes=[]) is None
    with pytest.raises(UsageError, match="give one of each for every point"):
        point_map([1], [1], "Map", groups=[], codes=[])


def test_more_groups_than_colours_have_other_shapes():
    names = [str(number) for number in range(17)]
    places = list(range(17))
    chart = point_map(places, places, "Map", groups=names, codes=places)
    looks = [(trace.marker.color, trace.marker.symbol) for trace in figure_of(chart).data]
    assert len(set(looks)) == 17
    assert [shape for _, shape in looks[7:9]] == ["circle", "diamond"]


def test_maps_with_axes():
    chart = point_map(
        [640, 30], [480, 40], "Sizes", groups=["images"], codes=[0, 0], axes=("width", "height")
    )
    layout = figure_of(chart).layout
    assert (layout.xaxis.title.text, layout.yaxis.title.text) == ("width", "height")
    assert ">width<" in static_svg(chart) and ">height<" in static_svg(chart)


def test_heat_maps_shade_numbers_by_a_common_scale():
    maps = [
        heat_map("a", [[0.2, NAN]], "xy", [0.2], scale=(0.2, 0.7)),
        heat_map("b", [[0.7, 0.45]], "xy", [0.7], scale=(0.2, 0.7)),
    ]
    assert [each.shade(v) for each in maps for v in each.matrix[0]] == [0, None, 100, 50]
    assert heat_map("d", [[0.3]], "x", [0.3], scale=(0.3, 0.3)).shade(0.3) == 50
    assert heat_map("e", [[NAN]], "x", [NAN], scale=None).shade(NAN) is None
    (trace,) = figure_of(maps[0]).data
    assert (trace.z, trace.zmin, trace.zmax) == (([0.2, None],), 0.2, 0.7)


def test_the_old_name_of_the_upper_baseline_is_deprecated():
    with pytest.warns(DeprecationWarning, match="`bound` is now `upper_baseline`"):
        chart = line_chart([series("a", (1, 0.5))], "A", bound=0.8)
    assert chart.upper_baseline == 0.8


def test_long_names_of_bars_are_broken_and_leave_room():
    name = "typiclust(neighbours=20), then combine(margin^2, diversity, weight=0.5)"
    chart = bar_chart([name, "hat"], [1, 2], "C", texts=["over 800 (3 of 10)", "12"])
    (bars,) = chart.name_lines[:1]
    assert bars == ["typiclust(neighbours=20),", "then combine(margin^2,", "diversity, weight=0.5)"]
    assert figure_of(chart).layout.yaxis.ticktext == ("<br>".join(bars), "hat")
    assert (
        static_svg(chart).count(">then combine(margin^2,<") == 1
    )  # without a warning of matplotlib
