"""Greedy Bayesian D-optimal design: observations with the largest joint information."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..._threads import map_blocks, one_blas_thread
from ...index.vectors import Matrix, row_blocks, take_rows

__all__ = ["DOptimalDesign", "DesignPicks", "LinearModel"]

Float64s = NDArray[np.float64]
Positions = NDArray[np.int64]

TIE = 1e-9
"""Relative difference below which gains are ties."""

REFRESHED = 32
"""Points in the first update for a pick; the number doubles in each further update."""

REFRESHED_BYTES = 16 << 20
"""Maximum bytes of features per update."""

BLOCK_ROWS = 512
"""Rows per block."""

BLOCK_COLUMNS = 512
"""Columns of the precision matrix per task of a thread."""

LEAST_PRIOR = 1e-8
"""Minimum prior for the dual form, as a share of the mean squared length of the features."""

ROUNDING = 2.0**-24
"""Unit roundoff of float32."""

TAKEN = -1.0
"""Bound of a picked point."""

NO_BOUND = 1e300
"""Bound used after a float32 overflow."""


@dataclass(frozen=True)
class LinearModel:
    """f(x) = features(x)·θ, where θ is normal with mean 0 and precision `prior`."""

    matrix: Matrix  # (n, d)
    features: Callable[[NDArray[Any]], NDArray[np.floating[Any]]]  # (k, d) to (k, e)
    prior: float  # precision of each entry of θ, positive

    def exact(self, rows: NDArray[np.int64]) -> Float64s:
        """Return the features of rows of the matrix: (k, e) float64."""
        vectors = take_rows(self.matrix, rows).astype(np.float64)  # (k, d)
        return np.asarray(self.features(vectors), dtype=np.float64)

    def narrow(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the features of rows of the matrix: (k, e) float32."""
        return np.asarray(self.features(take_rows(self.matrix, rows)), dtype=np.float32)


@dataclass(frozen=True)
class DesignPicks:
    """The picks of a greedy design; w and v as in `DOptimalDesign`."""

    positions: Positions  # (n,), in order of choice
    gains: Float64s  # (n,), ½·log(1 + w·v) when chosen
    variances: Float64s  # (n,), v when chosen


class DOptimalDesign:
    """The observations with the largest information about a linear model with Gaussian noise.

    An observation of x has precision w(x). With A the current precision of θ and v(x) = x·A⁻¹·x,
    its information is ½·log(1 + w·v), and A becomes A + w·x·x'. The information of a set is
    submodular: an earlier gain is an upper bound of the current gain. So most points keep a bound,
    at first from float32 products with a margin for rounding errors. Only points with the largest
    bound are updated, in float64, and the picks equal those of the plain algorithm.

    Time for u points, m observed rows, e features and r = min(m, e): O(m·e·r + u·e·r + r³) to
    start, then O(e·(r + t)) per update after t picks. Memory: 40 bytes per point, 8·e bytes per
    pick, and 24·e·r bytes.
    """

    def __init__(
        self, model: LinearModel, observed: NDArray[np.int64], observed_weights: Float64s
    ) -> None:
        self._model = model
        self._inverse = _inverse(model, observed, observed_weights)

    def greedy(self, rows: NDArray[np.int64], weights: Float64s, n: int) -> DesignPicks:
        """Pick `n` of (u,) `rows` with (u,) `weights` in [0, 1]; ties go to the lowest position."""
        bounds = weights * self.upper_bounds(rows)  # (u,)
        search = _Search(self._model, self._inverse, rows, weights, bounds, n)
        found = [search.take_best() for _ in range(n)]
        gains, variances = np.array([(gain, variance) for _, gain, variance in found]).T
        return DesignPicks(np.array([at for at, _, _ in found], np.int64), gains, variances)

    def upper_bounds(self, rows: NDArray[np.int64]) -> Float64s:
        """Return upper bounds of v at `rows`: (u,)."""
        factor = self._inverse.factor  # (e, r)
        # The error of each entry of a float32 product is at most e roundoffs times the norms of its
        # row and column, for any order of summation. Computing the features
        # in float32 adds the same error.
        error = _margin(factor) * float(np.linalg.norm(factor))
        with np.errstate(over="ignore"):
            narrow = factor.astype(np.float32)
        bounds = np.empty(rows.size)

        def work(part: slice) -> None:
            x = self._model.narrow(rows[part])  # (k, e)
            lengths = np.sqrt(np.einsum("ke,ke->k", x, x, dtype=np.float64))  # (k,)
            with np.errstate(over="ignore", invalid="ignore"):
                product = x @ narrow  # (k, r)
                sizes = np.sqrt(np.einsum("kr,kr->k", product, product, dtype=np.float64))
                bounds[part] = self._inverse.bound(lengths, sizes, error * lengths)

        map_blocks(work, rows.size, BLOCK_ROWS)
        return np.nan_to_num(bounds, nan=NO_BOUND, posinf=NO_BOUND)


