"""The summary of an experiment: statistics of each strategy, as objects, JSON and text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .._deprecated import old_attribute
from ..errors import UsageError
from .cells import Setting
from .curves import Curves
from .formatting import (
    LEFT_OUT,
    format_comparison,
    format_ends,
    format_expected,
    format_gap,
    format_interval,
    format_labels,
    format_pools,
    format_range,
    format_runs,
    format_target,
    format_test,
)
from .problems import Pools
from .statistics import (
    Comparison,
    CrossedIntervals,
    Interval,
    LabelsToTarget,
    RoundComparison,
    WinsTiesLosses,
    detectable_difference,
    mean_interval,
)
from .tables import Table, Tabular

__all__ = ["SHARE", "Group", "OnRest", "Row", "Summary", "bands", "check_target", "ends", "number"]

SHARE = (0.0, 1.0)
"""Minimum and maximum of an accuracy."""


class OnRest(NamedTuple):
    """The accuracy on the images of the pool without a label, as means over the seeds."""

    expected: float
    """The estimate, which does not use the labels of these images."""
    measured: float


@dataclass(frozen=True)
class Row:
    """The statistics of one setting over its seeds."""

    setting: Setting
    seeds: int
    """Number of seeds with a run."""
    distinct_runs: int
    """Number of distinct runs; identical runs are one observation."""
    aubc: Interval
    """Area under the budget curve divided by its width: the mean accuracy over the budget. Runs
    that ended early are left out."""
    at: Mapping[int, Interval]
    """The accuracy at each budget of the group."""
    labels: LabelsToTarget | None
    """Number of labels to the target; None without a target."""
    against: Setting | None
    """The baseline of the comparison; None for the baseline itself."""
    comparison: Comparison | None
    """Difference of the areas by seed, with p-values corrected for all rows of the group."""
    rounds: RoundComparison | None
    """Difference of the accuracies by round; tested only if `comparison` is significant."""
    expected: OnRest | None
    """Accuracy on the unlabelled images after the last round; None if it was not estimated."""
    gap_closed: float | None
    """Part of the gap from the lower to the upper baseline, in percent; None if unknown."""
    aubc_crossed: CrossedIntervals | None = None
    """Intervals of the area over test images, and over both seeds and test images."""
    comparison_crossed: CrossedIntervals | None = None
    """Intervals of the difference over test images, and over both seeds and test images."""

    @property
    def verdict(self) -> str:
        """``"above"`` or ``"below"`` the baseline if the areas differ significantly, else empty."""
        if self.comparison is None or not self.comparison.significant():
            return ""
        return "above" if self.comparison.difference > 0 else "below"

    def to_json(self, group: Group) -> dict[str, Any]:
        """Return a row as JSON, with the keys of the ``--json`` output."""
        comparison = self.comparison
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
            **_ends_crossed("aubc_ci", self.aubc_crossed),
            "accuracy_at": {str(b): number(each.estimate) for b, each in self.at.items()},
            "target": number(group.target),
            "labels_to_target": None if self.labels is None else self.labels.median,
            "labels_to_target_ci": None
            if self.labels is None or self.labels.low is self.labels.high is None
            else [self.labels.low, self.labels.high],
            "seeds_at_target": None if self.labels is None else self.labels.n_reached,
            "baseline": None if self.against is None else self.against.chosen_by,
            "difference": None if comparison is None else number(comparison.difference),
            "difference_ci": ends(comparison),
            "detectable_difference": None
            if comparison is None
            else number(detectable_difference(comparison, tests=group.tests)),
            **_ends_crossed("difference_ci", self.comparison_crossed),
            "test_images": group.tested,
            "test_images_reason": group.untested,
            "p_value": None if comparison is None else number(comparison.p),
            "p_reason": None if comparison is None else comparison.reason,
            "p_uncorrected": None if comparison is None else number(comparison.p_t),
            "p_signed_rank": None if comparison is None else number(comparison.p_wilcoxon),
            "gap_closed": number(self.gap_closed),
            "expected_accuracy": None if self.expected is None else number(self.expected.expected),
            "rest_accuracy": None if self.expected is None else number(self.expected.measured),
            "floor": number(group.lower_baseline),
            "bound": number(group.upper_baseline),
            "oracle_ceiling": None if group.ceiling is None else group.ceiling.reference(),
            "pool_share": None if group.pools is None else group.pools.share,
            "pool_size": None if group.pools is None else group.pools.sizes[1],
            "chosen_for": None
            if group.pools is None or group.pools.target is None
            else {
                "name": group.pools.target.name,
                "items": group.pools.target.items,
                "test_images": group.pools.target.test_items,
            },
            "copies_left_out": None if group.left_out is None else group.left_out[1],
        }

    def reference(self) -> dict[str, Any]:
        """Return the accuracies of the oracle ceiling as JSON."""
        return {
            "seeds": self.seeds,
            "distinct_runs": self.distinct_runs,
            "aubc_mean": number(self.aubc.estimate),
            "aubc_ci": ends(self.aubc),
            "accuracy_at": {str(b): number(each.estimate) for b, each in self.at.items()},
            "labels_to_target": None if self.labels is None else self.labels.median,
        }


@dataclass(frozen=True)
class Group:
    """The rows of one dataset, backbone, head and mode, which can be compared."""

    rows: tuple[Row, ...]
    """Largest area first."""
    curves: Mapping[Setting, Curves] = field(repr=False)
    """The curves of the rows and of the oracle ceiling."""
    budgets: tuple[int, ...]
    """Numbers of labels at which accuracies are shown."""
    upper_baseline: float | None
    """Accuracy with all labels, the mean over the seeds; None if it was not measured."""
    target: float | None
    """Target accuracy; None without an upper baseline."""
    lower_baseline: float | None
    """Area of random selection from the first batch on, the mean over the seeds."""
    left_out: tuple[int, int] | None = None
    """Number of copies of test images, which are not candidates: the minimum and the maximum over
    the seeds; None if unknown."""
    pools: Pools | None = None
    """The pools of the seeds; None if unknown."""
    pairs: Mapping[tuple[Setting, Setting], Comparison] = field(default_factory=dict, repr=False)
    """Comparisons between the settings above their baseline, with corrected p-values."""
    tested: int | None = None
    """Number of test images; None if the predictions of single test images are unknown."""
    untested: str | None = None
    """Reason why there are no intervals over test images."""
    ceiling: Row | None = None
    """The oracle ceiling, which uses true labels: a reference that is in no test and no ranking.
    None if it was not run."""
    bound = old_attribute("bound", "upper_baseline")
    floor = old_attribute("floor", "lower_baseline")

    @property
    def tests(self) -> int:
        """Number of tested comparisons, at least 1."""
        compared = [row.comparison for row in self.rows if row.comparison is not None]
        return max(sum(each.reason is None for each in compared), 1)

    @property
    def title(self) -> str:
        """Dataset, backbone, head and mode as text."""
        return self.rows[0].setting.where

    @property
    def draws(self) -> str:
        """The source of chance besides the test images: ``"pools"``, or ``"seeds"`` of one pool."""
        return "seeds" if self.pools is None or self.pools.are_equal else "pools"

    def band(self, setting: Setting) -> list[Interval]:
        """Return the mean over the seeds and its interval for each round."""
        return bands(self.curves[setting], SHARE)


@dataclass(frozen=True)
class Summary(Tabular):
    """The statistics of an experiment; ``str`` gives tables."""

    groups: tuple[Group, ...]
    """One group for each dataset, backbone, head and mode."""
    share: float | None
    """Target as a share of the accuracy with all labels; None if the target is an accuracy."""
    matrices: Mapping[tuple[str, str], WinsTiesLosses] = field(default_factory=dict)
    """Wins between strategies over several datasets, by head and mode."""
    headline: tuple[str, str] = ("", "")
    """The result in one sentence, which depends on the tests; and the sentences below it."""

    @property
    def rows(self) -> list[Row]:
        """The rows of all groups."""
        return [row for group in self.groups for row in group.rows]

    def to_json(self) -> list[dict[str, Any]]:
        """Return a dictionary of JSON types for each row."""
        return [row.to_json(group) for group in self.groups for row in group.rows]

    def tables(self) -> list[Table]:
        """Return the tables of all groups, and the matrices of wins."""
        groups = (table for each in self.groups for table in _group_tables(each, self.share))
        return [*groups, *(_matrix_table(key, each) for key, each in self.matrices.items())]

    def __str__(self) -> str:
        parts = [_headline_text(self.headline)] if self.groups else []
        parts += ["\n".join(map(str, _group_tables(each, self.share))) for each in self.groups]
        parts += [str(_matrix_table(key, each)) for key, each in self.matrices.items()]
        return "\n\n".join(parts)


def check_target(target: float, accuracy: float | None) -> None:
    """Raise an error if a target or accuracy is not between 0 and 1."""
    if accuracy is not None and not 0 <= accuracy <= 1:
        raise UsageError(f"accuracy is {accuracy!r}: give a share of the test images, such as 0.9.")
    if accuracy is None and not 0 < target <= 1:
        raise UsageError(
            f"target is {target!r}: give a share of the accuracy with all labels, such as 0.95."
        )


def bands(curves: Curves, within: tuple[float, float] | None) -> list[Interval]:
    """Return the mean over the seeds and its interval for each round."""
    return [
        mean_interval(values, runs=runs, within=within)
        for values, runs in zip(curves.values.T, curves.runs.T, strict=True)
    ]


def number(value: float | None) -> float | None:
    """Return a finite number rounded to six decimals, or None."""
    return None if value is None or not math.isfinite(value) else round(float(value), 6)


def ends(interval: Interval | Comparison | None) -> list[float | None] | None:
    """Return the two ends of an interval; None if there is no interval."""
    if interval is None or not math.isfinite(interval.low):
        return None
    return [number(interval.low), number(interval.high)]


def _ends_crossed(name: str, found: CrossedIntervals | None) -> dict[str, Any]:
    return {
        f"{name}_test_images": None if found is None else ends(found.over_items),
        f"{name}_both": None if found is None else ends(found.over_both),
    }


# As tables


def _group_tables(group: Group, share: float | None) -> list[Table]:
    first = group.curves[group.rows[0].setting]
    budgets = first.budgets
    seeds = max(row.seeds for row in group.rows)
    lines = [f"{group.title}; {seeds} seeds, {budgets[0]:,.0f} to {budgets[-1]:,.0f} labels"]
    if group.pools is not None:
        lines.append(format_pools(group.pools))
        if group.pools.target is not None:
            lines.append(f"chosen for: {format_target(group.pools.target)}")
    facts = []
    if group.upper_baseline is not None:
        facts.append(f"upper baseline (all labels) {group.upper_baseline:.3f}")
    if group.target is not None:
        share_text = "" if share is None else f" ({100 * share:g} % of the upper baseline)"
        facts.append(f"target {group.target:.3f}{share_text}")
    if group.lower_baseline is not None:
        facts.append(f"lower baseline (random) {group.lower_baseline:.3f}")
    if group.left_out is not None and group.left_out[1]:
        facts.append(f"copies of test images left out: {format_range(group.left_out)}")
    lines.append(", ".join(facts))
    heads = ["strategy", "area [95 % interval]", f"at {group.budgets[-1]:,}", "distinct runs"]
    heads += ["against the baseline", "p (Holm)", "gap closed", "labels to target"]
    heads += ["expected (measured) on the rest"]
    shown = group.rows if group.ceiling is None else (*group.rows, group.ceiling)
    cells = tuple(_row_cells(row, group) for row in shown)
    tables = [Table(tuple(lines), tuple(heads), cells)]
    crossed = tuple(_crossed_cells(row) for row in group.rows if row.against is not None)
    if group.tested is not None and crossed:
        over = f"over {group.tested:,} test images"
        heads = ["difference from the baseline", f"over {group.draws}", over, "over both"]
        tables.append(Table((), tuple(heads), crossed))
    return tables


def _headline_text(found: tuple[str, str]) -> str:
    result, sentences = found
    return f"{result}.\n{sentences}".rstrip()


def _crossed_cells(row: Row) -> tuple[str, ...]:
    crossed = row.comparison_crossed
    return (
        row.setting.chosen_by,
        format_comparison(row.comparison),
        format_ends(None if crossed is None else crossed.over_items, signed=True),
        format_ends(None if crossed is None else crossed.over_both, signed=True),
    )


def _row_cells(row: Row, group: Group) -> tuple[str, ...]:
    last = group.curves[row.setting].budgets[-1]
    final = row.at[group.budgets[-1]].estimate
    against = format_comparison(row.comparison)
    if row.against is None:
        against = "no strategy" if row.setting.is_ceiling else "baseline"
    return (
        row.setting.chosen_by,
        format_interval(row.aubc),
        LEFT_OUT if math.isnan(final) else f"{final:.3f}",
        format_runs(row.distinct_runs, row.seeds),
        against,
        format_test(row.comparison),
        format_gap(row.gap_closed),
        format_labels(row.labels, last),
        format_expected(row.expected),
    )


def _matrix_table(key: tuple[str, str], matrix: WinsTiesLosses) -> Table:
    lines = [
        f"{key[0]}, {key[1]}: number of datasets where the row is significantly better "
        "than the column"
    ]
    untested = int(matrix.untested.sum()) // 2
    if untested:
        lines.append(f"not tested (too few distinct runs): {untested} comparisons")
    heads = ("", *(str(number) for number in range(1, len(matrix.strategies) + 1)), "mean rank")
    rows = []
    for at, name in enumerate(matrix.strategies):
        wins = [
            "·" if at == other else str(matrix.wins[at, other])
            for other in range(len(matrix.strategies))
        ]
        rank = matrix.ranks[at]
        text = LEFT_OUT if math.isnan(rank) else f"{rank:.1f}"
        rows.append((f"{at + 1} {name}", *wins, text))
    return Table(tuple(lines), heads, tuple(rows))
