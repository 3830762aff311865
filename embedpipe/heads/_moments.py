"""Weighted means, scatter matrices and their eigenvectors: the state of closed-form heads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._threads import map_blocks, one_blas_thread
from ._arrays import Array, Codes, Float64

BLOCK_ROWS = 2048
"""Rows converted to float64 or to features in one block."""

BLOCKS_AT_ONCE = 4
"""Maximum blocks whose moments are in memory at the same time."""

RANK_TOLERANCE = 1e-12
"""Eigenvalues below this share of the largest are rounding errors."""

EQUAL_ROWS = 1e-24
"""Scatter below this share of the squared norms is rounding error: all rows are equal."""


@dataclass(frozen=True)
class Moments:
    """Weights, means and scatter of the rows of each class."""

    counts: Float64
    """(K,) total weight of the rows of each class."""
    means: Float64
    """(K, d) weighted means; zeros for a class without rows."""
    scatter: Float64 | None
    """(d, d) weighted sum of ``(x - class mean)(x - class mean)'`` over all rows, or None."""

    @property
    def within(self) -> Float64:
        """The scatter; an error if it was not computed."""
        if self.scatter is None:
            raise ValueError("these moments were computed without scatter")
        return self.scatter

    @property
    def mean(self) -> Float64:
        """The (d,) weighted mean of all rows."""
        return np.asarray(self.counts @ self.means / self.counts.sum())


def moments_of(
    rows: Array,
    codes: Codes,
    weights: Float64,
    n_classes: int,
    *,
    scatter: bool,
    features: Callable[[Array], Array] | None = None,
) -> Moments:
    """Return the moments of (m, d) rows, or of their `features`.

    The rows are sorted by class, and m >= 1. Takes O(m d) time, or O(m d²) with `scatter`, on up to
    four threads. Each thread holds three float64 blocks of 2,048 rows, and its scatter.
    """

    def compute(start: int, stop: int) -> Moments:
        part = slice(start, stop)
        block = rows[part] if features is None else features(rows[part])  # (b, f)
        return _moments_of_block(block, codes[part], weights[part], n_classes, scatter=scatter)

    total: list[Moments] = []
    for first in range(0, len(rows), BLOCKS_AT_ONCE * BLOCK_ROWS):
        count = min(BLOCKS_AT_ONCE * BLOCK_ROWS, len(rows) - first)

        def work(part: slice, first: int = first) -> Moments:
            return compute(first + part.start, first + part.stop)

        total = [reduce(joined, total + map_blocks(work, count, BLOCK_ROWS))]
    return total[0]


def _moments_of_block(
    rows: Array, codes: Codes, weights: Float64, n_classes: int, *, scatter: bool
) -> Moments:
    counts = np.bincount(codes, weights=weights, minlength=n_classes).astype(np.float64)  # (K,)
    first = np.flatnonzero(np.diff(codes, prepend=-1))  # the first row of each class
    sums = np.zeros((n_classes, rows.shape[1]))
    sums[codes[first]] = np.add.reduceat(weights[:, None] * rows, first, axis=0)
    means = sums / np.where(counts > 0.0, counts, 1.0)[:, None]  # (K, d)
    if not scatter:
        return Moments(counts, means, None)
    centred = np.sqrt(weights)[:, None] * (rows - means[codes])  # (b, d)
    return Moments(counts, means, centred.T @ centred)


def joined(one: Moments, other: Moments) -> Moments:
    """Return the moments of two sets of rows together, without cancellation (Chan et al. 1983)."""
    counts = one.counts + other.counts  # (K,)
    share = other.counts / np.where(counts > 0.0, counts, 1.0)  # (K,)
    apart = other.means - one.means  # (K, d)
    means = one.means + share[:, None] * apart
    if one.scatter is None or other.scatter is None:
        return Moments(counts, means, None)
    both = np.flatnonzero(one.counts * share)  # (B,) classes with rows in both
    between = np.sqrt(one.counts * share)[both, None] * apart[both]  # (B, d)
    with one_blas_thread():
        scatter = between.T @ between  # (d, d)
    scatter += one.scatter
    scatter += other.scatter
    return Moments(counts, means, scatter)


def expand_classes(moments: Moments, at: NDArray[np.intp], n_classes: int) -> Moments:
    """Return the moments for `n_classes` classes; the present classes get the positions `at`."""
    counts, means = np.zeros(n_classes), np.zeros((n_classes, moments.means.shape[1]))
    counts[at], means[at] = moments.counts, moments.means
    return Moments(counts, means, moments.scatter)


class Spectrum(NamedTuple):
    """The positive eigenvalues of a (d, d) matrix, ascending, and their eigenvectors."""

    values: Float64
    """(r,), positive."""
    axes: Float64
    """(d, r) orthonormal columns."""


def spectrum_of_rows(rows: Float64) -> Spectrum:
    """Return the spectrum of ``rows.T @ rows`` for (m, d) rows: O(m d min(m, d)) time."""
    if len(rows) >= rows.shape[1]:
        return spectrum_of(rows.T @ rows)
    values, vectors = np.linalg.eigh(rows @ rows.T)  # (m,), (m, m)
    kept = _kept(values)
    axes = rows.T @ (vectors[:, kept] / np.sqrt(values[kept]))  # (d, r)
    return Spectrum(values[kept], axes)


def spectrum_of(matrix: Float64) -> Spectrum:
    """Return the spectrum of a positive semidefinite (d, d) matrix: O(d³) time."""
    values, axes = np.linalg.eigh(matrix)
    kept = _kept(values)
    return Spectrum(values[kept], axes[:, kept])


def drop_rounding_errors(spectrum: Spectrum, squares: float) -> Spectrum:
    """Return the spectrum of centred rows, or an empty one if the rows are equal up to rounding."""
    # `squares` is the squared norm of the mean, times the total weight of the rows.
    if spectrum.values.sum() > EQUAL_ROWS * squares:
        return spectrum
    return Spectrum(spectrum.values[:0], spectrum.axes[:, :0])


def _kept(values: Float64) -> slice:
    """Return the slice of ascending eigenvalues above rounding error."""
    floor = max(RANK_TOLERANCE * float(values[-1]), np.finfo(np.float64).tiny)
    return slice(int(np.searchsorted(values, floor, side="right")), None)
