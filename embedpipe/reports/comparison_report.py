"""The report of `compare`: its data and its page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from .charts import Series
from .comparison_charts import differences_chart, labels_chart
from .pages import check_type, write_page
from .palettes import Palette, colours_of
from .study_report import (
    SIGNIFICANT,
    StudyData,
    StudyGroup,
    StudyRow,
    difference_series,
    mean_series,
    paired_series,
    placed,
    places_of,
    ranges,
    run_series,
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
    expected: str
    rounds: str
    over_images: str  # interval of the difference over test images
    over_both: str  # interval of the difference over seeds and test images
    ceiling: bool = False  # whether it is the oracle ceiling, which is no strategy


@dataclass(frozen=True, kw_only=True)
class ComparisonGroup(StudyGroup):
    """The strategies of one dataset, backbone, head and mode, with accuracies at `budgets`."""

    budgets: tuple[int, ...]
    draws: str  # "pools" or "seeds"
    tested: int | None  # number of test images
    untested: str | None  # reason for missing intervals over test images


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
    places = places_of(each.chosen_by for group in summary.groups for each in group.curves)
    groups = placed((_group(each, summary.share, places) for each in summary.groups), places)
    result, comparison = summary.headline
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


def _group(group: Group, share: float | None, places: Mapping[str, int]) -> ComparisonGroup:
    from ..experiments.formatting import format_pools, format_range, format_target

    curves = group.curves
    shown = group.rows if group.ceiling is None else (*group.rows, group.ceiling)
    budgets = curves[group.rows[0].setting].budgets
    facts = [
        ("seeds", f"{max(row.seeds for row in group.rows)}"),
        ("labels", f"{budgets[0]:,.0f} to {budgets[-1]:,.0f}"),
    ]
    if group.pools is not None:
        facts.append(("pool", format_pools(group.pools)))
        if group.pools.target is not None:
            facts.append(("chosen for", format_target(group.pools.target)))
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
        draws=group.draws,
        tested=group.tested,
        untested=group.untested,
        rows=tuple(_row(row, group) for row in shown),
        curves=tuple(
            mean_series(
                row.setting.chosen_by,
                curves[row.setting].budgets.tolist(),
                group.band(row.setting),
                run_series(row.setting.chosen_by, curves[row.setting]),
            )
            for row in shown
        ),
        differences=tuple(_difference(row, group) for row in shown),
        upper_baseline=group.upper_baseline,
        bars=(differences_chart(group, places), labels_chart(group, places)),
    )


def _difference(row: Row, group: Group) -> Series | None:
    """Return the difference of a setting from its baseline in each round, and that of each seed."""
    if row.rounds is None or row.against is None:
        return None
    own, other = group.curves[row.setting], group.curves[row.against]
    names = row.setting.chosen_by, row.against.chosen_by
    runs = paired_series(*names, own, other)
    return difference_series(*names, own.budgets.tolist(), row.rounds, runs)


def _row(row: Row, group: Group) -> StrategyRow:
    from ..experiments.formatting import (
        format_comparison,
        format_ends,
        format_expected,
        format_gap,
        format_interval,
        format_labels,
        format_runs,
        format_test,
    )

    comparison, rounds, crossed = row.comparison, row.rounds, row.comparison_crossed
    verdict = {"above": "better", "below": "worse", "": ""}[row.verdict]
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
        expected=format_expected(row.expected),
        rounds=_rounds(rounds, tested=bool(verdict)),
        over_images=format_ends(None if crossed is None else crossed.over_items, signed=True),
        over_both=format_ends(None if crossed is None else crossed.over_both, signed=True),
        against="" if row.against is None else row.against.chosen_by,
        baseline=row.against is None and not row.setting.is_ceiling,
        ceiling=row.setting.is_ceiling,
    )


def _rounds(rounds: RoundComparison | None, *, tested: bool) -> str:
    """Return the numbers of rounds significantly above and below the baseline."""
    if rounds is None or not tested:
        return "–"
    return f"{int(rounds.above(SIGNIFICANT).sum())} / {int(rounds.below(SIGNIFICANT).sum())}"


def write_comparison(path: str | Path, data: ComparisonData, *, palette: Palette = None) -> Path:
    """Write the page of a comparison, whole or not at all; `data` is from `comparison_of`.

    Parameters
    ----------
    path
        File of the page.
    data
        Result of `comparison_of`.
    palette
        Colours of the strategies: a dictionary from names to colours, a list of colours, or the
        name of a palette of plotly such as ``"Set2"``. They are mixed with white where they would
        be too dark for the dark theme. The default is distinct for the colour-blind.

    Examples
    --------
    >>> data = ComparisonData("digits", "margin: 0.913 mean accuracy", "", (), ())
    >>> "0.913 mean accuracy" in write_comparison(tmp / "report.html", data).read_text()
    True
    """
    check_type(data, ComparisonData, "give the result of `comparison_of`")
    places = {row.name: row.place for group in data.groups for row in group.rows}
    colours = colours_of(palette, sorted(places, key=places.__getitem__))
    if colours:
        data = replace(data, groups=tuple(_coloured(each, colours) for each in data.groups))
    return write_page(
        path,
        "comparison.html.j2",
        data,
        data.result,
        data.comparison,
        failures=data.failures,
        palette=colours.values(),
    )


def _coloured(group: ComparisonGroup, colours: Mapping[str, str]) -> ComparisonGroup:
    """Return a group with the colours of its strategies."""
    found = [colours.get(row.name, "") for row in group.rows]

    def lines(series: Sequence[Series | None]) -> tuple[Series | None, ...]:
        return tuple(
            each and replace(each, colour=colour)
            for each, colour in zip(series, found, strict=True)
        )

    return replace(
        group,
        rows=tuple(
            replace(row, colour=colour) for row, colour in zip(group.rows, found, strict=True)
        ),
        curves=lines(group.curves),
        differences=lines(group.differences),
        bars=tuple(
            bar and replace(bar, colours=tuple(colours.get(name, "") for name in bar.names))
            for bar in group.bars
        ),
    )
