"""Labels to a target over several seeds, some of which do not reach it (censored)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import UsageError
from .curves import Reached
from .intervals import checked_share
from .runs import (
    LEAST_RUNS,
    Ids,
    checked_runs,
    count_runs,
    effective_size,
    independent_pairs,
)

__all__ = ["LabelsRatio", "LabelsToTarget", "labels_ratio", "median_labels_to_target"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LabelsToTarget:
    """The median number of labels to a target.

    Attributes
    ----------
    median
        None if fewer than half of the seeds reached the target.
    low, high
        Ends of the confidence interval; None for an undetermined end, below three distinct runs,
        and if both ends would be equal.
    n_reached, n
        Number of seeds that reached the target, and number of all seeds.
    at_most
        Whether the median is the number of labels of a seed that reached the target in its first
        round, so that fewer labels may be enough.
    """

    median: float | None
    low: float | None
    high: float | None
    n_reached: int
    n: int
    at_most: bool = False


@dataclass(frozen=True)
class LabelsRatio:
    """The ratio of the labels that two strategies a and b need to a target, over the same seeds.

    Attributes
    ----------
    ratio
        Median over the seeds of the labels of a divided by the labels of b; None if censored seeds
        make the ratio unknown.
    at_least, at_most
        Limits of the median for all possible values of censored seeds; equal to `ratio` if the
        ratio is known.
    low, high
        Confidence interval of the median, from the sign test; 0 and infinity if there are too few
        seeds, and if both ends would be equal. The level 0.95 needs 6 independent pairs.
    wins, ties, losses
        Number of seeds where a needed fewer labels than b, as many as b, and more than b.
    undecided
        Number of seeds where censoring hides which of a and b needed fewer labels.
    p_sign
        Two-sided exact p-value of the sign test on wins and losses. It is 1 without wins and
        losses, and NaN if a or b has fewer than three distinct runs.
    n
        Number of seeds.
    """

    ratio: float | None
    at_least: float
    at_most: float
    low: float
    high: float
    wins: int
    ties: int
    losses: int
    undecided: int
    p_sign: float
    n: int


def median_labels_to_target(
    reached: Sequence[Reached], *, level: float = 0.95, runs: Sequence[int] | None = None
) -> LabelsToTarget:
    """Return the median number of labels to a target, by the Kaplan-Meier estimate.

    A seed that did not reach the target is censored: it needs more labels than it had.

    Parameters
    ----------
    reached
        One entry for each seed, from `labels_to_target`.
    level
        Confidence level.
    runs
        Run numbers of the seeds, for example a column of `prefix_runs`. By default all runs are
        distinct. But if `reached` has fewer than three distinct entries, equal entries are one run.

    Notes
    -----
    The median is the number of labels at which the estimated share of seeds that have not reached
    the target falls to one half. If the share is then exactly one half, the median is the middle
    between this number of labels and the next at which a seed reached the target. The interval is
    by Brookmeyer and Crowley (1982, Biometrics 38) with Greenwood's variance on the log-log scale.
    With identical runs the variance is multiplied by n / m, where m is Kish's effective sample size
    of the n seeds.

    Examples
    --------
    >>> seeds = [Reached(120.0), Reached(150.0), Reached(180.0), Reached(None, 300)]
    >>> found = median_labels_to_target(seeds)
    >>> found.median, found.n_reached, found.n
    (165.0, 3, 4)
    """
    if not reached:
        raise UsageError("there is no seed: give at least one.")
    level = checked_share(level, "level")
    ids = _runs(reached, runs, "runs")
    widened = _widened(level, len(reached) / effective_size(np.bincount(ids)))
    times, survival, low_band, high_band = _kaplan_meier(reached, widened)  # (k,) each
    known = count_runs(ids) >= LEAST_RUNS
    median = _falls_to_half(times, survival)
    early = [seed.labels for seed in reached if seed.at_most]
    low = _falls_to_half(times, low_band) if known else None
    high = _falls_to_half(times, high_band) if known else None
    if low == high:  # the interval would have no width
        low = high = None
    return LabelsToTarget(
        median=median,
        low=low,
        high=high,
        n_reached=sum(seed.labels is not None for seed in reached),
        n=len(reached),
        at_most=median is not None and median in early,
    )


def labels_ratio(
    a: Sequence[Reached],
    b: Sequence[Reached],
    *,
    level: float = 0.95,
    runs: tuple[Sequence[int], Sequence[int]] | None = None,
) -> LabelsRatio:
    """Return the ratio of the labels that a and b need to a target, paired by seed.

    A censored seed gives a lower or an upper limit of its ratio. The interval is from the sign
    test. Seeds with the same run number for `a`, or the same run number for `b`, count as one
    observation.

    Parameters
    ----------
    a, b
        One entry for each seed, the same seeds in the same order, from `labels_to_target`.
    level
        Confidence level.
    runs
        Run numbers of the seeds of a and b; for the default see `median_labels_to_target`.

    Examples
    --------
    >>> mine = [Reached(100.0), Reached(90.0), Reached(120.0)]
    >>> random = [Reached(200.0), Reached(None, 300), Reached(300.0)]
    >>> found = labels_ratio(mine, random)  # ratios: 0.5, at most 0.3, and 0.4
    >>> found.ratio, found.at_least, found.at_most, found.wins
    (0.4, 0.4, 0.4, 3)
    """
    if not a or len(a) != len(b):
        raise UsageError(
            f"a has {len(a)} seeds and b {len(b)}: give one entry for each seed, the same seeds in "
            "the same order."
        )
    level = checked_share(level, "level")
    limits = [_ratio_limits(one, other) for one, other in zip(a, b, strict=True)]
    given = runs or (None, None)
    ids = _runs(a, given[0], "runs[0]"), _runs(b, given[1], "runs[1]")
    groups = independent_pairs(*ids)  # (n,)
    known = min(map(count_runs, (*ids, groups))) >= LEAST_RUNS
    lows, highs = (np.array(ends) for ends in zip(*limits, strict=True))  # (n,), (n,)
    at_least, at_most = float(np.median(lows)), float(np.median(highs))
    outcomes = [_fewer(one, other) for one, other in zip(a, b, strict=True)]
    k = int(groups.max()) + 1
    first = _order_statistic(k, level) if known else 0
    low = _of_groups(lows, groups)[first - 1] if first else 0.0
    high = _of_groups(highs, groups)[-first] if first else float("inf")
    if low == high:  # the interval would have no width
        low, high = 0.0, float("inf")
    return LabelsRatio(
        ratio=at_least if at_least == at_most else None,
        at_least=at_least,
        at_most=at_most,
        low=low,
        high=high,
        wins=outcomes.count("win"),
        ties=outcomes.count("tie"),
        losses=outcomes.count("loss"),
        undecided=outcomes.count("undecided"),
        p_sign=_sign_test_p(*_agreed(outcomes, groups)) if known else float("nan"),
        n=len(a),
    )


def _runs(reached: Sequence[Reached], runs: Sequence[int] | None, name: str) -> Ids:
    """Return the run numbers of the seeds; for the default see `median_labels_to_target`."""
    order = np.arange(len(reached))
    if runs is not None:
        return checked_runs(np.asarray(runs), order.astype(np.float64), name)
    places = {each: at for at, each in enumerate(dict.fromkeys(reached))}
    if len(places) >= LEAST_RUNS:
        return order
    return np.array([places[each] for each in reached], dtype=np.int64)


def _of_groups(ends: NDArray[np.float64], groups: Ids) -> list[float]:
    """Return the median of `ends` in each group, ascending."""
    return sorted(float(np.median(ends[groups == at])) for at in range(int(groups.max()) + 1))


def _agreed(outcomes: Sequence[str], groups: Ids) -> tuple[int, int]:
    """Return the numbers of groups where all seeds win, and where all seeds lose."""
    of_group: dict[int, set[str]] = {}
    for group, outcome in zip(groups.tolist(), outcomes, strict=True):
        of_group.setdefault(group, set()).add(outcome)
    agreed = list(of_group.values())
    return agreed.count({"win"}), agreed.count({"loss"})


def _widened(level: float, factor: float) -> float:
    """Return the level of a normal interval after its variance is multiplied by `factor`."""
    from scipy.special import ndtr, ndtri

    return float(1 - 2 * ndtr(-ndtri((1 + level) / 2) * np.sqrt(factor)))


def _kaplan_meier(
    reached: Sequence[Reached], level: float
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return numbers of labels, the share of seeds that need more, and the ends of its band."""
    from scipy.stats import CensoredData, ecdf

    ends = np.array([_last(seed) for seed in reached])  # (n,)
    censored = np.array([seed.labels is None for seed in reached])
    found = ecdf(CensoredData.right_censored(ends, censored)).sf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the band is NaN where the share is 0
        band = found.confidence_interval(level, method="log-log")
    event = np.isin(found.quantiles, ends[~censored])
    curves = (found.probabilities, band.low.probabilities, band.high.probabilities)
    survival, low, high = (curve[event] for curve in curves)
    return found.quantiles[event], survival, low, high


