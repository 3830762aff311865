"""The report of `compare`: its data and its page."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .pages import check_type, write_page
from .study_report import (
    SIGNIFICANT,
    StudyData,
    StudyGroup,
    StudyRow,
    difference_series,
    mean_series,
    ranges,
    version_facts,
)

if TYPE_CHECKING:
    from ..experiments import Results
    from ..experiments.statistics import RoundComparison
    from ..experiments.summary import Group, Row, Summary

__all__ = ["ComparisonData", "comparison_of", "write_comparison"]


@dataclass(frozen=True, kw_only=True)
class StrategyRow(StudyRow):
    """A strategy, with its numbers as text."""

    area: str
    accuracies: tuple[str, ...]
    difference: str
    verdict: str
    p: str
    gap: str
    labels: str
    rounds: str


@dataclass(frozen=True, kw_only=True)
class ComparisonGroup(StudyGroup):
    """The strategies of one dataset, backbone, head and mode, with accuracies at `budgets`."""

    budgets: tuple[int, ...]


@dataclass(frozen=True)
class Matrix:
    """Numbers of datasets for each pair of strategies: entry [i][j] is about i against j."""

    title: str  # head and mode
    names: tuple[str, ...]
    wins: tuple[tuple[int, ...], ...]  # i is significantly better than j
    ties: tuple[tuple[int, ...], ...]  # no significant difference
    untested: tuple[tuple[int, ...], ...]  # too few distinct runs
    ranks: tuple[str, ...]  # mean ranks
    datasets: int  # number of datasets with ranks


@dataclass(frozen=True)
class ComparisonData(StudyData):
    """The data of a comparison's page; `matrices` count the datasets that each strategy wins."""

    matrices: tuple[Matrix, ...] = ()


def comparison_of(
    results: Results, summary: Summary | None = None, *, command: str | None = None
) -> ComparisonData:
    """Return the data of a comparison's page; the default target is 95 % of the upper baseline."""
    from ..experiments import Results

    check_type(results, Results, "give the results of an experiment")
    summary = results.summary() if summary is None else summary
    groups = tuple(_group(group, summary.share) for group in summary.groups)
    result, comparison = _headline(summary)
    names = dict.fromkeys(group.rows[0].setting.dataset for group in summary.groups)
    return ComparisonData(
        title=", ".join(names) or "no accuracy",
        result=result,
        comparison=comparison,
        facts=(
            ("runs", f"{len(set(results.table.column('run_id').to_pylist())):,}"),
            ("seeds", ranges(sorted(set(results.table.column("seed").to_pylist())))),
            ("settings", f"{len(summary.rows):,}"),
            *version_facts("embedpipe", "numpy", "scikit-learn", "faiss-cpu"),
        ),
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
        source=results,
    )


def _headline(summary: Summary) -> tuple[str, str]:
    from ..experiments.formatting import format_outcome

    if not summary.groups:
        return "No accuracy to compare", "There are no labelled test images."
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
        result += f", the highest of {len(compared)} compared strategies"
        afterwards = "It was selected after the results were known, which favours it. "
    found, against = best.comparison, best.against
    if found is None or against is None or math.isnan(found.difference):
        return result, afterwards.strip()
    other = next(row for row in group.rows if row.setting == against)
    lead = f"{against.chosen_by[:1].upper()}{against.chosen_by[1:]} reaches"
    return result, f"{afterwards}{lead} {other.aubc.estimate:.3f}; {format_outcome(found)}."


def _headline_of_several(summary: Summary) -> tuple[str, str]:
    names = {row.setting.chosen_by for row in summary.rows}
    firsts = [group.rows[0] for group in summary.groups]
    chosen = [row.setting.chosen_by for row in firsts]
    best = max(dict.fromkeys(chosen), key=chosen.count)
    found = [row.comparison for row in firsts if row.setting.chosen_by == best]
    ahead = sum(each is not None and each.significant(SIGNIFICANT) for each in found)
    return (
        f"{len(names)} strategies in {len(summary.groups)} settings",
        f"{best} has the largest area most often, in {len(found)} of {len(firsts)} settings. It "
        f"was selected after the results were known, which favours it. In {ahead} of these "
        f"{len(found)} settings, the difference from the baseline is significant.",
    )


