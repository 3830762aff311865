"""Statistics of learning curves over seeds, as functions of arrays."""

from .censored import LabelsRatio, LabelsToTarget, labels_ratio, median_labels_to_target
from .crossed import CrossedIntervals, area_of_items, crossed_intervals
from .curves import Reached, accuracy_at, area, gap_closed, labels_to_target
from .intervals import Interval, bootstrap_interval, mean_interval, t_interval
from .multiple import (
    RoundComparison,
    WinsTiesLosses,
    compare_with_baseline,
    correct,
    correct_rounds,
    holm,
    per_round_comparison,
    wins_ties_losses,
)
from .paired import (
    Comparison,
    decisive_p,
    declared_different,
    paired_comparison,
    signed_rank_p,
)
from .power import detectable_difference
from .runs import LEAST_RUNS, count_runs, prefix_runs

__all__ = [
    "LEAST_RUNS",
    "Comparison",
    "CrossedIntervals",
    "Interval",
    "LabelsRatio",
    "LabelsToTarget",
    "Reached",
    "RoundComparison",
    "WinsTiesLosses",
    "accuracy_at",
    "area",
    "area_of_items",
    "bootstrap_interval",
    "compare_with_baseline",
    "correct",
    "correct_rounds",
    "count_runs",
    "crossed_intervals",
    "decisive_p",
    "declared_different",
    "detectable_difference",
    "gap_closed",
    "holm",
    "labels_ratio",
    "labels_to_target",
    "mean_interval",
    "median_labels_to_target",
    "paired_comparison",
    "per_round_comparison",
    "prefix_runs",
    "signed_rank_p",
    "t_interval",
    "wins_ties_losses",
]
