"""What a grid says: how good each strategy is, and whether it could be chance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from .cell import Setting
from .choices import FLOOR
from .curves import Curves, curves_of, groups_of
from .statistics import (
    LEAST_RUNS,
    Comparison,
    Interval,
    LabelsToTarget,
    Reached,
    RoundComparison,
    WinsTiesLosses,
    accuracy_at,
    area,
    correct,
    correct_rounds,
    gap_closed,
    labels_to_target,
    mean_interval,
    median_labels_to_target,
    paired_comparison,
    per_round_comparison,
    wins_ties_losses,
)
from .statistics.paired import FEW, IDENTICAL

if TYPE_CHECKING:
    from .results import Results

__all__ = ["Group", "Row", "Summary", "check_target", "summarise"]

SHOWN = 3
"""At so many budgets the accuracy is told, unless others are asked for."""

SHARE, DIFFERENCE = (0.0, 1.0), (-1.0, 1.0)
"""Least and largest accuracy, and least and largest difference of two."""

NOT_WHOLE = "no seed has all rounds of both"
SAME_START = "fewer than three distinct first batches"
"""Why areas were not compared."""


@dataclass(frozen=True)
class Row:
    """The statistics of one setting over its seeds.

    Attributes
    ----------
    setting
        Which.
    seeds
        How many have a run.
    distinct_runs
        How many of these runs are distinct: identical runs are one observation.
    aubc
        Area under the budget curve by its width: the mean accuracy over the budget. NaN for runs
        that ended early, whose budget is another one.
    at
        The accuracy at each of the group's budgets.
    labels
        How many labels the target takes; None if there is no target.
    against
        The setting that it is compared with, or None for the baseline itself.
    comparison
        The areas, seed by seed, with p-values corrected for all rows of the group.
    rounds
        The accuracies, round by round; tested where `comparison` declares a difference.
    gap_closed
        How much of the way from the floor's area to the bound it made, in percent; None where
        there is no bound.
    """

    setting: Setting
    seeds: int
    distinct_runs: int
    aubc: Interval
    at: Mapping[int, Interval]
    labels: LabelsToTarget | None
    against: Setting | None
    comparison: Comparison | None
    rounds: RoundComparison | None
    gap_closed: float | None

    def to_json(self, group: Group) -> dict[str, Any]:
        """Return what the command line prints of a row, in JSON types."""
        found = self.comparison
        return {
            "dataset": self.setting.dataset,
            "backbone": self.setting.backbone,
            "initial": self.setting.initial,
            "strategy": self.setting.strategy,
            "head": self.setting.head,
            "mode": self.setting.mode,
            "seeds": self.seeds,
            "distinct_runs": self.distinct_runs,
            "aubc_mean": number(self.aubc.estimate),
            "aubc_ci": ends(self.aubc),
            "accuracy_at": {str(b): number(each.estimate) for b, each in self.at.items()},
            "target": number(group.target),
            "labels_to_target": None if self.labels is None else self.labels.median,
            "labels_to_target_ci": None
            if self.labels is None or self.labels.low is self.labels.high is None
            else [self.labels.low, self.labels.high],
            "seeds_at_target": None if self.labels is None else self.labels.n_reached,
            "baseline": None if self.against is None else self.against.chosen_by,
            "difference": None if found is None else number(found.difference),
            "difference_ci": ends(found),
            "p_value": None if found is None else number(found.p),
            "p_reason": None if found is None else found.reason,
            "p_uncorrected": None if found is None else number(found.p_t),
            "p_signed_rank": None if found is None else number(found.p_wilcoxon),
            "gap_closed": number(self.gap_closed),
            "floor": number(group.floor),
            "bound": number(group.bound),
            "copies_left_out": None if group.left_out is None else group.left_out[1],
        }


@dataclass(frozen=True)
class Group:
    """The rows of one dataset, backbone, head and mode: those that can be compared.

    Attributes
    ----------
    rows
        Largest area first.
    curves
        Of each row.
    budgets
        At which accuracies are told.
    bound
        Accuracy with all labels, on average over the seeds; None if it was not looked for.
    target
        The accuracy that labels are counted to; None without a bound.
    floor
        The area of random choice from the first label on, on average.
    left_out
        How many copies of test images are not chosen from, the least and the most over the seeds;
        None if that is unknown.
    """

    rows: tuple[Row, ...]
    curves: Mapping[Setting, Curves] = field(repr=False)
    budgets: tuple[int, ...]
    bound: float | None
    target: float | None
    floor: float | None
    left_out: tuple[int, int] | None = None

    @property
    def title(self) -> str:
        """What they have in common, in words."""
        return self.rows[0].setting.where

    def band(self, setting: Setting) -> list[Interval]:
        """Return the mean of each round with its interval over the seeds: R of them."""
        return bands(self.curves[setting], SHARE)


@dataclass(frozen=True)
class Summary:
    """What a grid says.

    Attributes
    ----------
    groups
        One for each dataset, backbone, head and mode.
    share
        The share of the full-data accuracy that labels are counted to, or None if an accuracy was
        given.
    matrices
        For each head and mode with several datasets: on how many of them each strategy is
        significantly better than each other.
    """

    groups: tuple[Group, ...]
    share: float | None
    matrices: Mapping[tuple[str, str], WinsTiesLosses] = field(default_factory=dict)

    @property
    def rows(self) -> list[Row]:
        """The rows of all groups."""
        return [row for group in self.groups for row in group.rows]

    def to_json(self) -> list[dict[str, Any]]:
        """Return a dictionary of JSON types for each row."""
        return [row.to_json(group) for group in self.groups for row in group.rows]

    def __str__(self) -> str:
        from .text import told

        return told(self)


def summarise(
    results: Results,
    *,
    target: float = 0.95,
    accuracy: float | None = None,
    budgets: Sequence[int] | None = None,
) -> Summary:
    """Work out the statistics of a grid; see `Results.summary`."""
    check_target(target, accuracy)
    groups = tuple(
        _group(curves, results, target, accuracy, budgets)
        for curves in groups_of(curves_of(results.table))
        if not all(np.isnan(each.values).all() for each in curves)
    )
    return Summary(groups, None if accuracy is not None else target, _matrices(groups))


def check_target(target: float, accuracy: float | None) -> None:
    """Refuse a target that has no meaning.

    Raises
    ------
    UsageError
        If it is no share, and no accuracy takes its place.
    """
    if accuracy is not None and not 0 <= accuracy <= 1:
        raise UsageError(f"accuracy is {accuracy!r}: give a share of the test images, as 0.9.")
    if accuracy is None and not 0 < target <= 1:
        raise UsageError(f"target is {target!r}: give a share of the full-data accuracy, as 0.95.")


def _group(
    curves: list[Curves],
    results: Results,
    target: float,
    accuracy: float | None,
    budgets: Sequence[int] | None,
) -> Group:
    bounds = _bounds(curves[0], results)  # (S,), NaN where there is none
    targets = bounds * target if accuracy is None else np.full(len(bounds), accuracy)
    areas = {each.setting: _areas(each) for each in curves}  # (S,) each
    floor_setting = _find(curves, FLOOR, FLOOR)
    floors = areas[floor_setting] if floor_setting else np.full(len(bounds), np.nan)
    against = {each.setting: _baseline_of(each.setting, curves, results) for each in curves}
    comparisons = _comparisons(curves, areas, against)
    rounds = _by_round(curves, against, comparisons)
    shown = tuple(budgets) if budgets is not None else _budgets(curves[0])
    rows = [
        Row(
            setting=each.setting,
            seeds=each.n,
            distinct_runs=each.distinct,
            aubc=mean_interval(areas[each.setting], runs=each.runs[:, -1], within=SHARE),
            at={
                budget: mean_interval(_at(each, budget), runs=each.runs_at(budget), within=SHARE)
                for budget in shown
            },
            labels=_labels(each, targets),
            against=against[each.setting],
            comparison=comparisons.get(each.setting),
            rounds=rounds.get(each.setting),
            gap_closed=_gap(areas[each.setting], floors, bounds),
        )
        for each in curves
    ]
    rows.sort(key=lambda row: -np.nan_to_num(row.aubc.estimate, nan=-1.0))  # stable
    return Group(
        rows=tuple(rows),
        curves={each.setting: each for each in curves},
        budgets=shown,
        bound=_mean(bounds),
        target=_mean(targets),
        floor=_mean(floors),
        left_out=results.left_out.get((curves[0].setting.dataset, curves[0].setting.backbone)),
    )


# Where things are


def _find(curves: Sequence[Curves], initial: str, strategy: str) -> Setting | None:
    for each in curves:
        if (each.setting.initial, each.setting.strategy) == (initial, strategy):
            return each.setting
    return None


def _baseline_of(setting: Setting, curves: Sequence[Curves], results: Results) -> Setting | None:
    """Return the baseline after the same initial selection, or from its own start."""
    own, strategy = results.baseline
    found = _find(curves, setting.initial, strategy) or _find(curves, own, strategy)
    if found == setting:  # a baseline itself; all but the one from its own start have that above
        found = _find(curves, own, strategy)
    return None if found == setting else found


def _bounds(curves: Curves, results: Results) -> NDArray[np.float64]:
    """Return the accuracy with all labels for each seed: (S,), NaN where it is not known."""
    setting = curves.setting
    known = {
        row["seed"]: row["accuracy"]
        for row in results.bounds.to_pylist()
        if (row["dataset"], row["backbone"], row["head"])
        == (setting.dataset, setting.backbone, setting.head)
    }
    found = [known.get(seed) for seed in curves.seeds]
    return np.array([np.nan if each is None else each for each in found], dtype=np.float64)


def _budgets(curves: Curves) -> tuple[int, ...]:
    """Return a few numbers of labels, the last among them."""
    rounds = curves.budgets
    count = min(SHOWN, len(rounds))
    steps = np.linspace(len(rounds) / count, len(rounds), count).round().astype(int) - 1
    return tuple(round(float(rounds[step])) for step in steps)


# What is worked out for each seed


def _areas(curves: Curves) -> NDArray[np.float64]:
    def one(at: int) -> float:
        labelled, values = curves.of_seed(at)
        return area(labelled, values) if curves.is_whole(at) and values.size else math.nan

    return np.array([one(at) for at in range(len(curves.seeds))])


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
    areas: NDArray[np.float64], floors: NDArray[np.float64], bounds: NDArray[np.float64]
) -> float | None:
    known = ~(np.isnan(areas) | np.isnan(floors) | np.isnan(bounds))
    if not known.any():
        return None
    means = (float(each[known].mean()) for each in (areas, floors, bounds))
    closed = gap_closed(*means)
    return None if math.isnan(closed) else closed


# What is compared


def _comparisons(
    curves: Sequence[Curves],
    areas: Mapping[Setting, NDArray[np.float64]],
    against: Mapping[Setting, Setting | None],
) -> dict[Setting, Comparison]:
    of = {each.setting: each for each in curves}
    found = {}
    for setting, other in against.items():
        if other is not None:
            own, baseline = of[setting], of[other]
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


def _by_round(
    curves: Sequence[Curves],
    against: Mapping[Setting, Setting | None],
    areas: Mapping[Setting, Comparison],
) -> dict[Setting, RoundComparison]:
    """Compare each round; tested are the rounds of settings whose areas are declared different."""
    of = {each.setting: each for each in curves}
    found = {}
    for setting, other in against.items():
        if other is not None:
            pair = {"this": of[setting], "baseline": of[other]}
            found[setting] = per_round_comparison(
                {name: each.values for name, each in pair.items()},
                "baseline",
                runs={name: each.runs for name, each in pair.items()},
                within=DIFFERENCE,
            )["this"]
    declared = {setting for setting, each in areas.items() if each.significant()}
    return correct_rounds(found, declared)


def _matrices(groups: Sequence[Group]) -> dict[tuple[str, str], WinsTiesLosses]:
    tables: dict[tuple[str, str], dict[str, dict[str, Curves]]] = {}
    for group in groups:
        setting = group.rows[0].setting
        tables.setdefault((setting.head, setting.mode), {})[setting.vectors] = {
            each.setting.chosen_by: each for each in group.curves.values()
        }
    return {key: _matrix(each) for key, each in tables.items() if len(each) > 1}


def _matrix(tables: Mapping[str, Mapping[str, Curves]]) -> WinsTiesLosses:
    """Return the matrix of one head and mode; by dataset and strategy, the curves."""

    def ids(dataset: str, a: str, b: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return tables[dataset][a].ids_beside(tables[dataset][b])

    areas = {
        dataset: {name: _areas(each) for name, each in table.items()}
        for dataset, table in tables.items()
    }
    return wins_ties_losses(areas, runs=ids)


def bands(curves: Curves, within: tuple[float, float] | None) -> list[Interval]:
    """Return the mean of each round with its interval over the seeds: R of them."""
    return [
        mean_interval(values, runs=runs, within=within)
        for values, runs in zip(curves.values.T, curves.runs.T, strict=True)
    ]


def _mean(values: NDArray[np.float64]) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None


def number(value: float | None) -> float | None:
    """Return a number that JSON has, rounded to six decimals."""
    return None if value is None or not math.isfinite(value) else round(float(value), 6)


def ends(found: Interval | Comparison | None) -> list[float | None] | None:
    """Return the two ends of an interval as JSON has them; None if there is no interval."""
    if found is None or not math.isfinite(found.low):
        return None
    return [number(found.low), number(found.high)]
