"""The summary of an experiment: statistics of each strategy, as objects, JSON and text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .._deprecated import old_attribute
from ..errors import UsageError
from .cells import Setting
from .curves import Curves
from .formatting import (
    LEFT_OUT,
    format_comparison,
    format_gap,
    format_interval,
    format_labels,
    format_range,
    format_runs,
    format_test,
)
from .statistics import (
    Comparison,
    Interval,
    LabelsToTarget,
    RoundComparison,
    WinsTiesLosses,
    mean_interval,
)

__all__ = ["SHARE", "Group", "Row", "Summary", "bands", "check_target", "ends", "number"]

SHARE = (0.0, 1.0)
"""Minimum and maximum of an accuracy."""


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
    gap_closed: float | None
    """Part of the gap from the lower to the upper baseline, in percent; None if unknown."""

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
            "p_value": None if comparison is None else number(comparison.p),
            "p_reason": None if comparison is None else comparison.reason,
            "p_uncorrected": None if comparison is None else number(comparison.p_t),
            "p_signed_rank": None if comparison is None else number(comparison.p_wilcoxon),
            "gap_closed": number(self.gap_closed),
            "floor": number(group.lower_baseline),
            "bound": number(group.upper_baseline),
            "copies_left_out": None if group.left_out is None else group.left_out[1],
        }


@dataclass(frozen=True)
class Group:
    """The rows of one dataset, backbone, head and mode, which can be compared."""

    rows: tuple[Row, ...]
    """Largest area first."""
    curves: Mapping[Setting, Curves] = field(repr=False)
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
    bound = old_attribute("bound", "upper_baseline")
    floor = old_attribute("floor", "lower_baseline")

    @property
    def title(self) -> str:
        """Dataset, backbone, head and mode as text."""
        return self.rows[0].setting.where

    def band(self, setting: Setting) -> list[Interval]:
        """Return the mean over the seeds and its interval for each round."""
        return bands(self.curves[setting], SHARE)


@dataclass(frozen=True)
class Summary:
    """The statistics of an experiment; ``str`` gives tables."""

    groups: tuple[Group, ...]
    """One group for each dataset, backbone, head and mode."""
    share: float | None
    """Target as a share of the accuracy with all labels; None if the target is an accuracy."""
    matrices: Mapping[tuple[str, str], WinsTiesLosses] = field(default_factory=dict)
    """Wins between strategies over several datasets, by head and mode."""

    @property
    def rows(self) -> list[Row]:
        """The rows of all groups."""
        return [row for group in self.groups for row in group.rows]

    def to_json(self) -> list[dict[str, Any]]:
        """Return a dictionary of JSON types for each row."""
        return [row.to_json(group) for group in self.groups for row in group.rows]

    def __str__(self) -> str:
        parts = [_group_text(group, self.share) for group in self.groups]
        parts += [_matrix_text(key, each) for key, each in self.matrices.items()]
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


# As text for the terminal


def _group_text(group: Group, share: float | None) -> str:
    first = group.curves[group.rows[0].setting]
    budgets = first.budgets
    seeds = max(row.seeds for row in group.rows)
    lines = [f"{group.title}; {seeds} seeds, {budgets[0]:,.0f} to {budgets[-1]:,.0f} labels"]
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
    table = [heads, *([*_row_cells(row, group)] for row in group.rows)]
    return "\n".join([*lines, *_aligned(table)])


def _row_cells(row: Row, group: Group) -> Sequence[str]:
    last = group.curves[row.setting].budgets[-1]
    final = row.at[group.budgets[-1]].estimate
    return (
        row.setting.chosen_by,
        format_interval(row.aubc),
        LEFT_OUT if math.isnan(final) else f"{final:.3f}",
        format_runs(row.distinct_runs, row.seeds),
        "baseline" if row.against is None else format_comparison(row.comparison),
        format_test(row.comparison),
        format_gap(row.gap_closed),
        format_labels(row.labels, last),
    )


def _matrix_text(key: tuple[str, str], matrix: WinsTiesLosses) -> str:
    lines = [
        f"{key[0]}, {key[1]}: number of datasets where the row is significantly better "
        "than the column"
    ]
    untested = int(matrix.untested.sum()) // 2
    if untested:
        lines.append(f"not tested (too few distinct runs): {untested} comparisons")
    heads = ["", *(str(number) for number in range(1, len(matrix.strategies) + 1)), "mean rank"]
    table = [heads]
    for at, name in enumerate(matrix.strategies):
        wins = [
            "·" if at == other else str(matrix.wins[at, other])
            for other in range(len(matrix.strategies))
        ]
        rank = matrix.ranks[at]
        table.append([f"{at + 1} {name}", *wins, LEFT_OUT if math.isnan(rank) else f"{rank:.1f}"])
    return "\n".join([*lines, *_aligned(table)])


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """Return aligned lines: the first column to the left, the other columns to the right."""
    widths = [max(len(row[at]) for row in table) for at in range(len(table[0]))]
    return [
        "  "
        + "   ".join(
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
