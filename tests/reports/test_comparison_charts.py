"""Charts of a comparison have the numbers of its table, and of an independent computation."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from embedpipe.experiments.summary import Summary
from embedpipe.reports import Series, figure_of, line_chart
from embedpipe.reports.charts import PALETTE
from embedpipe.reports.comparison_charts import differences_chart, labels_chart, wins_chart
from embedpipe.reports.printed import print_charts, static_svg

from .test_comparison_report import CURVES, results

LINES = {"random": 0, "<typiclust>, then margin": 1, "coreset": 2}


@pytest.fixture(scope="module")
def summary() -> Summary:
    return results(("hats", "shoes")).summary(accuracy=0.71)


def area(name: str) -> np.ndarray:
    """Return the areas (a + 2 b + c) / 4 of the seeds."""
    found = [curves for (initial, strategy), curves in CURVES.items() if strategy == name]
    return np.array(found[0]) @ [0.25, 0.5, 0.25]


def test_differences_are_those_of_the_table_and_of_scipy(summary: Summary) -> None:
    chart = differences_chart(summary.groups[0], LINES, {"coreset": "#123456"})
    assert chart is not None
    table = {row["strategy"]: row for row in csv.DictReader(io.StringIO(summary.to_csv()))}
    assert chart.names == ("<typiclust>, then margin", "coreset")
    for at, name in enumerate(("margin", "coreset")):
        paired = area(name) - area("random")
        low, high = stats.t.interval(0.95, 2, paired.mean(), stats.sem(paired))
        numbers = chart.values[at], chart.low[at], chart.high[at]
        assert numbers == pytest.approx((paired.mean(), low, high))
        keys = "difference", "difference_ci_low", "difference_ci_high"
        assert numbers == pytest.approx([float(table[name][key]) for key in keys], abs=1e-6)
        assert chart.is_hollow(at) == (float(table[name]["p_value"]) > 0.05)
        assert chart.texts[at].startswith(f"{paired.mean():+.3f}, p ")
    assert [chart.colour(at) for at in range(2)] == [PALETTE[1], "#123456"]
    first, second = figure_of(chart).data
    assert [trace.meta["line"] for trace in (first, second)] == [1, 2]
    assert first.x == (chart.values[0],)
    assert first.text[0].startswith("&lt;typiclust&gt;, then margin: +0.")
    assert 'class="curve c2"' in static_svg(chart)


def test_labels_end_at_the_last_round_without_the_target(summary: Summary) -> None:
    chart = labels_chart(summary.groups[0], LINES)
    assert chart is not None
    bars = dict(
        zip(chart.names, zip(chart.values, chart.hollow, chart.texts, strict=True), strict=True)
    )
    # margin reaches 0.71 between 0.55 and 0.72, between 0.56 and 0.73, and at 0.71
    reached = np.median([10 + 10 * 0.16 / 0.17, 10 + 10 * 0.15 / 0.17, 20])
    assert bars["<typiclust>, then margin"] == (pytest.approx(reached), False, "20")
    # random: two seeds stay below 0.71, one reaches it in the last round
    assert bars["random"] == (30.0, True, "over 30 (1 of 3)")
    assert bars["coreset"] == (30.0, True, "over 30 (0 of 3)")
    assert all(
        math.isnan(low) or low <= value for low, value in zip(chart.low, chart.values, strict=True)
    )
    hollow = figure_of(chart).data[chart.names.index("random")]
    assert hollow.marker.color[0].startswith(PALETTE[0])
    assert hollow.marker.color[0] != hollow.marker.line.color[0]


def test_wins_ties_and_losses_add_up(summary: Summary) -> None:
    (found,) = summary.matrices.values()
    chart = wins_chart("wins", found)
    assert chart.headings == found.strategies
    for i in range(3):
        assert chart.text(i, i) == "·"
        for j in {0, 1, 2} - {i}:
            wins, ties, losses = map(int, chart.text(i, j).split("–"))
            assert (wins, ties, losses) == (
                found.wins[i, j], found.ties[i, j], found.wins[j, i]
            )  # fmt: skip
            assert wins + ties + losses + found.untested[i, j] == 2
            assert chart.matrix[i][j] == wins
    heat = figure_of(chart).data[0]
    assert heat.text[0][1] == chart.text(0, 1)


def test_without_a_target_or_a_comparison_there_is_no_chart() -> None:
    alone = results()
    keep = alone.table.filter([name == "random" for name in alone.table["strategy"].to_pylist()])
    alone = replace(alone, table=keep, upper_baselines=alone.upper_baselines.slice(0, 0))
    (group,) = alone.summary().groups
    assert differences_chart(group, LINES) is None
    assert labels_chart(group, LINES) is None


def test_ticks_of_differences_are_not_rounded() -> None:
    series = Series("margin", [10, 20], [-0.075, 0.025])
    (axes, *_) = print_charts([line_chart([series], "A", signed=True)]).axes
    axes.set_yticks([-0.075, 0.0, 0.025])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["−0.075", "+0", "+0.025"]
