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


def format_comparison(found: Comparison | None, digits: int = 3) -> str:
    """Return a signed difference and its interval."""
    if found is None or math.isnan(found.difference):
        return LEFT_OUT
    if math.isnan(found.low):
        return f"{found.difference:+.{digits}f}"
    return f"{found.difference:+.{digits}f} [{found.low:+.{digits}f}, {found.high:+.{digits}f}]"


def format_test(found: Comparison | None) -> str:
    """Return the p-value of a comparison, or the reason for a missing test."""
    if found is None:
        return LEFT_OUT
    return format_p(found.p) if found.reason is None else f"not tested: {found.reason}"


def format_outcome(found: Comparison) -> str:
    """Return the outcome of a test as a clause without a full stop."""
    if found.reason is not None:
        return f"the difference was {format_test(found)}"
    if found.significant():
        return "the difference is significant"
    seeds = f"{found.n} seeds"
    if found.independent < found.n:
        seeds += f", {found.independent} of them independent"
    digits = 1 if max(-found.low, found.high) >= 0.001 else 2
    low, high = (f"{100 * end:+.{digits}f}".replace("-", "−") for end in (found.low, found.high))
    if found.low > 0 or found.high < 0:
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
    """Return the labels to a target, and the number of seeds that reached it unless all did."""
    if labels is None:
        return LEFT_OUT
    if labels.median is None:
        found = f"over {last:,.0f}"
    else:
        found = f"{'at most ' if labels.at_most else ''}{math.ceil(labels.median):,}"
    return found if labels.n_reached == labels.n else f"{found} ({labels.n_reached} of {labels.n})"
