"""Intervals over two sources of chance: the seeds with their pools, and the test items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..._threads import one_blas_thread
from ...errors import UsageError
from .curves import checked_curve
from .intervals import Interval, checked_share, cut, tail_quantiles
from .runs import LEAST_RUNS, effective_size

__all__ = ["CrossedIntervals", "area_of_items", "crossed_intervals"]

Floats = NDArray[np.float64]

RESAMPLES = 2_000
"""Default number of resamples of the test items."""

BLOCK = 4_000_000
"""Maximum entries of the matrix of counts: 32 MB."""

STEPS = 2.0**30
"""Values are rounded to multiples of 1 / STEPS. Sums of up to 2^22 of them are then exact in any
order, so the result does not depend on the number of threads."""


@dataclass(frozen=True)
class CrossedIntervals:
    """A mean over seeds and test items, with intervals for each source of chance.

    Attributes
    ----------
    over_items
        Bootstrap interval over test items: the same seeds with other test items.
    over_both
        Interval over seeds and test items: other seeds with other test items. The ends are NaN
        below three groups of seeds.
    """

    over_items: Interval
    over_both: Interval


def area_of_items(labelled: ArrayLike, correct: ArrayLike) -> Floats:
    """Return the area under the curve of each test item; their mean is the `area` of the curve.

    Parameters
    ----------
    labelled
        (R,) ascending numbers of labels in R rounds.
    correct
        (R, T) bool: whether the prediction of each of T test items is right.

    Returns
    -------
    (T,) float64
        The share of the budget during which the prediction is right, from 0 to 1.

    Examples
    --------
    >>> area_of_items([0, 100, 200], [[True, False], [True, True], [False, True]]).tolist()
    [0.75, 0.75]
    """
    right = np.asarray(correct)  # (R, T)
    if right.ndim != 2:
        raise UsageError(f"correct has the shape {right.shape}: give (R, T) rounds and test items.")
    budgets, _ = checked_curve(labelled, right.mean(axis=1))
    if len(budgets) == 1:
        return np.asarray(right[0], dtype=np.float64)
    widths = np.diff(budgets) / (budgets[-1] - budgets[0])  # (R - 1,)
    weights = (np.append(widths, 0.0) + np.append(0.0, widths)) / 2  # (R,)
    found = np.zeros(right.shape[1])
    for weight, row in zip(weights, right, strict=True):
        found += weight * row
    return found


def crossed_intervals(
    values: Sequence[ArrayLike],
    *,
    groups: Sequence[ArrayLike] | None = None,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
    within: tuple[float, float] | None = None,
) -> list[CrossedIntervals]:
    """Return intervals of K means over the same T test items, all with the same resamples.

    Parameters
    ----------
    values
        K arrays of shape (S, T): a number for each of S seeds and T test items. S may differ
        between the arrays. Examples are `area_of_items` of each seed, or differences of it between
        two strategies, paired by seed and test item.
    groups
        K arrays of (S,) group numbers; seeds of one group are one observation. By default, every
        seed is a group.
    level
        Confidence level.
    resamples, seed
        Number of resamples B of the test items, and their seed. O(B·K·T) time; at most 32 MB of
        memory, and 8·K·(B + T) bytes.
    within
        Minimum and maximum of the means; the intervals are clipped.

    Returns
    -------
    list of CrossedIntervals
        The ends of an interval are NaN if all values are equal.

    Notes
    -----
    `over_items` has the quantiles of the mean over resampled test items, widened as in
    `bootstrap_interval`. Seeds and test items are crossed random effects. `over_both` is Student's
    interval with the variance ``a + b - e``, but at least the larger of a and b. Here a is the
    squared standard error over seeds, and b is the squared standard error over test items. Both
    contain e: the mean square of the interaction, divided by the number of cells. For k groups, the
    degrees of freedom are ``(a + b - e)² / (a² / (k - 1) + b² / (T - 1))`` (Satterthwaite 1946).
    The interval is at least as wide as Student's interval over the seeds.

    No bootstrap of seeds and test items is exact (McCullagh 2000; Owen 2007, "The pigeonhole
    bootstrap", arXiv:0712.1111). A bootstrap of few seeds gives too short intervals, so the seeds
    are not resampled.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> right = rng.random((5, 200)) < 0.8 + rng.normal(0, 0.02, (5, 1))
    >>> found = crossed_intervals([right])[0]
    >>> print(found.over_items, found.over_both)
    0.8010 [0.7760, 0.8240] 0.8010 [0.7372, 0.8648]
    """
    level = checked_share(level, "level")
    tables = [np.asarray(each, dtype=np.float64) for each in values]  # (S, T) each
    if not tables or any(each.ndim != 2 or each.shape[1] != tables[0].shape[1] for each in tables):
        shapes = ", ".join(str(each.shape) for each in tables)
        raise UsageError(
            f"the values have the shapes {shapes}: give (S, T) arrays with the same T."
        )
    if resamples < 1:
        raise UsageError(f"resamples is {resamples!r}: give a whole number, at least 1.")
    means = np.array([each.mean(axis=0) for each in tables])  # (K, T)
    drawn = _resampled_means(means, resamples, seed)  # (B, K)
    ids = [None] * len(tables) if groups is None else [np.asarray(each) for each in groups]
    return [
        CrossedIntervals(
            _over_items(mean, draws, level, within),
            _over_both(table, np.arange(len(table)) if own is None else own, level, within),
        )
        for table, mean, draws, own in zip(tables, means, drawn.T, ids, strict=True)
    ]


def _resampled_means(means: Floats, resamples: int, seed: int) -> Floats:
    """Return the (B, K) means of resampled test items."""
    k, items = means.shape
    rng = np.random.default_rng(seed)
    whole = np.ascontiguousarray(np.rint(means.T * STEPS))  # (T, K) whole numbers
    size = max(1, BLOCK // max(items, 1))
    found = np.empty((resamples, k))
    for start in range(0, resamples, size):
        b = min(size, resamples - start)
        places = rng.integers(items, size=(b, items)) + items * np.arange(b)[:, None]  # (b, T)
        counts = np.bincount(places.ravel(), minlength=b * items).reshape(b, items)
        with one_blas_thread():
            found[start : start + b] = counts.astype(np.float64) @ whole  # (b, K)
    return np.asarray(found / (STEPS * items))


def _over_items(
    mean: Floats, drawn: Floats, level: float, within: tuple[float, float] | None
) -> Interval:
    """Return the bootstrap interval of a mean over (T,) test items."""
    from scipy.special import ndtr

    items, nan = len(mean), float("nan")
    estimate = float(mean.mean())
    if items < 2 or (np.rint(mean * STEPS) == np.rint(mean[0] * STEPS)).all():
        return Interval(estimate, nan, nan, items, level, nan)
    ends = np.quantile(drawn, ndtr(tail_quantiles(level, items, widened=True)))
    low, high = cut(float(ends[0]), float(ends[1]), within)
    return Interval(estimate, low, high, items, level, min(level, 1.0 - 2.0 ** (1 - items)))


def _over_both(
    table: Floats, ids: NDArray[np.int64], level: float, within: tuple[float, float] | None
) -> Interval:
    """Return Student's interval of a mean over (S, T) seeds and test items."""
    from scipy.special import stdtrit

    seeds, items = table.shape
    estimate, nan = float(table.mean()), float("nan")
    places, sizes = np.unique(ids, return_inverse=True, return_counts=True)[1:]
    k = len(sizes)
    if k < LEAST_RUNS or items < 2:
        return Interval(estimate, nan, nan, seeds, level, nan)
    rows = np.zeros((k, items))  # the mean of each group
    np.add.at(rows, places, table)
    rows /= sizes[:, None]
    m = effective_size(sizes)
    of_group, of_item = rows.mean(axis=1), rows.mean(axis=0)  # (k,), (T,)
    rest = rows - of_group[:, None] - of_item + of_group.mean()
    a = float(of_group.var(ddof=1)) / m
    b = float(table.mean(axis=0).var(ddof=1)) / items
    e = float((rest**2).sum()) / ((k - 1) * (items - 1)) / (m * items)
    variance = max(a + b - e, a, b)
    if variance < 1e-20:  # all values are equal
        return Interval(estimate, nan, nan, seeds, level, nan)
    freedom = variance**2 / (a**2 / (k - 1) + b**2 / (items - 1))
    quantiles = stdtrit([max(freedom, min(k, items) - 1), k - 1], (1 + level) / 2)  # (2,)
    half = float(np.max(quantiles * np.sqrt([variance, a])))
    low, high = cut(estimate - half, estimate + half, within)
    return Interval(estimate, low, high, seeds, level, level, distinct=k)
