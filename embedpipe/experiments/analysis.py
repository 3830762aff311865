"""Computes the summary of an experiment from its tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .cells import Setting
from .curves import Curves, curves_of, groups_of
from .headline import headline
from .item_areas import ItemAreas, item_areas
from .options import LOWER_BASELINE
from .problems import Pools
from .statistics import (
    LEAST_RUNS,
    Comparison,
    CrossedIntervals,
    LabelsToTarget,
    Reached,
    RoundComparison,
    WinsTiesLosses,
    accuracy_at,
    area,
    correct,
    correct_rounds,
    crossed_intervals,
    gap_closed,
    labels_to_target,
    mean_interval,
    median_labels_to_target,
    paired_comparison,
    per_round_comparison,
    wins_ties_losses,
)
from .statistics.paired import FEW, IDENTICAL
from .statistics.runs import independent_pairs
from .summary import SHARE, Group, OnRest, Row, Summary, check_target

__all__ = ["summarise"]

SHOWN = 3
"""Default number of budgets at which accuracies are shown."""

DIFFERENCE = (-1.0, 1.0)
"""Minimum and maximum of a difference of two accuracies."""

NOT_WHOLE = "no seed has all rounds of both strategies"
SAME_START = "fewer than three distinct first batches"
"""Reasons why the areas of two settings are not tested."""


class Tables(Protocol):
    """The attributes of `Results` that are needed here."""

    @property
    def table(self) -> pa.Table: ...
    @property
    def upper_baselines(self) -> pa.Table: ...
    @property
    def baseline(self) -> tuple[str, str]: ...
    @property
    def left_out(self) -> Mapping[tuple[str, str], tuple[int, int]]: ...
    @property
    def pools(self) -> Mapping[tuple[str, str], Pools]: ...


def summarise(
    results: Tables,
    *,
    target: float = 0.95,
    accuracy: float | None = None,
    budgets: Sequence[int] | None = None,
) -> Summary:
    """Return the statistics of an experiment; see `Results.summary`."""
    check_target(target, accuracy)
    groups = tuple(
        _group(curves, results, target, accuracy, budgets)
        for curves in groups_of(curves_of(results.table))
        if not all(np.isnan(each.values).all() for each in _strategies(curves))
    )
    share = None if accuracy is not None else target
    return Summary(groups, share, _matrices(groups), headline(groups))


def _group(
    curves: list[Curves],
    results: Tables,
    target: float,
    accuracy: float | None,
    budgets: Sequence[int] | None,
) -> Group:
    upper = _upper_baselines(curves[0], results)  # (S,), NaN where there is none
    targets = upper * target if accuracy is None else np.full(len(upper), accuracy)
    areas = {each.setting: _areas(each) for each in curves}  # (S,) each
    random = _find(curves, LOWER_BASELINE, LOWER_BASELINE)
    lower = areas[random] if random else np.full(len(upper), np.nan)
    compared = _strategies(curves)
    against = {each.setting: _baseline_of(each.setting, compared, results) for each in compared}
    comparisons = _comparisons(compared, areas, against)
    rounds = _by_round(compared, against, comparisons)
    on_rest = _on_rest(results.table)
    items = item_areas(results.table, curves)
    of_areas = _areas_crossed(curves, items)
    of_differences = _differences_crossed(compared, items, against, comparisons)
    shown = tuple(budgets) if budgets is not None else _budgets(compared[0])

    def row_of(each: Curves) -> Row:
        return Row(
            setting=each.setting,
            seeds=each.n,
            distinct_runs=each.distinct,
            aubc=mean_interval(areas[each.setting], runs=each.runs[:, -1], within=SHARE),
            at={
                budget: mean_interval(_at(each, budget), runs=each.runs_at(budget), within=SHARE)
                for budget in shown
            },
            labels=_labels(each, targets),
            against=against.get(each.setting),
            comparison=comparisons.get(each.setting),
            rounds=rounds.get(each.setting),
            expected=on_rest.get(each.setting),
            gap_closed=_gap(areas[each.setting], lower, upper),
            aubc_crossed=of_areas.get(each.setting),
            comparison_crossed=of_differences.get(each.setting),
        )

    rows = [row_of(each) for each in compared]
    where = curves[0].setting.dataset, curves[0].setting.backbone
    rows.sort(key=lambda row: -np.nan_to_num(row.aubc.estimate, nan=-1.0))  # stable
    return Group(
        rows=tuple(rows),
        ceiling=next((row_of(each) for each in curves if each.setting.is_ceiling), None),
        curves={each.setting: each for each in curves},
        budgets=shown,
        upper_baseline=_mean(upper),
        target=_mean(targets),
        lower_baseline=_mean(lower),
        pairs=_pairs_above(rows, compared, areas),
        tested=items.count,
        untested=items.reason,
        left_out=results.left_out.get(where),
        pools=results.pools.get(where),
    )


# Baselines and budgets


def _strategies(curves: Sequence[Curves]) -> list[Curves]:
    """Return the curves of strategies, without the oracle ceiling."""
    return [each for each in curves if not each.setting.is_ceiling]


def _find(curves: Sequence[Curves], initial: str, strategy: str) -> Setting | None:
    for each in curves:
        if (each.setting.initial, each.setting.strategy) == (initial, strategy):
            return each.setting
    return None


def _baseline_of(setting: Setting, curves: Sequence[Curves], results: Tables) -> Setting | None:
    """Return the baseline with the first batch of `setting`, or else with the baseline's own."""
    own, strategy = results.baseline
    found = _find(curves, setting.initial, strategy) or _find(curves, own, strategy)
    if found == setting:  # the baseline strategy after another first batch than its own
        found = _find(curves, own, strategy)
    return None if found == setting else found


