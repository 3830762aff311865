"""Statistics as text, for the terminal and for pages."""

from __future__ import annotations

import math

from .statistics import Comparison, Interval, LabelsToTarget

__all__ = [
    "LEFT_OUT",
    "format_comparison",
    "format_gap",
    "format_interval",
    "format_labels",
    "format_outcome",
    "format_range",
    "format_runs",
    "format_test",
]

LEFT_OUT = "–"
"""Text for a missing number."""


def format_interval(interval: Interval, digits: int = 3) -> str:
    """Return a mean and its interval, or the reason for a missing interval."""
    if math.isnan(interval.estimate):
        return LEFT_OUT
    if math.isnan(interval.low):
        why = {1: " (one run)", 2: " (two runs)"}.get(interval.distinct or 0, "")
        return f"{interval.estimate:.{digits}f}{why}"
    return f"{interval.estimate:.{digits}f} [{interval.low:.{digits}f}, {interval.high:.{digits}f}]"


def format_comparison(comparison: Comparison | None, digits: int = 3) -> str:
    """Return a signed difference and its interval."""
    if comparison is None or math.isnan(comparison.difference):
        return LEFT_OUT
    if math.isnan(comparison.low):
        return f"{comparison.difference:+.{digits}f}"
    low, high = comparison.low, comparison.high
    return f"{comparison.difference:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"


def format_test(comparison: Comparison | None) -> str:
    """Return the p-value of a comparison, or the reason for a missing test."""
    if comparison is None:
        return LEFT_OUT
    return (
        format_p(comparison.p) if comparison.reason is None else f"not tested: {comparison.reason}"
    )


def format_outcome(comparison: Comparison) -> str:
    """Return the outcome of a test as a clause without a full stop."""
    if comparison.reason is not None:
        return f"the difference was {format_test(comparison)}"
    if comparison.significant():
        return "the difference is significant"
    seeds = f"{comparison.n} seeds"
    if comparison.independent < comparison.n:
        seeds += f", {comparison.independent} of them independent"
    digits = 1 if max(-comparison.low, comparison.high) >= 0.001 else 2
    low, high = (
        f"{100 * end:+.{digits}f}".replace("-", "−") for end in (comparison.low, comparison.high)
    )
    if comparison.low > 0 or comparison.high < 0:
        interval = f"uncorrected interval {low} to {high} points"
    else:
        interval = f"interval {low} to {high} points"
    return f"no difference was shown ({seeds}; {interval})"


def format_range(counts: tuple[int, int]) -> str:
    """Return the smallest and the largest count over the seeds."""
    least, most = counts
    return f"{most:,}" if least == most else f"{least:,} to {most:,}"


def format_runs(distinct: int, seeds: int) -> str:
    """Return the number of distinct runs of the seeds."""
    return f"{distinct} of {seeds}"


def format_p(p: float) -> str:
    """Return a p-value."""
    if p < 0.001:
        return "<0.001"
    return f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def format_gap(gap: float | None) -> str:
    """Return the closed part of the gap as a percentage."""
    return LEFT_OUT if gap is None else f"{round(gap)} %"


def format_labels(labels: LabelsToTarget | None, last: float) -> str:
    """Return the labels to a target; if some seeds missed it, also how many reached it."""
    if labels is None:
        return LEFT_OUT
    if labels.median is None:
        text = f"over {last:,.0f}"
    else:
        text = f"{'at most ' if labels.at_most else ''}{math.ceil(labels.median):,}"
    return text if labels.n_reached == labels.n else f"{text} ({labels.n_reached} of {labels.n})"
