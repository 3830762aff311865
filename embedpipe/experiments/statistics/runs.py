"""Identical runs: seeds with the same run are one observation."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import UsageError

__all__ = ["LEAST_RUNS", "count_runs", "effective_size", "independent_pairs", "prefix_runs"]

DECIMALS = 12
"""Decimals that differences are rounded to, so that 0.8 - 0.7 and 0.7 - 0.6 are equal."""

LEAST_RUNS = 3
"""Minimum number of distinct runs for an interval or a p-value."""

Ids = NDArray[np.int64]


def prefix_runs(*curves: ArrayLike) -> Ids:
    """Return (S, R) run numbers that are equal for identical runs, up to each round.

    Two seeds have equal numbers in column r if all their measures in rounds 0 to r are equal to 12
    decimals. The `curves` are (S, R) measures of S seeds in R rounds; NaN where a run has no round.

    Examples
    --------
    >>> prefix_runs([[0.5, 0.6], [0.5, 0.7], [0.5, 0.7]]).tolist()
    [[0, 0], [0, 1], [0, 1]]
    """
    arrays = [np.asarray(curve, dtype=np.float64) for curve in curves]
    if any(array.ndim != 2 or array.shape != arrays[0].shape for array in arrays):
        shapes = ", ".join(str(array.shape) for array in arrays)
        raise UsageError(f"the curves have the shapes {shapes}: give the same (S, R) for all.")
    # NaN is unequal to itself, so it is replaced by infinity.
    measures = np.stack([np.nan_to_num(np.round(a, DECIMALS), nan=np.inf) for a in arrays], axis=2)
    seeds, rounds = measures.shape[:2]
    found = np.zeros((seeds, rounds), dtype=np.int64)
    before = np.zeros((seeds, 1))
    for at in range(rounds):  # runs must be equal before this round and in it
        found[:, at] = _ids(np.hstack([before, measures[:, at]]))
        before = found[:, at : at + 1].astype(np.float64)
    return found


def checked_runs(runs: ArrayLike | None, values: NDArray[np.float64], name: str = "runs") -> Ids:
    """Return the (S,) run numbers of values; by default equal values are one run."""
    if runs is None:
        return _ids(np.nan_to_num(np.round(values, DECIMALS), nan=np.inf)[:, None])
    found = np.asarray(runs)
    if found.shape != values.shape:
        raise UsageError(
            f"{name} has the shape {found.shape} and the values {values.shape}: give one run "
            "number for each value."
        )
    return np.unique(found, return_inverse=True)[1].astype(np.int64)


def count_runs(runs: ArrayLike) -> int:
    """Return the number of distinct runs."""
    return len(np.unique(np.asarray(runs)))


def independent_pairs(a: Ids, b: Ids) -> Ids:
    """Return (n,) group numbers; equal for seeds with the same run of a, or the same of b."""
    groups, before = np.arange(len(a)), None
    while before is None or (groups != before).any():
        groups, before = _joined(_joined(groups, a), b), groups
    return np.unique(groups, return_inverse=True)[1].astype(np.int64)


def effective_size(counts: NDArray[np.int64]) -> float:
    """Return Kish's effective sample size (Σ n_i)² / Σ n_i² of groups of sizes n_i."""
    return float(counts.sum() ** 2 / (counts.astype(np.float64) ** 2).sum())


def _joined(groups: Ids, ids: Ids) -> Ids:
    """Return the smallest group number among the seeds with the same run, for each seed."""
    least = np.full(int(ids.max(initial=-1)) + 1, len(groups), dtype=np.int64)
    np.minimum.at(least, ids, groups)
    return np.asarray(least[ids])


def _ids(rows: NDArray[np.float64]) -> Ids:
    """Return an (S,) number for each row, equal for equal rows."""
    return np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