def _upper_baselines(curves: Curves, results: Tables) -> NDArray[np.float64]:
    """Return the accuracy with all labels for each seed, (S,); NaN where it is missing."""
    setting = curves.setting
    known = {
        row["seed"]: row["accuracy"]
        for row in results.upper_baselines.to_pylist()
        if (row["dataset"], row["backbone"], row["head"])
        == (setting.dataset, setting.backbone, setting.head)
    }
    found = [known.get(seed) for seed in curves.seeds]
    return np.array([np.nan if each is None else each for each in found], dtype=np.float64)


def _budgets(curves: Curves) -> tuple[int, ...]:
    """Return a few of the numbers of labels, including the last number."""
    rounds = curves.budgets
    count = min(SHOWN, len(rounds))
    steps = np.linspace(len(rounds) / count, len(rounds), count).round().astype(int) - 1
    return tuple(round(float(rounds[step])) for step in steps)


# Values of each seed


def _areas(curves: Curves) -> NDArray[np.float64]:
    def area_of_seed(at: int) -> float:
        labelled, values = curves.of_seed(at)
        return area(labelled, values) if curves.is_whole(at) and values.size else math.nan

    return np.array([area_of_seed(at) for at in range(len(curves.seeds))])


def _at(curves: Curves, budget: int) -> NDArray[np.float64]:
    found = []
    for at in range(len(curves.seeds)):
        labelled, values = curves.of_seed(at)
        found.append(accuracy_at(labelled, values, budget) if values.size else math.nan)
    return np.array(found)


def _labels(curves: Curves, targets: NDArray[np.float64]) -> LabelsToTarget | None:
    reached: list[Reached] = []
    runs: list[int] = []
    for at, target in enumerate(targets):
        labelled, values = curves.of_seed(at)
        if values.size and not math.isnan(target):
            reached.append(labels_to_target(labelled, values, target))
            runs.append(int(curves.runs[at, -1]))
    return median_labels_to_target(reached, runs=runs) if reached else None


def _gap(
    areas: NDArray[np.float64], lower: NDArray[np.float64], upper: NDArray[np.float64]
) -> float | None:
    known = ~(np.isnan(areas) | np.isnan(lower) | np.isnan(upper))
    if not known.any():
        return None
    means = (float(each[known].mean()) for each in (areas, lower, upper))
    closed = gap_closed(*means)
    return None if math.isnan(closed) else closed


def _on_rest(table: pa.Table) -> dict[Setting, OnRest]:
    """Return the accuracies of each setting after the last round that has both, by setting."""
    names = [*Setting.__dataclass_fields__, "seed", "round", "expected_accuracy", "rest_accuracy"]
    last: dict[Setting, dict[int, tuple[float, float]]] = {}
    for row in table.select(names).sort_by("round").to_pylist():
        *parts, seed, _, expected, measured = row.values()
        if expected is not None and measured is not None:
            last.setdefault(Setting(*parts), {})[seed] = expected, measured
    return {
        setting: OnRest(*np.mean(list(seeds.values()), axis=0).tolist())
        for setting, seeds in last.items()
    }


# Comparisons


def _comparisons(
    curves: Sequence[Curves],
    areas: Mapping[Setting, NDArray[np.float64]],
    against: Mapping[Setting, Setting | None],
) -> dict[Setting, Comparison]:
    curves_by_setting = {each.setting: each for each in curves}
    found = {}
    for setting, other in against.items():
        if other is not None:
            own, baseline = curves_by_setting[setting], curves_by_setting[other]
            each = paired_comparison(
                areas[setting], areas[other], runs=own.ids_beside(baseline), within=DIFFERENCE
            )
            few = own.distinct < LEAST_RUNS or baseline.distinct < LEAST_RUNS
            if not each.n:
                each = replace(each, reason=NOT_WHOLE)
            elif each.reason in (IDENTICAL, FEW) and not few and not own.same_starts(baseline):
                each = replace(each, reason=SAME_START)
            found[setting] = each
    return correct(found)