class _Inverse(Protocol):
    """A⁻¹, represented by a `factor` (e, r)."""

    @property
    def factor(self) -> Float64s: ...

    def variances(self, x: Float64s) -> Float64s:
        """Return x·A⁻¹·x for each row of `x`, (k, e): (k,)."""
        ...

    def times(self, x: Float64s) -> Float64s:
        """Return A⁻¹·x for `x`, (e,): (e,)."""
        ...

    def bound(self, lengths: Float64s, sizes: Float64s, error: Float64s) -> Float64s:
        """Return an upper bound of x·A⁻¹·x from |x| and |x·factor| ± `error`."""
        ...


@dataclass(frozen=True)
class _Primal:
    """A⁻¹ = F·F', with F' the inverse of the lower triangle L of A = L·L'."""

    factor: Float64s

    @classmethod
    def of(cls, precision: Float64s) -> _Primal:
        from scipy.linalg import solve_triangular

        with one_blas_thread():
            lower = _lower(precision)  # (e, e)
            return cls(solve_triangular(lower, np.eye(len(lower)), lower=True).T)

    def variances(self, x: Float64s) -> Float64s:
        return np.asarray(np.square(x @ self.factor).sum(axis=1))

    def times(self, x: Float64s) -> Float64s:
        return self.factor @ (x @ self.factor)

    def bound(self, lengths: Float64s, sizes: Float64s, error: Float64s) -> Float64s:
        return np.asarray((sizes + error) ** 2)


@dataclass(frozen=True)
class _Dual:
    """A⁻¹ = (1 − F·F')/prior by Woodbury's identity, where F is (e, m).

    With K the (m, e) observed features times √w, F' = L⁻¹·K, where L·L' = prior + K·K'.
    """

    factor: Float64s
    prior: float

    @classmethod
    def of(cls, known: Float64s, prior: float) -> _Dual:
        from scipy.linalg import solve_triangular

        with one_blas_thread():
            gram = known @ known.T  # (m, m)
            gram[np.diag_indices(len(gram))] += prior
            factor = solve_triangular(_lower(gram), known, lower=True).T  # (e, m)
        return cls(np.ascontiguousarray(factor), prior)

    def variances(self, x: Float64s) -> Float64s:
        within = np.square(x @ self.factor).sum(axis=1)  # (k,)
        return np.asarray(np.maximum(np.square(x).sum(axis=1) - within, 0) / self.prior)

    def times(self, x: Float64s) -> Float64s:
        return (x - self.factor @ (x @ self.factor)) / self.prior

    def bound(self, lengths: Float64s, sizes: Float64s, error: Float64s) -> Float64s:
        within = np.maximum(sizes - error, 0)
        beyond = lengths**2 * (1 + 2 * _margin(self.factor)) - within**2  # (k,)
        return np.asarray(np.maximum(beyond, 0) / self.prior)


def _inverse(model: LinearModel, observed: NDArray[np.int64], weights: Float64s) -> _Inverse:
    """Return the inverse of prior + the sum of w·x·x' over the observed rows."""
    first = model.exact(observed[:BLOCK_ROWS])  # (k, e)
    size = first.shape[1]
    squared_length = float(np.square(first).sum(axis=1).mean())
    if observed.size < size and model.prior > LEAST_PRIOR * squared_length:
        return _Dual.of(model.exact(observed) * np.sqrt(weights)[:, None], model.prior)
    precision = np.zeros((size, size))
    for part in row_blocks(observed.size, BLOCK_ROWS):
        known = model.exact(observed[part]) * np.sqrt(weights[part])[:, None]  # (k, e)

        def work(columns: slice, known: Float64s = known) -> None:
            precision[columns] += known[:, columns].T @ known

        map_blocks(work, size, BLOCK_COLUMNS)
    precision[np.diag_indices(size)] += model.prior
    return _Primal.of(precision)


