"""Figures of the statistics as text, for the terminal and for pages."""

from __future__ import annotations

import math

from .statistics import Comparison, Interval, LabelsToTarget

__all__ = [
    "LEFT_OUT",
    "told_comparison",
    "told_gap",
    "told_interval",
    "told_labels",
    "told_outcome",
    "told_range",
    "told_runs",
    "told_test",
    "told_untested",
]

LEFT_OUT = "–"


def told_interval(interval: Interval, digits: int = 3) -> str:
    """Return a mean and its interval, or why it has none.

    >>> told_interval(Interval(0.7534, 0.7471, 0.7602, 5, 0.95, 0.9375))
    '0.753 [0.747, 0.760]'
    >>> nan = float("nan")
    >>> told_interval(Interval(0.7534, nan, nan, 5, 0.95, nan, distinct=1))
    '0.753 (one run)'
    """
    if math.isnan(interval.estimate):
        return LEFT_OUT
    if math.isnan(interval.low):
        why = {1: " (one run)", 2: " (two runs)"}.get(interval.distinct or 0, "")
        return f"{interval.estimate:.{digits}f}{why}"
    return f"{interval.estimate:.{digits}f} [{interval.low:.{digits}f}, {interval.high:.{digits}f}]"


def told_comparison(found: Comparison | None, digits: int = 3) -> str:
    """Return a difference and its interval, with signs."""
    if found is None or math.isnan(found.difference):
        return LEFT_OUT
    if math.isnan(found.low):
        return f"{found.difference:+.{digits}f}"
    return f"{found.difference:+.{digits}f} [{found.low:+.{digits}f}, {found.high:+.{digits}f}]"


def told_test(found: Comparison | None) -> str:
    """Return the p-value of a comparison, or why nothing was tested.

    >>> from .statistics import paired_comparison
    >>> told_test(paired_comparison([0.86] * 3, [0.80, 0.84, 0.82]))
    'not tested: identical runs'
    >>> told_test(paired_comparison([0.86, 0.87, 0.88], [0.80, 0.84, 0.82])), told_test(None)
    ('0.075', '–')
    """
    if found is None:
        return LEFT_OUT
    return _p(found.p) if found.reason is None else told_untested(found)


def told_untested(found: Comparison) -> str:
    """Return why nothing was tested."""
    return f"not tested: {found.reason}"


def told_outcome(found: Comparison) -> str:
    """Return the outcome of a test as the end of a sentence.

    >>> from .statistics import paired_comparison
    >>> told_outcome(paired_comparison([0.81, 0.83, 0.84, 0.82], [0.82, 0.81, 0.84, 0.83]))
    'no difference was shown (4 seeds; the interval allows −2.3 to +2.3 points)'
    >>> told_outcome(paired_comparison([0.90, 0.92, 0.96, 0.94], [0.62, 0.61, 0.64, 0.63]))
    'the difference is more than chance'
    >>> told_outcome(paired_comparison([0.81, 0.83], [0.82, 0.81]))
    'the difference was not tested: fewer than three distinct runs'
    """
    if found.reason is not None:
        return f"the difference was {told_untested(found)}"
    if found.significant():
        return "the difference is more than chance"
    seeds = f"{found.n} seeds"
    if found.independent < found.n:
        seeds += f", {found.independent} of them independent"
    digits = 1 if max(-found.low, found.high) >= 0.001 else 2
    low, high = (f"{100 * end:+.{digits}f}".replace("-", "−") for end in (found.low, found.high))
    if found.low > 0 or found.high < 0:
        allows = f"the interval before the corrections is {low} to {high} points"
    else:
        allows = f"the interval allows {low} to {high} points"
    return f"no difference was shown ({seeds}; {allows})"


def told_range(counts: tuple[int, int]) -> str:
    """Return the least and the most of a count over the seeds.

    >>> told_range((3, 3)), told_range((0, 1200))
    ('3', '0 to 1,200')
    """
    least, most = counts
    return f"{most:,}" if least == most else f"{least:,} to {most:,}"


def told_runs(distinct: int, seeds: int) -> str:
    """Return how many distinct runs the seeds gave.

    >>> told_runs(1, 5), told_runs(5, 5)
    ('1 of 5', '5 of 5')
    """
    return f"{distinct} of {seeds}"


def _p(p: float) -> str:
    """Return a p-value.

    >>> _p(0.00004), _p(0.0312), _p(0.51)
    ('<0.001', '0.031', '0.51')
    """
    if p < 0.001:
        return "<0.001"
    return f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def told_gap(gap: float | None) -> str:
    """Return how much of the gap is closed, in percent.

    >>> told_gap(31.2), told_gap(-0.2), told_gap(None)
    ('31 %', '0 %', '–')
    """
    return LEFT_OUT if gap is None else f"{round(gap)} %"


def told_labels(labels: LabelsToTarget | None, last: float) -> str:
    """Return how many labels a target takes, and how many of the seeds got there.

    >>> told_labels(LabelsToTarget(162.5, 140.0, None, 4, 5), 300)
    '163 (4 of 5)'
    >>> told_labels(LabelsToTarget(None, None, None, 1, 5), 300)
    'over 300 (1 of 5)'
    """
    if labels is None:
        return LEFT_OUT
    if labels.median is None:
        found = f"over {last:,.0f}"
    else:
        found = f"{'at most ' if labels.at_most else ''}{math.ceil(labels.median):,}"
    return found if labels.n_reached == labels.n else f"{found} ({labels.n_reached} of {labels.n})"
