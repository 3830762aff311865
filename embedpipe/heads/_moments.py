"""What closed-form heads remember of rows: how many, their means, and how they spread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._threads import map_blocks, one_blas_thread
from ._inputs import Codes
from ._weights import Float64

Rows = NDArray[np.floating[Any]]

BLOCK_ROWS = 2048
"""Rows that are made float64, or features, at a time."""

GROUP = 4
"""Blocks whose moments are held at the same time."""


@dataclass(frozen=True)
class Moments:
    """Weights, means and spread of the rows of each class; sums of two sets are exact.

    Attributes
    ----------
    counts
        (K,) float64: the total weight of the rows of each class.
    means
        (K, d) float64: their weighted means; zeros for a class without rows.
    scatter
        (d, d) float64: the weighted sum of ``(x - mean of its class)(x - mean of its class)'``
        over all rows, or None if it was not asked for.
    """

    counts: Float64
    means: Float64
    scatter: Float64 | None

    @property
    def spread(self) -> Float64:
        """The scatter, where it was asked for."""
        if self.scatter is None:
            raise ValueError("these moments were taken without scatter")
        return self.scatter

    @property
    def mean(self) -> Float64:
        """The (d,) weighted mean of all rows."""
        return np.asarray(self.counts @ self.means / self.counts.sum())


def moments_of(
    rows: Rows,
    codes: Codes,
    weights: Float64,
    n_classes: int,
    *,
    scatter: bool,
    features: Callable[[Rows], Rows] | None = None,
) -> Moments:
    """Return the moments of (m, d) rows that are sorted by class, m >= 1.

    With `features`, those of what it makes of the rows, a block at a time: features may be many
    more than the rows have entries. O(m d) time, O(m d²) with `scatter`, on up to four threads;
    extra memory: for each thread three blocks of 2,048 rows as float64, and its scatter.

    Examples
    --------
    >>> rows = np.array([[0.0], [2.0], [5.0]], dtype=np.float32)
    >>> moments = moments_of(rows, np.array([0, 0, 1]), np.ones(3), 2, scatter=True)
    >>> moments.counts.tolist(), moments.means.tolist(), moments.scatter.tolist()
    ([2.0, 1.0], [[1.0], [5.0]], [[2.0]])
    """

    def of(start: int, stop: int) -> Moments:
        part = slice(start, stop)
        found = rows[part] if features is None else features(rows[part])  # (b, f)
        return _moments_of_block(found, codes[part], weights[part], n_classes, scatter=scatter)

    found: list[Moments] = []
    for first in range(0, len(rows), GROUP * BLOCK_ROWS):
        count = min(GROUP * BLOCK_ROWS, len(rows) - first)

        def work(part: slice, first: int = first) -> Moments:
            return of(first + part.start, first + part.stop)

        found = [reduce(joined, found + map_blocks(work, count, BLOCK_ROWS))]
    return found[0]


def _moments_of_block(
    rows: Rows, codes: Codes, weights: Float64, n_classes: int, *, scatter: bool
) -> Moments:
    counts = np.bincount(codes, weights=weights, minlength=n_classes).astype(np.float64)  # (K,)
    first = np.flatnonzero(np.diff(codes, prepend=-1))  # where a class begins
    sums = np.zeros((n_classes, rows.shape[1]))
    sums[codes[first]] = np.add.reduceat(weights[:, None] * rows, first, axis=0)
    means = sums / np.where(counts > 0.0, counts, 1.0)[:, None]  # (K, d)
    if not scatter:
        return Moments(counts, means, None)
    centred = np.sqrt(weights)[:, None] * (rows - means[codes])  # (b, d)
    return Moments(counts, means, centred.T @ centred)


def joined(one: Moments, other: Moments) -> Moments:
    """Return the moments of the rows of both; the same classes, and scatter in both or neither.

    Chan, Golub, LeVeque (1983): nothing cancels, wherever the rows lie.

    Examples
    --------
    >>> one = Moments(np.array([2.0]), np.array([[0.0]]), np.array([[0.0]]))
    >>> other = Moments(np.array([2.0]), np.array([[4.0]]), np.array([[2.0]]))
    >>> both = joined(one, other)
    >>> both.counts.tolist(), both.means.tolist(), both.scatter.round(9).tolist()
    ([4.0], [[2.0]], [[18.0]])
    """
    counts = one.counts + other.counts  # (K,)
    share = other.counts / np.where(counts > 0.0, counts, 1.0)  # (K,)
    apart = other.means - one.means  # (K, d)
    means = one.means + share[:, None] * apart
    if one.scatter is None or other.scatter is None:
        return Moments(counts, means, None)
    both = np.flatnonzero(one.counts * share)  # (B,): the means of other classes do not move
    between = np.sqrt(one.counts * share)[both, None] * apart[both]  # (B, d)
    with one_blas_thread():
        scatter = between.T @ between  # (d, d)
    scatter += one.scatter
    scatter += other.scatter
    return Moments(counts, means, scatter)


def widened(moments: Moments, at: NDArray[np.intp], n_classes: int) -> Moments:
    """Return the moments with the classes at the positions `at` among `n_classes`."""
    counts, means = np.zeros(n_classes), np.zeros((n_classes, moments.means.shape[1]))
    counts[at], means[at] = moments.counts, moments.means
    return Moments(counts, means, moments.scatter)