def _group(group: Group, share: float | None) -> ComparisonGroup:
    from ..experiments.formatting import format_range

    curves = group.curves
    budgets = curves[group.rows[0].setting].budgets
    facts = [
        ("seeds", f"{max(row.seeds for row in group.rows)}"),
        ("labels", f"{budgets[0]:,.0f} to {budgets[-1]:,.0f}"),
    ]
    if group.lower_baseline is not None:
        facts.append(("lower baseline (random)", f"{group.lower_baseline:.3f} area"))
    if group.upper_baseline is not None:
        facts.append(("upper baseline (all labels)", f"{group.upper_baseline:.3f}"))
    if group.target is not None:
        what = "target" if share is None else f"target, {100 * share:g} % of the upper baseline"
        facts.append((what, f"{group.target:.3f}"))
    if group.left_out is not None:
        facts.append(("copies of test images left out", format_range(group.left_out)))
    return ComparisonGroup(
        title=group.title,
        facts=tuple(facts),
        budgets=group.budgets,
        rows=tuple(_row(row, group) for row in group.rows),
        curves=tuple(
            mean_series(row.setting.chosen_by, _budgets(row, group), group.band(row.setting))
            for row in group.rows
        ),
        differences=tuple(
            None
            if row.rounds is None or row.against is None
            else difference_series(
                row.setting.chosen_by,
                row.against.chosen_by,
                _budgets(row, group),
                row.rounds,
            )
            for row in group.rows
        ),
        upper_baseline=group.upper_baseline,
    )


def _budgets(row: Row, group: Group) -> list[float]:
    budgets: list[float] = group.curves[row.setting].budgets.tolist()
    return budgets


def _row(row: Row, group: Group) -> StrategyRow:
    from ..experiments.formatting import (
        format_comparison,
        format_gap,
        format_interval,
        format_labels,
        format_runs,
        format_test,
    )

    comparison, rounds = row.comparison, row.rounds
    verdict = ""
    if comparison is not None and comparison.significant(SIGNIFICANT):
        verdict = "better" if comparison.difference > 0 else "worse"
    return StrategyRow(
        name=row.setting.chosen_by,
        runs=format_runs(row.distinct_runs, row.seeds),
        area=format_interval(row.aubc),
        accuracies=tuple(
            "–" if math.isnan(each.estimate) else f"{each.estimate:.3f}" for each in row.at.values()
        ),
        difference=format_comparison(comparison),
        verdict=verdict,
        p=format_test(comparison),
        gap=format_gap(row.gap_closed),
        labels=format_labels(row.labels, group.curves[row.setting].budgets[-1]),
        rounds=_rounds(rounds, tested=bool(verdict)),
        against="" if row.against is None else row.against.chosen_by,
        baseline=row.against is None,
    )


def _rounds(rounds: RoundComparison | None, *, tested: bool) -> str:
    """Return the numbers of rounds significantly above and below the baseline."""
    if rounds is None or not tested:
        return "–"
    return f"{int(rounds.above(SIGNIFICANT).sum())} / {int(rounds.below(SIGNIFICANT).sum())}"


def write_comparison(path: str | Path, data: ComparisonData) -> Path:
    """Write the page of a comparison, whole or not at all; `data` is from `comparison_of`.

    Examples
    --------
    >>> data = ComparisonData("digits", "margin: 0.913 mean accuracy", "", (), ())
    >>> "0.913 mean accuracy" in write_comparison(tmp / "report.html", data).read_text()
    True
    """
    check_type(data, ComparisonData, "give the result of `comparison_of`")
    return write_page(
        path, "comparison.html.j2", data, data.result, data.comparison, failures=data.failures
    )