def _lower(matrix: Float64s) -> Float64s:
    """Return the Cholesky factor of a positive matrix; add jitter if rounding requires it."""
    diagonal = np.diag_indices(len(matrix))
    jitter = len(matrix) * float(np.finfo(np.float64).eps)
    while True:
        try:
            return np.asarray(np.linalg.cholesky(matrix), dtype=np.float64)
        except np.linalg.LinAlgError:  # indefinite after rounding
            matrix[diagonal] *= 1 + jitter
            jitter *= 10


def _margin(factor: Float64s) -> float:
    """Return a bound on the relative error of float32 features and their products."""
    return (2 * len(factor) + 8) * ROUNDING


class _Search:
    """Finds the point with the largest gain, although most points have only a bound."""

    def __init__(
        self,
        model: LinearModel,
        inverse: _Inverse,
        rows: NDArray[np.int64],
        weights: Float64s,
        bounds: Float64s,
        n: int,
    ) -> None:
        self._model, self._inverse, self._rows, self._weights = model, inverse, rows, weights
        self._bounds = bounds  # (u,) of w·v; `TAKEN` for picked points
        self._variances = np.empty(rows.size)  # (u,) v at the last update
        self._seen = np.full(rows.size, -1, dtype=np.int32)  # number of picks at the last update
        self._steps = np.zeros((n, len(inverse.factor)))  # (n, e): A⁻¹ is inverse − steps'·steps
        self._picked = 0

    def take_best(self) -> tuple[int, float, float]:
        """Observe the best point; return its position, gain and previous variance."""
        with one_blas_thread():
            best = self._best()
            self._refresh(np.array([best]))
            weight, variance = float(self._weights[best]), float(self._variances[best])
            x = self._model.exact(self._rows[[best]])[0]  # (e,)
            steps = self._steps[: self._picked]
            away = self._inverse.times(x) - steps.T @ (steps @ x)  # (e,): A⁻¹·x
            # Sherman and Morrison's identity
            self._steps[self._picked] = away * np.sqrt(weight / (1 + weight * variance))
            self._picked += 1
            self._bounds[best] = TAKEN
        return best, 0.5 * float(np.log1p(weight * variance)), variance

    def _best(self) -> int:
        count, most = REFRESHED, max(REFRESHED, REFRESHED_BYTES // self._steps[:1].nbytes)
        while True:
            largest = self._bounds.max()
            tied = np.flatnonzero(self._bounds >= largest - TIE * largest)
            exact = self._seen[tied] == self._picked
            if largest == 0 or exact.all():  # no gain is below 0, so a bound of 0 is exact
                return int(tied[0])
            self._refresh(self._stale(count))
            count = min(2 * count, most)

    def _stale(self, count: int) -> Positions:
        """Return the outdated points with the largest bounds, ascending."""
        bounds = np.where(self._seen == self._picked, TAKEN, self._bounds)  # (u,)
        count = min(count, bounds.size)
        found = np.argpartition(bounds, bounds.size - count)[bounds.size - count :]
        return np.sort(found[bounds[found] != TAKEN])

    def _refresh(self, at: Positions) -> None:
        """Update the bounds of points, in float64."""
        x = self._model.exact(self._rows[at])  # (k, e)
        new = self._seen[at] < 0
        if new.any():
            self._variances[at[new]] = self._inverse.variances(x[new])
            self._seen[at[new]] = 0
        seen = self._seen[at]  # (k,)
        oldest = int(seen.min())
        drops = np.square(x @ self._steps[oldest : self._picked].T)  # (k, t)
        drops[np.arange(oldest, self._picked) < seen[:, None]] = 0  # already subtracted
        self._variances[at] = np.maximum(self._variances[at] - drops.sum(axis=1), 0)
        self._bounds[at] = self._weights[at] * self._variances[at]
        self._seen[at] = self._picked
