"""Figures for print by matplotlib: the curves of experiments and replay studies."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._files import write_atomically
from ..errors import UsageError
from .charts import Series
from .pages import check_type
from .replay_report import EXPERIENCES, ReplayData
from .study_report import mean_series

if TYPE_CHECKING:
    from ..experiments import Results

__all__ = ["check_figure", "write_figure", "write_replay_figure"]

SUFFIXES = (".pdf", ".svg", ".png")

COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#56b4e9", "#e69f00", "#5b5b5b",
)  # fmt: skip
"""The colour-blind safe colours of Okabe and Ito."""

DASHES = ("-", (0, (5, 2)), (0, (1.2, 1.6)))

_STYLE: dict[Any, Any] = {
    "font.family": "serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "grid.linewidth": 0.4,
    "grid.alpha": 0.5,
    "lines.linewidth": 1.2,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "pdf.fonttype": 42,  # text stays text
    "svg.hashsalt": "embedpipe",
}


@dataclass(frozen=True)
class _Panel:
    """Curves with shared axes; `upper_baseline` has the name and value of a horizontal line."""

    title: str
    curves: tuple[Series, ...]
    x_label: str
    y_label: str
    upper_baseline: tuple[str, float] | None = None


def write_figure(results: Results, path: str | Path, *, measure: str = "accuracy") -> Path:
    """Draw the curves of an experiment: means over the seeds with 95 % intervals.

    Parameters
    ----------
    results
        Results of an experiment.
    path
        A ``.pdf``, ``.svg`` or ``.png`` file; written whole or not at all. Equal results give equal
        bytes with the same version of matplotlib.
    measure
        A column of `Results.table`: ``"accuracy"``, ``"macro_f1"``, ``"balanced_accuracy"``,
        ``"ece"`` or ``"cost"``.
    """
    from ..experiments import Results
    from ..experiments.curves import curves_of, groups_of
    from ..experiments.summary import SHARE, bands

    check_type(results, Results, "give the results of an experiment")
    check_figure(path)
    if measure not in results.table.column_names:
        raise UsageError(f"the results have no measure {measure!r}.")
    within = None if measure == "cost" else SHARE
    panels = [
        _Panel(
            group[0].setting.where.replace("; ", "\n"),
            tuple(
                mean_series(each.setting.chosen_by, each.budgets.tolist(), bands(each, within))
                for each in group
            ),
            "labels",
            measure.replace("_", " "),
        )
        for group in groups_of(curves_of(results.table, measure))
    ]
    return _write(Path(path), panels)


def write_replay_figure(path: str | Path, data: ReplayData) -> Path:
    """Draw the accuracy after each experience, like `write_figure`; `data` is from `replay_of`."""
    check_type(data, ReplayData, "give the result of `replay_of`")
    check_figure(path)
    panels = [
        _Panel(
            group.title,
            tuple(curve for curve in group.curves if curve is not None),
            EXPERIENCES.name,
            "accuracy",
            None if group.upper_baseline is None else ("joint", group.upper_baseline),
        )
        for group in data.groups
    ]
    return _write(Path(path), panels)


def check_figure(path: str | Path) -> None:
    """Check the suffix of a figure, and check that matplotlib is installed."""
    if Path(path).suffix.lower() not in SUFFIXES:
        suffixes = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
        raise UsageError(f"cannot draw {path}: its name must end in {suffixes}.")
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError("matplotlib is not installed: `pip install 'embedpipe[figures]'`.")


def _write(path: Path, panels: Sequence[_Panel]) -> Path:
    if not panels:
        raise UsageError("there is no curve to draw: no run is finished.")
    sink = io.BytesIO()
    _draw(panels, sink, path.suffix.lower()[1:])
    try:
        write_atomically(path, sink.getvalue())
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}.") from error
    return path


def _draw(panels: Sequence[_Panel], sink: io.BytesIO, kind: str) -> None:
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    names = list(dict.fromkeys(curve.name for panel in panels for curve in panel.curves))
    names += dict.fromkeys(panel.upper_baseline[0] for panel in panels if panel.upper_baseline)
    columns = min(len(panels), 3)
    rows = -(-len(panels) // columns)
    width = 3.6 * columns
    beside = max(1, int(width / (0.5 + 0.065 * max(map(len, names)))))  # names in one line
    handles: dict[str, Any] = {}
    with rc_context(_STYLE):
        height = 2.6 * rows + 0.17 * -(-len(names) // beside)
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axis, panel in zip(axes, panels, strict=False):
            for curve in panel.curves:
                at = names.index(curve.name)
                colour = COLOURS[at % len(COLOURS)]
                axis.fill_between(
                    curve.x, curve.low, curve.high, color=colour, alpha=0.12, linewidth=0
                )
                dashes = DASHES[at // len(COLOURS) % len(DASHES)]
                (handles[curve.name],) = axis.plot(
                    curve.x, curve.y, label=curve.name, color=colour, linestyle=dashes
                )
            if panel.upper_baseline is not None:
                name, value = panel.upper_baseline
                handles[name] = axis.axhline(
                    value, label=name, color="0.4", linestyle=":", linewidth=1.0
                )
            axis.set_title(panel.title, fontsize=9)
            axis.set_xlabel(panel.x_label)
            axis.set_ylabel(panel.y_label)
            if panel.x_label == EXPERIENCES.name:
                axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        for axis in axes[len(panels) :]:
            axis.set_axis_off()
        ordered = [handles[name] for name in names]
        figure.legend(ordered, names, loc="outside lower center", ncols=min(len(names), beside))
        metadata = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(kind)
        figure.savefig(sink, format=kind, dpi=300, metadata=metadata)
