"""From the results of a grid to what its page shows, and to figures for print."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._files import write_atomically
from .._versions import versions
from ..errors import UsageError
from .comparison import Band, Compared, ComparedGroup, ComparisonData, Matrix

if TYPE_CHECKING:
    from ..experiments import Results
    from ..experiments.statistics import RoundComparison
    from ..experiments.summary import Group, Row, Summary

__all__ = ["check_figure", "comparison_of", "write_figure"]

SIGNIFICANT = 0.05

SUFFIXES = (".pdf", ".svg", ".png")

COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#56b4e9", "#e69f00", "#5b5b5b",
)  # fmt: skip
"""Okabe and Ito's colours, which can be told apart by the colour-blind."""

DASHES = ("-", (0, (5, 2)), (0, (1.2, 1.6)))


def comparison_of(
    results: Results, summary: Summary | None = None, *, command: str | None = None
) -> ComparisonData:
    """Return what the page of a comparison shows.

    Parameters
    ----------
    results
        Of a grid.
    summary
        Its statistics; by default those with the target 0.95.
    command
        What was typed.
    """
    summary = results.summary() if summary is None else summary
    groups = tuple(_group(group, summary.share) for group in summary.groups)
    result, comparison = _headline(summary)
    names = dict.fromkeys(group.rows[0].setting.dataset for group in summary.groups)
    return ComparisonData(
        title=", ".join(names) or "nothing was judged",
        result=result,
        comparison=comparison,
        facts=_facts(results, summary),
        groups=groups,
        matrices=tuple(
            Matrix(
                title=", ".join(key),
                names=found.strategies,
                wins=tuple(map(tuple, found.wins.tolist())),
                ties=tuple(map(tuple, found.ties.tolist())),
                untested=tuple(map(tuple, found.untested.tolist())),
                ranks=tuple("–" if math.isnan(r) else f"{r:.1f}" for r in found.ranks.tolist()),
                datasets=found.n_ranked,
            )
            for key, found in summary.matrices.items()
        ),
        command=command,
        failures=tuple(str(failure) for failure in results.failures),
    )


def _facts(results: Results, summary: Summary) -> tuple[tuple[str, str], ...]:
    known = versions()
    told = ("embedpipe", "numpy", "scikit-learn", "faiss-cpu")
    seeds = sorted(set(results.table.column("seed").to_pylist()))
    return (
        ("runs", f"{len(set(results.table.column('run_id').to_pylist())):,}"),
        ("seeds", _ranges(seeds)),
        ("settings", f"{len(summary.rows):,}"),
        *((name, known[name]) for name in told if name in known),
    )


def _ranges(numbers: list[int]) -> str:
    """Return numbers as one would say them.

    >>> _ranges([0, 1, 2, 3, 7])
    '0–3, 7'
    """
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][-1] == number - 1:
            parts[-1] = [parts[-1][0], number]
        else:
            parts.append([number])
    return ", ".join("–".join(map(str, part)) for part in parts)


def _headline(summary: Summary) -> tuple[str, str]:
    from ..experiments.text import told_outcome

    if not summary.groups:
        return "No accuracy to compare", "There are no held-out labels to measure it with."
    if len(summary.groups) > 1:
        return _headline_of_several(summary)
    group = summary.groups[0]
    compared = [row for row in group.rows if row.comparison is not None]
    best, *others = compared or group.rows  # largest area first
    budgets = group.curves[best.setting].budgets
    over = f"over {budgets[0]:,.0f} to {budgets[-1]:,.0f} labels"
    result = f"{best.setting.chosen_by}: {best.aubc.estimate:.3f} mean accuracy {over}"
    afterwards = ""
    if others:
        result += f", the highest of {len(compared)} in this study"
        afterwards = "It was chosen after the fact. "
    found, against = best.comparison, best.against
    if found is None or against is None or math.isnan(found.difference):
        return result, afterwards.strip()
    other = next(row for row in group.rows if row.setting == against)
    lead = f"{against.chosen_by[:1].upper()}{against.chosen_by[1:]} reaches"
    return result, f"{afterwards}{lead} {other.aubc.estimate:.3f}; {told_outcome(found)}."


def _headline_of_several(summary: Summary) -> tuple[str, str]:
    names = {row.setting.chosen_by for row in summary.rows}
    firsts = [group.rows[0] for group in summary.groups]
    chosen = [row.setting.chosen_by for row in firsts]
    best = max(dict.fromkeys(chosen), key=chosen.count)
    found = [row.comparison for row in firsts if row.setting.chosen_by == best]
    ahead = sum(each is not None and each.significant(SIGNIFICANT) for each in found)
    return (
        f"{len(names)} strategies in {len(summary.groups)} settings",
        f"The largest area most often: {best}, in {len(found)} of {len(firsts)}. It was chosen "
        f"after the fact; in {ahead} of these {len(found)} the difference from the baseline is "
        "more than chance.",
    )


def _group(group: Group, share: float | None) -> ComparedGroup:
    from ..experiments.text import told_range

    curves = group.curves
    budgets = curves[group.rows[0].setting].budgets
    facts = [
        ("seeds", f"{max(row.seeds for row in group.rows)}"),
        ("labels", f"{budgets[0]:,.0f} to {budgets[-1]:,.0f}"),
    ]
    if group.floor is not None:
        facts.append(("random, the floor", f"{group.floor:.3f} area"))
    if group.bound is not None:
        facts.append(("with all labels, the bound", f"{group.bound:.3f}"))
    if group.target is not None:
        what = "target" if share is None else f"target, {100 * share:g} % of the bound"
        facts.append((what, f"{group.target:.3f}"))
    if group.left_out is not None:
        facts.append(("copies of test images left out", told_range(group.left_out)))
    return ComparedGroup(
        title=group.title,
        facts=tuple(facts),
        budgets=group.budgets,
        rows=tuple(_row(row, group) for row in group.rows),
        accuracies=tuple(_accuracies(row, group) for row in group.rows),
        differences=tuple(_differences(row, group) for row in group.rows),
        bound=group.bound,
    )


