"""Which seeds gave the same run: identical runs are one observation, however often they occur."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import UsageError

__all__ = ["LEAST_RUNS", "count_runs", "effective_size", "independent_pairs", "prefix_runs"]

DECIMALS = 12
"""Decimals that differences are rounded to: 0.8 - 0.7 and 0.7 - 0.6 are the same difference."""

LEAST_RUNS = 3
"""Distinct runs below which there is no interval and no p-value."""

Ids = NDArray[np.int64]


def prefix_runs(*curves: ArrayLike) -> Ids:
    """Return which seeds have the same run, round by round.

    Parameters
    ----------
    *curves
        (S, R) measures of the same S runs; NaN where a run has no such round. Numbers are rounded
        to 12 decimals.

    Returns
    -------
    ndarray
        (S, R) int64. Two seeds have the same number in column r if all measures of their rounds 0
        to r are equal. The last column compares whole runs.

    Raises
    ------
    UsageError
        If the shapes differ or are not (S, R).

    Examples
    --------
    >>> prefix_runs([[0.5, 0.6], [0.5, 0.7], [0.5, 0.7]]).tolist()
    [[0, 0], [0, 1], [0, 1]]
    """
    arrays = [np.asarray(curve, dtype=np.float64) for curve in curves]
    if any(array.ndim != 2 or array.shape != arrays[0].shape for array in arrays):
        shapes = ", ".join(str(array.shape) for array in arrays)
        raise UsageError(f"the curves have the shapes {shapes}: give (S, R) for all measures.")
    # NaN is unequal to itself; infinity is no measure and can stand for it.
    measures = np.stack([np.nan_to_num(np.round(a, DECIMALS), nan=np.inf) for a in arrays], axis=2)
    seeds, rounds = measures.shape[:2]
    found = np.zeros((seeds, rounds), dtype=np.int64)
    before = np.zeros((seeds, 1))
    for at in range(rounds):  # what was the same before, and is the same in this round
        found[:, at] = _ids(np.hstack([before, measures[:, at]]))
        before = found[:, at : at + 1].astype(np.float64)
    return found


def checked_runs(runs: ArrayLike | None, values: NDArray[np.float64], name: str = "runs") -> Ids:
    """Return which run each value is from, (S,): as given, or the same for equal values."""
    if runs is None:
        return _ids(np.nan_to_num(np.round(values, DECIMALS), nan=np.inf)[:, None])
    found = np.asarray(runs)
    if found.shape != values.shape:
        raise UsageError(
            f"{name} has the shape {found.shape} and the values {values.shape}: give one run for "
            "each value."
        )
    return np.unique(found, return_inverse=True)[1].astype(np.int64)


def count_runs(runs: ArrayLike) -> int:
    """Return how many distinct runs there are."""
    return len(np.unique(np.asarray(runs)))


def independent_pairs(a: Ids, b: Ids) -> Ids:
    """Return group numbers, (n,): seeds that share a run on either side are in one group."""
    groups, before = np.arange(len(a)), None
    while before is None or (groups != before).any():
        groups, before = _joined(_joined(groups, a), b), groups
    return np.unique(groups, return_inverse=True)[1].astype(np.int64)


def effective_size(counts: NDArray[np.int64]) -> float:
    """Return Kish's effective sample size, (Σ n_i)² / Σ n_i², of groups of sizes n_i."""
    return float(counts.sum() ** 2 / (counts.astype(np.float64) ** 2).sum())


def _joined(groups: Ids, ids: Ids) -> Ids:
    """Return for each seed the smallest group of all seeds with its run."""
    least = np.full(int(ids.max(initial=-1)) + 1, len(groups), dtype=np.int64)
    np.minimum.at(least, ids, groups)
    return np.asarray(least[ids])


def _ids(rows: NDArray[np.float64]) -> Ids:
    """Return a number for each row, the same for equal rows: (S,)."""
    return np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
