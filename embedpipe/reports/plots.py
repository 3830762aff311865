"""Figures for notebooks: each function returns a figure of plotly, and can save it."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._loops.arrays import is_labelled
from ..errors import UnknownNameError, UsageError
from .chart_page import write_chart
from .charts import LABELS, Axis, Chart, LineChart, Series, line_chart
from .figures import SUFFIXES, comparison_figures, figure_y_label, replay_figures
from .interactive import figure_of
from .loop_page import write_report
from .loop_report import report_of
from .pages import check_type
from .palettes import Palette, colours_of
from .printed import write_charts
from .replay_report import replay_of
from .study_report import mean_series

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from ..active import ActiveLoop, RoundRecord
    from ..continual import ContinualLoop
    from ..experiments import ReplayResults, Results
    from ..experiments.curves import Curves

__all__ = [
    "plot_active_learning_results",
    "plot_active_learning_results_many",
    "plot_comparison",
    "plot_replay",
]

PERCENT = Axis(
    "labelled images (%)", "the share of images with a label", "with {:.1f} % of the labels"
)

AXES = {"labels": LABELS, "percent": PERCENT}
"""Horizontal axes of learning curves, by the names that users give."""

MEASURES = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "balanced_accuracy": "balanced accuracy",
    "ece": "calibration error",
    "expected_accuracy": "expected accuracy",
}
"""Measures of a round that can be drawn, all from 0 to 1."""

MOST_CLASSES = 5
"""Maximum number of classes of picks in a tooltip."""


def plot_active_learning_results(
    loop: ActiveLoop,
    *,
    dataset_name: str = "",
    title: str | None = None,
    metric: str = "accuracy",
    x: str = "labels",
    name: str | Path | None = None,
) -> Figure:
    """Draw the learning curve of a loop; the tooltip of a round has its measures and picks.

    Parameters
    ----------
    loop
        A loop with at least one round.
    dataset_name
        Name of the dataset in the title; by default the name of the problem.
    title
        Title in place of "Active learning: <dataset_name>".
    metric
        ``"accuracy"``, ``"macro_f1"``, ``"balanced_accuracy"`` or ``"ece"`` on the test images, or
        ``"expected_accuracy"`` on the images without a label.
    x
        Horizontal axis: ``"labels"``, the number of labels, or ``"percent"`` of the candidates.
    name
        File to save: ``"curve.html"``, ``"curve.pdf"``, ``"curve.svg"`` or ``"curve.png"``. A name
        without one of these suffixes saves an HTML and a PDF file. The HTML file is the report of
        the loop, see `write_report`: its rounds can be pinned, and show the picked images.

    Returns
    -------
    plotly.graph_objects.Figure
        The figure. Jupyter shows it if it is the last value of a cell. ``update_layout`` and
        ``update_traces`` change it, but not the saved files.

    Raises
    ------
    UsageError
        If the loop has no values of the metric, or a file cannot be written.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> import embedpipe as ep
    >>> X, y = load_digits(return_X_y=True)
    >>> loop = ep.ActiveLoop.from_arrays(X[:900], y[:900], X[900:], y[900:]).fit(rounds=2)
    >>> figure = ep.plot_active_learning_results(loop, dataset_name="digits")
    >>> figure.data[0].x
    (128, 256, 384)
    """
    _check_loops([loop])
    _check_choice("metric", metric, MEASURES)
    records = [record for record in loop.records if getattr(record, metric) is not None]
    series = Series(
        _names([loop])[0],
        [_place(loop, record, x) for record in records],
        [getattr(record, metric) for record in records],
        notes=[_note(record, metric) for record in records],
    )
    chart = _chart([series], _title(loop, dataset_name, title), metric, x)
    if name is not None:
        for path in _paths(name):
            if path.suffix.lower() == ".html":
                write_report(path, replace(report_of([loop]), title=chart.title))
            else:
                write_charts(path, [chart], MEASURES[metric])
    return _figure(chart, MEASURES[metric])


def plot_active_learning_results_many(
    *loops: ActiveLoop | Sequence[ActiveLoop],
    legend: Sequence[str] | None = None,
    dataset_name: str = "",
    title: str | None = None,
    name: str | Path | None = None,
    palette: Palette = None,
    metric: str = "accuracy",
    x: str = "labels",
) -> Figure:
    """Draw the learning curves of several loops, with 95 % intervals over the seeds.

    Loops with the same name are one curve: their mean in each round. The interval needs at least
    three distinct runs, as in `compare`. With fewer runs, the single runs are drawn behind it.

    Parameters
    ----------
    *loops
        Loops, or lists of loops that differ in their seed.
    legend
        A name for each loop or list; equal names are one curve. By default the strategies, with the
        head and the training mode if these differ.
    dataset_name, title, metric, x
        See `plot_active_learning_results`.
    name
        File to save, with the suffixes of `plot_active_learning_results`. The HTML file needs no
        other file and no network. It also has a table of the numbers.
    palette
        A palette of plotly such as ``"Set2"`` or ``"D3"``, a list of colours, or a dictionary from
        names in the legend to colours. The default is distinct for the colour-blind.

    Returns
    -------
    plotly.graph_objects.Figure
        The figure, see `plot_active_learning_results`.

    Raises
    ------
    UsageError
        If there is no loop with values of the metric, the legend does not fit the loops, a palette
        or colour is unknown, or a file cannot be written.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> import embedpipe as ep
    >>> X, y = load_digits(return_X_y=True)
    >>> loops = {
    ...     name: [
    ...         ep.ActiveLoop.from_arrays(
    ...             X[:900], y[:900], X[900:], y[900:], strategy=name, seed=seed
    ...         ).fit(rounds=2)
    ...         for seed in range(3)
    ...     ]
    ...     for name in ("margin", "random")
    ... }
    >>> figure = ep.plot_active_learning_results_many(
    ...     *loops.values(), legend=[*loops], dataset_name="digits", palette={"margin": "teal"}
    ... )
    >>> [trace.name for trace in figure.data if trace.showlegend]
    ['margin', 'random']
    """
    given = [[each] if not isinstance(each, Sequence) else list(each) for each in loops]
    _check_loops([loop for each in given for loop in each])
    _check_choice("metric", metric, MEASURES)
    entries = _entries(given, legend)
    colours = colours_of(palette, list(entries))
    series = [
        replace(_mean(entry, of_entry, metric, x), colour=colours.get(entry, ""))
        for entry, of_entry in entries.items()
    ]
    first = next(iter(entries.values()))[0]
    note = MEASURES[metric]
    if any(len(of_entry) > 1 for of_entry in entries.values()):
        note += "; mean over the runs, 95 % interval; no interval below three distinct runs"
    chart = _chart(series, _title(first, dataset_name, title), metric, x, note)
    return _save(chart, name, MEASURES[metric])


def plot_comparison(
    results: Results,
    *,
    kind: str = "curves",
    group: str | int | None = None,
    measure: str = "accuracy",
    title: str | None = None,
    name: str | Path | None = None,
    palette: Palette = None,
) -> Figure:
    """Draw the results of an experiment, with the numbers of its report.

    Parameters
    ----------
    results
        Results of an experiment.
    kind, measure
        ``"curves"``, ``"rounds"``, ``"differences"``, ``"labels"`` or ``"wins"``, and the measure
        of curves; see `write_figure`.
    group
        Title or position of the group: a dataset, backbone, head and mode. Required for results
        with several groups.
    title, name, palette
        See `plot_active_learning_results_many`; the title is that of the group by default.

    Returns
    -------
    plotly.graph_objects.Figure
        The figure, see `plot_active_learning_results`.

    Raises
    ------
    UsageError
        If there is nothing to draw, an argument is unknown, or a file cannot be written.
    """
    found = comparison_figures(results, kind, measure, palette)
    return _save(_titled(_of_group(found, group), title), name, figure_y_label(kind, measure))


def plot_replay(
    results: ReplayResults | ContinualLoop | Sequence[ContinualLoop],
    *,
    kind: str = "curves",
    method: str | None = None,
    group: str | int | None = None,
    title: str | None = None,
    name: str | Path | None = None,
    palette: Palette = None,
) -> Figure:
    """Draw the results of a replay study or of loops, with the numbers of a study's report.

    Parameters
    ----------
    results
        Results of a replay study, a finished `ContinualLoop`, or a list of such loops.
    kind, method
        ``"curves"``, ``"rounds"``, ``"differences"``, ``"forgetting"``, ``"transfer"``,
        ``"matrix"`` or ``"experiences"``, and the method of the last two; see
        `write_replay_figure`.
    group
        Title or position of the group: a stream and a head. Required for results with several
        groups.
    title, name, palette
        See `plot_active_learning_results_many`; the title is that of the group by default.

    Returns
    -------
    plotly.graph_objects.Figure
        The figure, see `plot_active_learning_results`.

    Raises
    ------
    UsageError
        If there is nothing to draw, an argument is unknown, or a file cannot be written.
    """
    found = replay_figures(replay_of(_replay_results(results)), kind, method, palette)
    return _save(_titled(_of_group(found, group), title), name, figure_y_label(kind))


def _replay_results(
    given: ReplayResults | ContinualLoop | Sequence[ContinualLoop],
) -> ReplayResults:
    """Return results; those of loops have one run for each loop."""
    from .._specs import format_spec
    from ..continual import ContinualLoop
    from ..experiments import ReplayResults
    from ..experiments.cells import ReplayCell, ReplaySetting
    from ..experiments.problems import Pools

    if isinstance(given, ReplayResults):
        return given
    loops = [given] if isinstance(given, ContinualLoop) else list(given)
    done, pools = [], {}
    for loop in loops:
        check_type(loop, ContinualLoop, "give the results of a replay study, or loops")
        options, stream = loop.options, loop.stream
        buffer = ("", "")
        if options.built_method.replays:
            buffer = (format_spec(options.built_policy), json.dumps(options.retain))
        head = format_spec(options.built_head)
        setting = ReplaySetting(stream.name, head, options.method_name, *buffer)
        records = [{**vars(r), "accuracies": r.accuracies.tolist()} for r in loop.records]
        if not records:
            raise UsageError("a loop has no experience: call `fit`, or iterate over `run`, first.")
        done.append((ReplayCell(setting, options.seed, loop.run_id), stream, records))
        size = (stream.n_learned, stream.n_learned)
        pools[stream.name] = Pools(1.0, size, size, are_equal=True)
    if not done:
        raise UsageError("there is no loop to draw: give at least one.")
    return ReplayResults.of(done, baseline="random", failures=(), folder=None, pools=pools)


def _of_group(charts: Sequence[Chart], group: str | int | None) -> Chart:
    """Return the chart of the group with this title or position."""
    titles = [chart.title.replace("\n", "; ") for chart in charts]
    if group is None and len(charts) > 1:
        raise UsageError(
            f"the results have {len(charts)} groups: give `group`, a position from 0 or one of "
            f"{', '.join(map(repr, titles))}."
        )
    known = {str(at): at for at in range(len(charts))}
    known |= {each: at for at, each in enumerate(titles)}
    for at, each in enumerate(titles):  # the title of the group, without that of the chart
        if str(group) and each.startswith(f"{group}; "):
            known.setdefault(str(group), at)
    _check_choice("group", str(group or 0), known)
    return charts[known[str(group or 0)]]


def _titled(chart: Chart, title: str | None) -> Chart:
    new = chart.title.replace("\n", "; ") if title is None else title
    return replace(chart, title=new)  # type: ignore[type-var]


def _save(chart: Chart, name: str | Path | None, y_label: str) -> Figure:
    """Write a chart to the files of `name`, and return its figure."""
    for path in () if name is None else _paths(name):
        if path.suffix.lower() == ".html":
            write_chart(path, chart)
        else:
            write_charts(path, [chart], y_label)
    return _figure(chart, y_label)


def _paths(name: str | Path) -> list[Path]:
    """Return the files of a name: without a known suffix, an HTML and a PDF file."""
    path = Path(name)
    if path.suffix.lower() in (".html", *SUFFIXES):
        return [path]
    return [path.with_name(path.name + suffix) for suffix in (".html", ".pdf")]


def _figure(chart: Chart, y_label: str) -> Figure:
    figure = figure_of(chart)
    if isinstance(chart, LineChart):
        figure.update_layout(yaxis_title_text=y_label)
    return figure


def _check_loops(loops: Sequence[Any]) -> None:
    from ..active import ActiveLoop

    for loop in loops:
        check_type(loop, ActiveLoop, "for the results of an experiment, use `plot_comparison`")
    if not loops:
        raise UsageError("there is no loop to draw: give at least one.")


def _check_choice(what: str, given: str, known: Collection[str]) -> None:
    if given not in known:
        raise UnknownNameError(what, str(given), known)


def _title(loop: ActiveLoop, dataset_name: str, title: str | None) -> str:
    return f"Active learning: {dataset_name or loop.problem.name}" if title is None else title


def _chart(series: Sequence[Series], title: str, metric: str, x: str, note: str = "") -> LineChart:
    chart = line_chart(series, title, note, axis=AXES[x])
    if chart is None:
        raise _nothing_to_draw(metric)
    return chart


def _nothing_to_draw(metric: str) -> UsageError:
    return UsageError(
        f"the loops have no {MEASURES[metric]}: run at least one round, and give test images for a "
        "measure on them."
    )


# One loop


def _place(loop: ActiveLoop, record: RoundRecord, x: str) -> float:
    """Return the position of a round on the horizontal axis."""
    _check_choice("x", x, AXES)
    if x == "labels":
        return record.labelled
    return 100.0 * record.labelled / len(loop.problem.candidates)


def _note(record: RoundRecord, metric: str) -> str:
    """Return the measures and the picks of a round, for its tooltip."""
    lines = [
        f"{text} {getattr(record, name):.3f}"
        for name, text in MEASURES.items()
        if name != metric and getattr(record, name) is not None
    ]
    labels = Counter(str(label) for label in record.labels[is_labelled(record.labels)].tolist())
    picks = [f"{count} × {label}" for label, count in labels.most_common(MOST_CLASSES)]
    if len(labels) > MOST_CLASSES:
        picks.append(f"{len(labels) - MOST_CLASSES} other classes")
    lines.append(f"round {record.round}, {record.strategy}: {', '.join(picks) or 'no labels'}")
    return "\n".join(lines)


# Several loops


def _entries(
    given: Sequence[Sequence[ActiveLoop]], legend: Sequence[str] | None
) -> dict[str, list[ActiveLoop]]:
    """Return the loops of each name in the legend."""
    if legend is None:
        loops = [loop for each in given for loop in each]
        names, groups = _names(loops), [[loop] for loop in loops]
    else:
        names, groups = [str(each) for each in legend], [list(each) for each in given]
    if isinstance(legend, str) or len(names) != len(groups):
        raise UsageError(
            f"legend has {len(names)} names for {len(groups)} loops: give a list of one name for "
            "each loop or list of loops."
        )
    entries: dict[str, list[ActiveLoop]] = {}
    for entry, loops in zip(names, groups, strict=True):
        entries.setdefault(entry, []).extend(loops)
    return entries


def _names(loops: Sequence[ActiveLoop]) -> list[str]:
    """Return the strategies of each loop, with the head and the mode if these differ."""
    options = [loop.options for loop in loops]
    parts = [
        [f"{each.initial}, then {each.strategy}" if each.initial != each.strategy else each.strategy
         for each in options],
        [str(each.head) for each in options],
        [str(each.mode) for each in options],
        [f"batches of {each.batch_size}" for each in options],
    ]  # fmt: skip
    shown = [part for at, part in enumerate(parts) if at == 0 or len(set(part)) > 1]
    return ["; ".join(map(str, each)) for each in zip(*shown, strict=True)]


def _mean(entry: str, loops: Sequence[ActiveLoop], metric: str, x: str) -> Series:
    """Return the mean of loops in each round with its interval, or the single runs."""
    from ..experiments.summary import SHARE, bands

    curves = _curves(loops, metric, x)
    mean = mean_series(entry, curves.budgets.tolist(), bands(curves, SHARE))
    if any(map(math.isfinite, mean.low)):
        return mean
    mean = replace(mean, low=(), high=())
    if len(loops) == 1:
        return mean
    runs = []
    for at, loop in enumerate(loops):
        labelled, values = curves.of_seed(at)
        name = f"{entry}, seed {loop.options.seed}"
        runs.append(Series(name, labelled.tolist(), values.tolist()))
    return replace(mean, runs=runs)


def _curves(loops: Sequence[ActiveLoop], metric: str, x: str) -> Curves:
    """Return the values of a metric in each round, as the results of an experiment have them."""
    import pyarrow as pa

    from ..experiments.curves import curves_of

    cell = dict.fromkeys(("dataset", "backbone", "initial", "strategy", "head", "mode"), "")
    measures = ("accuracy", "macro_f1", "balanced_accuracy", metric)
    rows = [
        {
            **cell,
            "seed": at,
            "round": record.round,
            "labelled": float(_place(loop, record, x)),
            **{each: getattr(record, each) for each in measures},
        }
        for at, loop in enumerate(loops)
        for record in loop.records
    ]
    if not rows:
        raise _nothing_to_draw(metric)
    (curves,) = curves_of(pa.Table.from_pylist(rows), metric)
    return curves
