"""Statistics as text, for the terminal and for pages."""

from __future__ import annotations

import math
from collections.abc import Iterable

from .problems import Pools, TargetSize
from .statistics import Comparison, Interval, LabelsToTarget, detectable_difference

__all__ = [
    "LEFT_OUT",
    "format_comparison",
    "format_detectable",
    "format_ends",
    "format_expected",
    "format_gap",
    "format_interval",
    "format_labels",
    "format_outcome",
    "format_pools",
    "format_range",
    "format_runs",
    "format_stream_pools",
    "format_target",
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


def format_ends(interval: Interval | None, digits: int = 3, *, signed: bool = False) -> str:
    """Return an interval without its estimate."""
    if interval is None or math.isnan(interval.low):
        return LEFT_OUT
    sign = "+" if signed else ""
    return f"[{interval.low:{sign}.{digits}f}, {interval.high:{sign}.{digits}f}]"


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
    if math.isnan(comparison.low):
        return f"both are equal ({seeds})"
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


def format_detectable(compared: Iterable[Comparison | None]) -> str:
    """Return what comparisons without a significant difference could have found.

    The text is blank if a difference is significant or nothing was tested.
    """
    tested = [each for each in compared if each is not None and each.reason is None]
    if any(each.significant() for each in tested):
        return ""
    found = [detectable_difference(each, tests=len(tested)) for each in tested]
    known = [each for each in found if not math.isnan(each)]
    if not known:
        return ""
    return (
        f"A difference of less than about {100 * min(known):.1f} points cannot be found reliably "
        "with so few runs (80 % power)."
    )


def format_range(counts: tuple[int, int]) -> str:
    """Return the smallest and the largest count over the seeds."""
    least, most = counts
    return f"{most:,}" if least == most else f"{least:,} to {most:,}"


def format_pools(pools: Pools, noun: str = "candidates") -> str:
    """Return how the pool of each seed was drawn; `noun` names the images.

    Examples
    --------
    >>> format_pools(Pools(0.8, (1120, 1120), (1400, 1400), are_equal=False))
    'each seed: its own random 80 % of the 1,400 candidates'
    >>> format_pools(Pools(1.0, (1400, 1400), (1400, 1400), are_equal=True))
    'all seeds: the same 1,400 candidates'
    """
    candidates = f"{format_range(pools.candidates)} {noun}"
    if pools.share == 1:
        return f"{'all seeds: the same' if pools.are_equal else 'each seed: its own'} {candidates}"
    text = f"each seed: its own random {100 * pools.share:g} % of the {candidates}"
    if pools.are_too_small:
        text += (
            f"; runs end early, because {format_range(pools.sizes)} are fewer than the "
            f"{pools.needed:,} labels of all rounds"
        )
    return text


def format_stream_pools(pools: Pools) -> str:
    """Return how the training images of each seed of a stream were drawn.

    Examples
    --------
    >>> format_stream_pools(Pools(0.8, (1120, 1120), (1400, 1400), are_equal=False))
    'each seed: its own random 80 % of the 1,400 training images, drawn in each experience'
    """
    text = format_pools(pools, "training images")
    return text if pools.share == 1 else f"{text}, drawn in each experience"


def format_target(target: TargetSize) -> str:
    """Return the target of the picks, and whether the accuracy is measured on it.

    Examples
    --------
    >>> format_target(TargetSize("shop", 120, 0))
    '120 images of shop'
    >>> format_target(TargetSize("test", 397, 397))
    '397 images of test; 397 are test images, so the accuracy is transductive'
    """
    text = f"{target.items:,} images of {target.name}"
    if target.test_items:
        text += f"; {target.test_items:,} are test images, so the accuracy is transductive"
    return text


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


def format_expected(on_rest: tuple[float, float] | None) -> str:
    """Return the expected accuracy on the rest of the pool, and the measured one in brackets."""
    return LEFT_OUT if on_rest is None else "{:.3f} ({:.3f})".format(*on_rest)


def format_labels(labels: LabelsToTarget | None, last: float) -> str:
    """Return the labels to a target; if some seeds missed it, also how many reached it."""
    if labels is None:
        return LEFT_OUT
    if labels.median is None:
        text = f"over {last:,.0f}"
    else:
        text = f"{'at most ' if labels.at_most else ''}{math.ceil(labels.median):,}"
    return text if labels.n_reached == labels.n else f"{text} ({labels.n_reached} of {labels.n})"