def _pairs_above(
    rows: Sequence[Row],
    curves: Sequence[Curves],
    areas: Mapping[Setting, NDArray[np.float64]],
) -> dict[tuple[Setting, Setting], Comparison]:
    """Compare the settings that are significantly above their baseline with each other.

    P-values are corrected for all these pairs. They are tested only after the tests against the
    baseline, so equal settings are declared different as rarely as there.
    """
    curves_by_setting = {each.setting: each for each in curves}
    above = [row.setting for row in rows if row.verdict == "above"]
    found = {
        (a, b): paired_comparison(
            areas[a],
            areas[b],
            runs=curves_by_setting[a].ids_beside(curves_by_setting[b]),
            within=DIFFERENCE,
        )
        for a, b in combinations(above, 2)
    }
    return correct(found)


def _areas_crossed(curves: Sequence[Curves], items: ItemAreas) -> dict[Setting, CrossedIntervals]:
    """Return the intervals of the areas over test items."""
    return _crossed(
        {
            each.setting: (items.areas[each.setting], each.runs[:, -1], each.runs[:, -1])
            for each in curves
            if each.setting in items.areas
        },
        SHARE,
    )


def _differences_crossed(
    curves: Sequence[Curves],
    items: ItemAreas,
    against: Mapping[Setting, Setting | None],
    comparisons: Mapping[Setting, Comparison],
) -> dict[Setting, CrossedIntervals]:
    """Return the intervals of the differences from the baselines over test items."""
    curves_by_setting = {each.setting: each for each in curves}
    tables = {}
    for setting, other in against.items():
        if other is not None and setting in items.areas and other in items.areas:
            runs = curves_by_setting[setting].ids_beside(curves_by_setting[other])
            tables[setting] = (items.areas[setting] - items.areas[other], *runs)
    return {
        setting: found
        if comparisons[setting].reason is None
        else replace(found, over_both=found.over_both.without_ends)
        for setting, found in _crossed(tables, DIFFERENCE).items()
    }


def _crossed(
    tables: Mapping[Setting, tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]],
    within: tuple[float, float],
) -> dict[Setting, CrossedIntervals]:
    """Return the intervals of (S, T) tables; each table has the (S,) run numbers of two sides."""
    values, groups = {}, []
    for setting, (table, a, b) in tables.items():
        known = ~np.isnan(table[:, 0])
        if known.any():
            values[setting] = table[known]
            groups.append(independent_pairs(a[known], b[known]))
    found = crossed_intervals([*values.values()], groups=groups, within=within) if values else []
    return dict(zip(values, found, strict=True))


def _by_round(
    curves: Sequence[Curves],
    against: Mapping[Setting, Setting | None],
    areas: Mapping[Setting, Comparison],
) -> dict[Setting, RoundComparison]:
    """Compare each round; test the rounds of settings whose areas differ significantly."""
    curves_by_setting = {each.setting: each for each in curves}
    found = {}
    for setting, other in against.items():
        if other is not None:
            pair = {"this": curves_by_setting[setting], "baseline": curves_by_setting[other]}
            found[setting] = per_round_comparison(
                {name: each.values for name, each in pair.items()},
                "baseline",
                runs={name: each.runs for name, each in pair.items()},
                within=DIFFERENCE,
            )["this"]
    significant = {setting for setting, each in areas.items() if each.significant()}
    return correct_rounds(found, significant)


def _matrices(groups: Sequence[Group]) -> dict[tuple[str, str], WinsTiesLosses]:
    tables: dict[tuple[str, str], dict[str, dict[str, Curves]]] = {}
    for group in groups:
        setting = group.rows[0].setting
        tables.setdefault((setting.head, setting.mode), {})[setting.vectors] = {
            each.setting.chosen_by: each for each in _strategies(list(group.curves.values()))
        }
    return {key: _matrix(each) for key, each in tables.items() if len(each) > 1}


def _matrix(tables: Mapping[str, Mapping[str, Curves]]) -> WinsTiesLosses:
    """Return the matrix of one head and mode; `tables` has the curves by dataset and strategy."""

    def ids(dataset: str, a: str, b: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return tables[dataset][a].ids_beside(tables[dataset][b])

    areas = {
        dataset: {name: _areas(each) for name, each in table.items()}
        for dataset, table in tables.items()
    }
    return wins_ties_losses(areas, runs=ids)


def _mean(values: NDArray[np.float64]) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None
