"""Figures for print: the curves of experiments and replay studies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import UnknownNameError, UsageError
from .charts import LABELS, Chart, Series, line_chart
from .comparison_charts import differences_chart, labels_chart, wins_chart
from .pages import check_type
from .palettes import Palette, colours_of
from .printed import WIDTHS, write_charts
from .replay_report import EXPERIENCES, ReplayData, ReplayGroup
from .study_report import SIGNIFICANT, difference_series, mean_series

if TYPE_CHECKING:
    from ..experiments import Results, Summary
    from ..experiments.summary import Group, Row

__all__ = [
    "KINDS",
    "REPLAY_KINDS",
    "check_figure",
    "comparison_figures",
    "figure_y_label",
    "replay_figures",
    "write_figure",
    "write_replay_figure",
]

SUFFIXES = (".pdf", ".svg", ".png")

KINDS = {
    "curves": "no run is finished.",
    "rounds": "no strategy was compared with the baseline.",
    "differences": "no strategy was compared with the baseline.",
    "labels": "there is no target, because the accuracy with all labels is unknown.",
    "wins": "wins are counted over two or more datasets.",
}
"""The kinds of figures of a comparison, and why there may be nothing to draw."""


REPLAY_KINDS = {
    "curves": "no run is finished.",
    "rounds": "no policy was compared with the baseline.",
    "differences": "no policy was compared with the baseline.",
    "forgetting": "it is not defined for this protocol.",
    "transfer": "it is not defined for this protocol.",
    "matrix": "no run is finished.",
    "experiences": "a joint fit has one state only.",
}
"""The kinds of figures of a replay study, and why there may be nothing to draw."""


def write_figure(
    results: Results,
    path: str | Path,
    *,
    kind: str = "curves",
    measure: str = "accuracy",
    width: str = "double",
    palette: Palette = None,
    summary: Summary | None = None,
) -> Path:
    """Draw the results of an experiment for print.

    PDF and SVG files contain vector graphics. PDF files contain their fonts as type 42, so that
    text can be searched and edited. Lines differ in colour, dashes and marks, also in grey.

    Parameters
    ----------
    results
        Results of an experiment.
    path
        A ``.pdf``, ``.svg`` or ``.png`` file; written whole or not at all. Equal results give equal
        bytes with the same version of matplotlib.
    kind
        - ``"curves"``: means over the seeds with 95 % intervals. Filled marks are rounds that
          differ significantly from the baseline.
        - ``"rounds"``: paired differences from the baseline in each round.
        - ``"differences"``: paired differences of the area under the budget curve, with p-values.
        - ``"labels"``: median number of labels to the target.
        - ``"wins"``: for each pair of strategies, the datasets with a significant win, without a
          significant difference, and with a significant loss.
    measure
        A column of `Results.table` for curves: ``"accuracy"``, ``"macro_f1"``,
        ``"balanced_accuracy"``, ``"ece"`` or ``"cost"``.
    width
        ``"single"`` (3.3 inches) or ``"double"`` (6.9 inches), the columns of a journal.
    palette
        Colours of the strategies: a dictionary from names to colours, a list of colours, or the
        name of a palette of plotly such as ``"Set2"``. By default the colours are distinct for the
        colour-blind.
    summary
        Statistics with another target, from `Results.summary`.

    Raises
    ------
    UsageError
        If there is nothing to draw, or the kind, width, palette or measure is unknown.
    """
    check_figure(path, kind, width)
    charts = comparison_figures(results, kind, measure, palette, summary)
    return write_charts(Path(path), charts, figure_y_label(kind, measure), width=width)


def comparison_figures(
    results: Results, kind: str, measure: str, palette: Palette, summary: Summary | None = None
) -> list[Chart]:
    """Return the charts of `write_figure`, at least one."""
    from ..experiments import Results

    check_type(results, Results, "give the results of an experiment")
    _check_kind(kind, KINDS)
    if measure not in results.table.column_names:
        raise UsageError(f"the results have no measure {measure!r}.")
    if kind != "curves" and measure != "accuracy":
        raise UsageError(f"figures of the kind {kind!r} are about accuracy, not {measure!r}.")
    if not results.table.num_rows:
        raise UsageError(f"there is nothing to draw: {KINDS['curves']}")
    drawn: list[Chart | None]
    if kind == "curves" and measure != "accuracy":
        drawn = [*_other_curves(results, measure, palette)]
    else:
        summary = results.summary() if summary is None else summary
        drawn = [*_charts(summary, kind, palette)]
    charts = [chart for chart in drawn if chart is not None]
    if not charts:
        raise UsageError(f"there is nothing to draw: {KINDS[kind]}")
    return charts


def figure_y_label(kind: str, measure: str = "accuracy") -> str:
    """Return the title of the vertical axis of lines."""
    return "difference from the baseline" if kind == "rounds" else measure.replace("_", " ")


def _charts(summary: Summary, kind: str, palette: Palette) -> list[Chart | None]:
    """Return the charts of a kind, one for each group, or for each matrix."""
    if kind == "wins":
        return [
            wins_chart(f"{', '.join(key)}: wins–ties–losses", each)
            for key, each in summary.matrices.items()
        ]
    names = dict.fromkeys(each.chosen_by for group in summary.groups for each in group.curves)
    places = {name: at for at, name in enumerate(names)}
    colours = colours_of(palette, list(names))
    charts: list[Chart | None] = []
    for group in summary.groups:
        if kind in ("curves", "rounds"):
            charts.append(_lines(group, kind, places, colours))
        else:
            draw = labels_chart if kind == "labels" else differences_chart
            bars = draw(group, places, colours)
            charts.append(bars and replace(bars, title=f"{_title(group)}\n{bars.title}"))
    return charts


def _title(group: Group) -> str:
    return group.title.replace("; ", "\n")


def _lines(
    group: Group, kind: str, places: Mapping[str, int], colours: Mapping[str, str]
) -> Chart | None:
    """Return the curves of a group, or the differences from the baseline in each round."""
    series: list[Series | None] = [None] * len(places)
    rows = group.rows if group.ceiling is None else (*group.rows, group.ceiling)
    for row in rows:
        name = row.setting.chosen_by
        made = _curve(row, group) if kind == "curves" else _difference(row, group)
        series[places[name]] = made and replace(made, colour=colours.get(name, ""))
    upper = group.upper_baseline if kind == "curves" else None
    return line_chart(
        series, _title(group), axis=LABELS, upper_baseline=upper, signed=kind == "rounds"
    )


def _curve(row: Row, group: Group) -> Series:
    budgets = group.curves[row.setting].budgets.tolist()
    curve = mean_series(row.setting.chosen_by, budgets, group.band(row.setting))
    if row.rounds is None:
        return curve
    significant = row.rounds.above(SIGNIFICANT) | row.rounds.below(SIGNIFICANT)
    return replace(curve, significant=np.asarray(significant).tolist())


def _difference(row: Row, group: Group) -> Series | None:
    if row.rounds is None or row.against is None:
        return None
    budgets = group.curves[row.setting].budgets.tolist()
    made = difference_series(row.setting.chosen_by, row.against.chosen_by, budgets, row.rounds)
    alone = len({each.against for each in group.rows} - {None}) == 1
    return replace(made, name=row.setting.chosen_by) if alone else made


def _other_curves(results: Results, measure: str, palette: Palette) -> list[Chart | None]:
    """Return the curves of a measure without tests."""
    from ..experiments.curves import curves_of, groups_of
    from ..experiments.summary import SHARE, bands

    within = None if measure == "cost" else SHARE
    curves = curves_of(results.table, measure)
    colours = colours_of(palette, list(dict.fromkeys(each.setting.chosen_by for each in curves)))
    return [
        line_chart(
            [
                replace(
                    mean_series(each.setting.chosen_by, each.budgets.tolist(), bands(each, within)),
                    colour=colours.get(each.setting.chosen_by, ""),
                )
                for each in group
            ],
            group[0].setting.where.replace("; ", "\n"),
            axis=LABELS,
        )
        for group in groups_of(curves)
    ]


def write_replay_figure(
    path: str | Path,
    data: ReplayData,
    *,
    kind: str = "curves",
    method: str | None = None,
    width: str = "double",
    palette: Palette = None,
) -> Path:
    """Draw the results of a replay study for print, like `write_figure`.

    Parameters
    ----------
    path, width, palette
        See `write_figure`.
    data
        The result of `replay_of`.
    kind
        - ``"curves"``: the accuracy after each experience, with 95 % intervals over the seeds.
        - ``"rounds"``: paired differences of these curves from the baseline.
        - ``"differences"``: paired differences in the first metric.
        - ``"forgetting"``, ``"transfer"``: means of forgetting and forward transfer.
        - ``"matrix"``: the mean accuracy matrix of a method.
        - ``"experiences"``: the accuracy of a method on each experience.
    method
        Name in the table of the report, such as ``"random, 5 %"``, for the last two kinds; by
        default the best policy.
    """
    check_figure(path, kind, width, REPLAY_KINDS)
    charts = replay_figures(data, kind, method, palette)
    return write_charts(Path(path), charts, figure_y_label(kind), width=width)


def replay_figures(
    data: ReplayData, kind: str, method: str | None = None, palette: Palette = None
) -> list[Chart]:
    """Return the charts of `write_replay_figure`, one for each group and at least one."""
    check_type(data, ReplayData, "give the result of `replay_of`")
    _check_kind(kind, REPLAY_KINDS)
    names = list(dict.fromkeys(row.name for group in data.groups for row in group.rows))
    if method is not None and method not in names:
        raise UnknownNameError("method", method, names)
    colours = colours_of(palette, names)
    charts = [_replay_chart(group, kind, method, colours) for group in data.groups]
    found = [chart for chart in charts if chart is not None]
    if not found:
        raise UsageError(f"there is nothing to draw: {REPLAY_KINDS[kind]}")
    return found


def _replay_chart(
    group: ReplayGroup, kind: str, method: str | None, colours: Mapping[str, str]
) -> Chart | None:
    if kind in ("matrix", "experiences"):
        at = [row.name for row in group.rows].index(method) if method else 0
        heat, lines, _ = group.heat_maps[at]
        chart: Chart | None = heat if kind == "matrix" else lines
        return chart and replace(chart, title=f"{group.title}\n{chart.title}")  # type: ignore[type-var]
    if kind in ("curves", "rounds"):
        series: list[Series | None] = [None] * (1 + max(row.place for row in group.rows))
        given = group.curves if kind == "curves" else group.differences
        for row, each in zip(group.rows, given, strict=True):
            series[row.place] = each and replace(each, colour=colours.get(row.name, ""))
        axis = replace(EXPERIENCES, upper_baseline="joint")
        upper = group.upper_baseline if kind == "curves" else None
        return line_chart(
            series, group.title, axis=axis, upper_baseline=upper, signed=kind == "rounds"
        )
    bars = group.bar_charts.get(kind)
    if bars is None:
        return None
    own = [colours.get(name, "") for name in bars.names]
    return replace(bars, colours=tuple(own), title=f"{group.title}\n{bars.title}")


def _check_kind(kind: str, kinds: Mapping[str, str]) -> None:
    if kind not in kinds:
        raise UnknownNameError("kind of figure", kind, kinds)


def check_figure(
    path: str | Path,
    kind: str = "curves",
    width: str = "double",
    kinds: Mapping[str, str] = KINDS,
) -> None:
    """Check the suffix, the kind and the width of a figure."""
    if Path(path).suffix.lower() not in SUFFIXES:
        suffixes = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
        raise UsageError(f"cannot draw {path}: its name must end in {suffixes}.")
    _check_kind(kind, kinds)
    if width not in WIDTHS:
        raise UnknownNameError("width", width, WIDTHS)
