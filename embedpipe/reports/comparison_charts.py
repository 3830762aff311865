"""Charts of a comparison besides its curves: differences, labels to the target, wins."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .charts import NOT_SIGNIFICANT, BarChart, HeatMap, bar_chart, heat_map

if TYPE_CHECKING:
    from ..experiments.statistics import Comparison, WinsTiesLosses
    from ..experiments.summary import Group, Row

__all__ = ["differences_chart", "labels_chart", "wins_chart"]

NAN = float("nan")

NO_COLOURS: Mapping[str, str] = {}


def differences_chart(
    group: Group, lines: Mapping[str, int], colours: Mapping[str, str] = NO_COLOURS
) -> BarChart | None:
    """Return the paired differences of the areas from the baseline.

    `lines` has the number of the line of each strategy, and `colours` the colours of some. The
    chart is None without a comparison.
    """
    rows = [
        row
        for row in group.rows
        if row.comparison is not None and math.isfinite(row.comparison.difference)
    ]
    found = [row.comparison for row in rows if row.comparison is not None]
    baselines = dict.fromkeys(row.against.chosen_by for row in rows if row.against is not None)
    against = next(iter(baselines)) if len(baselines) == 1 else "the baseline"
    return bar_chart(
        [row.setting.chosen_by for row in rows],
        [each.difference for each in found],
        f"Mean accuracy against {against}",
        "difference of the area under the budget curve, paired by seed, 95 % interval; p-values "
        "with Holm's correction",
        low=[each.low for each in found],
        high=[each.high for each in found],
        unit="difference in mean accuracy",
        number="+.3f",
        texts=[f"{each.difference:+.3f}, {_test(each)}" for each in found],
        hollow=[not each.significant() for each in found],
        hollow_name=NOT_SIGNIFICANT,
        **_looks(rows, lines, colours),
    )


def _test(comparison: Comparison) -> str:
    from ..experiments.formatting import format_test

    if comparison.reason is not None:
        return "not tested"  # the reason is in the table
    text = format_test(comparison)
    return f"p < {text[1:]}" if text.startswith("<") else f"p = {text}"


def labels_chart(
    group: Group, lines: Mapping[str, int], colours: Mapping[str, str] = NO_COLOURS
) -> BarChart | None:
    """Return the median number of labels to the target, with the arguments of `differences_chart`.

    The bar of a strategy whose median is above the last number of labels ends there, without fill.
    The chart is None without a target.
    """
    from ..experiments.formatting import format_labels

    rows = [row for row in group.rows if row.labels is not None]
    found = [row.labels for row in rows if row.labels is not None]
    last = [group.curves[row.setting].budgets[-1] for row in rows]
    return bar_chart(
        [row.setting.chosen_by for row in rows],
        [
            float(end) if each.median is None else each.median
            for each, end in zip(found, last, strict=True)
        ],
        "Labels to the target" if group.target is None else f"Labels to {group.target:.3f}",
        "median over the seeds by Kaplan and Meier, 95 % interval where both ends are known; in "
        "brackets: seeds that reached the target, if not all",
        low=[NAN if each.low is None else each.low for each in found],
        high=[NAN if each.high is None else each.high for each in found],
        unit="labels",
        texts=[format_labels(each, end) for each, end in zip(found, last, strict=True)],
        hollow=[each.median is None for each in found],
        hollow_name="target not reached by half of the seeds",
        **_looks(rows, lines, colours),
    )


def _looks(rows: list[Row], lines: Mapping[str, int], colours: Mapping[str, str]) -> dict[str, Any]:
    names = [row.setting.chosen_by for row in rows]
    return {
        "lines": [lines[name] for name in names],
        "colours": [colours.get(name, "") for name in names],
    }


def wins_chart(title: str, found: WinsTiesLosses) -> HeatMap:
    """Return the numbers of datasets where the row is significantly better than the column.

    The texts have wins, ties and losses. Datasets without a test count as none of them.
    """
    size = range(len(found.strategies))
    datasets = (found.wins + found.ties + found.losses + found.untested).max()
    return heat_map(
        title,
        [[NAN if i == j else float(found.wins[i, j]) for j in size] for i in size],
        found.strategies,
        found.ranks.tolist(),
        scale=(0.0, float(max(datasets, 1))),
        total="mean rank",
        texts=[
            [
                "·" if i == j else f"{found.wins[i, j]}–{found.ties[i, j]}–{found.losses[i, j]}"
                for j in size
            ]
            for i in size
        ],
    )