def _falls_to_half(times: NDArray[np.float64], curve: NDArray[np.float64]) -> float | None:
    """Return the first number of labels at which the curve is at most one half."""
    known = ~np.isnan(curve)
    times, curve = times[known], curve[known]
    reached = np.flatnonzero(curve <= 0.5 + 1e-9)
    if not reached.size:
        return None
    at = int(reached[0])
    if abs(curve[at] - 0.5) <= 1e-9 and at + 1 < len(curve):
        return float((times[at] + times[at + 1]) / 2)
    return float(times[at])


def _ratio_limits(a: Reached, b: Reached) -> tuple[float, float]:
    (a_low, a_high), (b_low, b_high) = _needs(a), _needs(b)
    low = 0.0 if np.isinf(b_high) else a_low / b_high
    return low, float("inf") if b_low == 0.0 else a_high / b_low


def _needs(seed: Reached) -> tuple[float, float]:
    """Return the minimum and the maximum number of labels that a seed needs."""
    if seed.labels is None:
        return _last(seed), float("inf")
    return 0.0 if seed.at_most else seed.labels, seed.labels


def _last(seed: Reached) -> float:
    end = seed.censored_at if seed.labels is None else seed.labels
    assert end is not None  # `Reached` holds one of the two
    return float(end)


def _fewer(a: Reached, b: Reached) -> str:
    """Return the outcome of a against b: win, tie, loss or undecided."""
    if _surely_fewer(a, b):
        return "win"
    if _surely_fewer(b, a):
        return "loss"
    exact = a.labels is not None and not a.at_most and not b.at_most
    return "tie" if exact and a.labels == b.labels else "undecided"


def _surely_fewer(a: Reached, b: Reached) -> bool:
    most, least = _needs(a)[1], _needs(b)[0]
    return most < least or (most == least and b.labels is None)


def _order_statistic(n: int, level: float) -> int:
    """Return the rank k of the ends of a confidence interval of the median of n values.

    It is the largest k for which the k-th smallest and k-th largest value enclose the median with
    at least this confidence; 0 if there is none.
    """
    from scipy.special import bdtr

    k = 0
    while 2 * (k + 1) <= n and 2 * float(bdtr(k, n, 0.5)) <= 1 - level:
        k += 1
    return k


def _sign_test_p(wins: int, losses: int) -> float:
    from scipy.stats import binomtest

    return float(binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0