def _row(row: Row, group: Group) -> Compared:
    from ..experiments.text import (
        told_comparison,
        told_gap,
        told_interval,
        told_labels,
        told_runs,
        told_test,
    )

    found, rounds = row.comparison, row.rounds
    verdict = ""
    if found is not None and found.significant(SIGNIFICANT):
        verdict = "better" if found.difference > 0 else "worse"
    return Compared(
        name=row.setting.chosen_by,
        runs=told_runs(row.distinct_runs, row.seeds),
        area=told_interval(row.aubc),
        accuracies=tuple(
            "–" if math.isnan(each.estimate) else f"{each.estimate:.3f}" for each in row.at.values()
        ),
        difference=told_comparison(found),
        verdict=verdict,
        p=told_test(found),
        gap=told_gap(row.gap_closed),
        labels=told_labels(row.labels, group.curves[row.setting].budgets[-1]),
        rounds=_rounds(rounds, tested=bool(verdict)),
        against="" if row.against is None else row.against.chosen_by,
        baseline=row.against is None,
    )


def _rounds(rounds: RoundComparison | None, *, tested: bool) -> str:
    """Return in how many rounds a strategy is above and below the baseline."""
    if rounds is None or not tested:
        return "–"
    return f"{int(rounds.above(SIGNIFICANT).sum())} / {int(rounds.below(SIGNIFICANT).sum())}"


def _accuracies(row: Row, group: Group) -> Band:
    band = group.band(row.setting)
    return Band(
        row.setting.chosen_by,
        group.curves[row.setting].budgets.tolist(),
        [each.estimate for each in band],
        [each.low for each in band],
        [each.high for each in band],
    )


def _differences(row: Row, group: Group) -> Band | None:
    rounds = row.rounds
    if rounds is None or row.against is None:
        return None
    marked = rounds.above(SIGNIFICANT) | rounds.below(SIGNIFICANT)
    return Band(
        f"{row.setting.chosen_by} against {row.against.chosen_by}",
        group.curves[row.setting].budgets.tolist(),
        rounds.difference.tolist(),
        rounds.low.tolist(),
        rounds.high.tolist(),
        marked.tolist(),
    )


def write_figure(results: Results, path: str | Path, *, measure: str = "accuracy") -> Path:
    """Draw the curves of a grid for print: means over the seeds with 95 % intervals.

    Parameters
    ----------
    results
        Of a grid.
    path
        A ``.pdf``, ``.svg`` or ``.png`` file; written whole or not at all.
    measure
        A column of `Results.table`: ``"accuracy"``, ``"macro_f1"``, ``"balanced_accuracy"``,
        ``"ece"`` or ``"cost"``.

    Returns
    -------
    Path
        The file; the same results give the same bytes with the same version of matplotlib.

    Raises
    ------
    UsageError
        If there is nothing to draw, no such measure, or the suffix is another one.
    """
    path = Path(path)
    check_figure(path)
    sink = io.BytesIO()
    _draw(results, measure, sink, path.suffix.lower()[1:])
    try:
        write_atomically(path, sink.getvalue())
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}.") from error
    return path


def check_figure(path: Path) -> None:
    """Refuse the name of a figure that cannot be drawn.

    Raises
    ------
    UsageError
        If the suffix is none of ``.pdf``, ``.svg`` and ``.png``.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"cannot draw {path}: its name must end in {', '.join(SUFFIXES)}.")


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


def _draw(results: Results, measure: str, sink: io.BytesIO, kind: str) -> None:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    from ..experiments.curves import curves_of, groups_of
    from ..experiments.summary import SHARE, bands

    if measure not in results.table.column_names:
        raise UsageError(f"the results have no measure {measure!r}.")
    groups = groups_of(curves_of(results.table, measure))
    if not groups:
        raise UsageError("there is nothing to draw: no run is finished.")
    names = list(dict.fromkeys(each.setting.chosen_by for group in groups for each in group))
    columns = min(len(groups), 3)
    rows = -(-len(groups) // columns)
    width = 3.6 * columns
    beside = max(1, int(width / (0.5 + 0.065 * max(map(len, names)))))  # names in a legend's line
    with rc_context(_STYLE):
        height = 2.6 * rows + 0.17 * -(-len(names) // beside)
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axis, group in zip(axes, groups, strict=False):
            for each in group:
                at = names.index(each.setting.chosen_by)
                look: dict[str, Any] = {
                    "color": COLOURS[at % len(COLOURS)],
                    "linestyle": DASHES[at // len(COLOURS) % len(DASHES)],
                }
                band = bands(each, None if measure == "cost" else SHARE)
                axis.fill_between(
                    each.budgets,
                    [point.low for point in band],
                    [point.high for point in band],
                    color=look["color"],
                    alpha=0.12,
                    linewidth=0,
                )
                middle = [point.estimate for point in band]
                axis.plot(each.budgets, middle, label=each.setting.chosen_by, **look)
            axis.set_title(group[0].setting.where.replace("; ", "\n"), fontsize=9)
            axis.set_xlabel("labelled items")
            axis.set_ylabel(measure.replace("_", " "))
        for axis in axes[len(groups) :]:
            axis.set_axis_off()
        handles = {
            label: handle
            for axis in axes
            for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
        }
        ordered = [handles[name] for name in names]
        figure.legend(ordered, names, loc="outside lower center", ncols=min(len(names), beside))
        metadata = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(kind)
        figure.savefig(sink, format=kind, dpi=300, metadata=metadata)
