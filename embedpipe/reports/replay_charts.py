"""Charts of a replay study: accuracies on each experience, and bars of metrics for all methods."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from .charts import NOT_SIGNIFICANT, Axis, BarChart, LineChart, Series, bar_chart, line_chart

if TYPE_CHECKING:
    from ..experiments.cells import ReplaySetting
    from ..experiments.replay_results import ReplayResults, ReplayRow
    from .replay_headline import ReplayMetric

__all__ = ["METRIC_BARS", "experience_chart", "metric_bars"]

METRIC_BARS = {
    "iid": {"forgetting": "forgetting_last", "transfer": "gem_fwt"},
    "streaming": {"transfer": "clear_forward"},
}
"""Metrics with a chart of their own beside the first metric, by protocol and kind of figure."""

TITLES = {
    "forgetting_last": "Forgetting",
    "gem_fwt": "Forward transfer",
    "clear_forward": "Accuracy on later experiences",
}

BEFORE = {
    "iid": "points left of the experience are before it was learned",
    "streaming": "before each experience was learned",
}


def experience_chart(
    setting: ReplaySetting,
    results: ReplayResults,
    names: Sequence[str],
    axis: Axis,
) -> LineChart | None:
    """Return the accuracy on each of T experiences along the stream; None for a joint fit.

    `names` are the T names in the legend. The lines are means over the seeds.
    """
    every = np.array([*results.matrices[setting].values()])  # (S, T, T)
    mean, low, high = every.mean(axis=0), every.min(axis=0), every.max(axis=0)  # (T, T) each
    if np.isfinite(mean).any(axis=1).sum() < 2:
        return None
    several = len(every) > 1
    series = []
    for number, name in enumerate(names):
        at = np.flatnonzero(np.isfinite(mean[:, number]))
        notes = [f"seeds {low[i, number]:.3f} to {high[i, number]:.3f}" for i in at if several]
        values = mean[at, number].tolist()
        series.append(Series(name, (at + 1.0).tolist(), values, notes=notes))
    protocol = results.protocols[setting.stream]
    note = f"accuracy on each experience, mean over the seeds; {BEFORE[protocol]}"
    return line_chart(series, setting.learned, note, axis=axis)


def metric_bars(
    rows: Sequence[ReplayRow], first: ReplayMetric, results: ReplayResults
) -> dict[str, BarChart]:
    """Return bars of differences in the first metric, of forgetting and transfer, by kind.

    `rows` are the rows of a group in their order on the page.
    """
    stream = rows[0].setting.stream
    wanted = METRIC_BARS[results.protocols[stream]]
    more = {row.setting: row for row in results.summary([*wanted.values()]).rows}
    charts = {"differences": _differences(rows, first)} | {
        kind: _means(name, rows, more) for kind, name in wanted.items()
    }
    return {kind: chart for kind, chart in charts.items() if chart is not None}


def _differences(rows: Sequence[ReplayRow], metric: ReplayMetric) -> BarChart | None:
    found = [(row.setting.learned, row.comparisons[metric.name]) for row in rows]
    known = [(name, each) for name, each in found if each and math.isfinite(each.difference)]
    bars = [(name, each.difference, each.low, each.high) for name, each in known]
    note = f"{metric.meaning.partition(':')[0]}; paired by seed, 95 % interval"
    chart = _bars(bars, "Difference from the baseline", note, "+.3f")
    hollow = tuple(not each.significant() for _, each in known)
    return chart and replace(chart, hollow=hollow, hollow_name=NOT_SIGNIFICANT)


def _means(
    name: str, rows: Sequence[ReplayRow], found: dict[ReplaySetting, ReplayRow]
) -> BarChart | None:
    from ..continual import METRICS

    means = [(row.setting.learned, found[row.setting].metrics[name]) for row in rows]
    bars = [(method, each.estimate, each.low, each.high) for method, each in means]
    note = f"{METRICS[name].partition(':')[0]}; mean over the seeds, 95 % interval"
    lower = "; lower is better" if name.startswith("forgetting") else ""
    return _bars(bars, TITLES[name], note + lower, ".3f")


def _bars(
    bars: Sequence[tuple[str, float, float, float]], title: str, note: str, number: str
) -> BarChart | None:
    """Return a chart of the methods with a value: their names, values and intervals."""
    known = [each for each in bars if math.isfinite(each[1])]
    if not known:
        return None
    names, values, low, high = zip(*known, strict=True)
    return bar_chart(names, values, title, note, low=low, high=high, number=number)
