"""Greedy Bayesian D-optimal design: observations that together tell the most about weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..._threads import map_blocks, one_blas_thread
from ...index.vectors import row_blocks, take_rows

__all__ = ["DOptimalDesign", "DesignPicks", "LinearModel"]

Float64s = NDArray[np.float64]
Positions = NDArray[np.int64]

TIE = 1e-9
"""Gains that differ by less than this share are the same: the rest is rounding."""

REFRESHED = 32
"""How many points are brought up to date at first; twice as many each time that is not enough."""

REFRESHED_BYTES = 16 << 20
"""How many bytes of features are brought up to date at most at a time."""

BLOCK_ROWS = 512
"""How many rows are multiplied at a time."""

BLOCK_COLUMNS = 512
"""How many columns of the precision one thread works on at a time."""

LEAST_PRIOR = 1e-8
"""Priors below this share of the squared length of a vector would cost the dual its digits."""

ROUNDING = 2.0**-24
"""Unit roundoff of float32."""

TAKEN = -1.0
"""The bound of a point that has been picked."""

NO_BOUND = 1e300
"""The bound where float32 overflowed."""


@dataclass(frozen=True)
class LinearModel:
    """f(x) = features(x)·θ, with θ normal around 0 of precision `prior`.

    Attributes
    ----------
    matrix
        (n, d) float32 array or memory map.
    features
        Turns (k, d) vectors into (k, e) features of the same precision.
    prior
        Precision of each entry of θ, positive.
    """

    matrix: NDArray[np.float32]
    features: Callable[[NDArray[Any]], NDArray[np.floating[Any]]]
    prior: float

    def exact(self, rows: NDArray[np.int64]) -> Float64s:
        """Return the features of rows of the matrix: (k, e) float64."""
        vectors = take_rows(self.matrix, rows).astype(np.float64)  # (k, d)
        return np.asarray(self.features(vectors), dtype=np.float64)

    def narrow(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the features of rows of the matrix: (k, e) float32."""
        return np.asarray(self.features(take_rows(self.matrix, rows)), dtype=np.float32)


@dataclass(frozen=True)
class DesignPicks:
    """The points of a greedy design.

    Attributes
    ----------
    positions
        (n,) int64, in order of choice.
    gains, variances
        (n,) float64: ½·log(1 + w·v) and v of each when it was chosen.
    """

    positions: Positions
    gains: Float64s
    variances: Float64s


class DOptimalDesign:
    """The points that tell the most about a linear model with Gaussian noise.

    An observation of x has the precision w(x). With A the precision of θ after what has been
    observed and v(x) = x·A⁻¹·x, one of x tells ½·log(1 + w·v) about θ and turns A into
    A + w·x·x'. What a set tells is the sum, in any order: half the logarithm of the ratio of
    det A after and before. It is submodular, so n greedy picks tell at least 1 − 1/e of the most
    that any n points can, and a gain from before the last picks is an upper bound of it now.

    Most points are never looked at again: they keep a bound, at first from float32 products with
    a margin for their rounding, later what was worked out last. Points are brought up to date in
    float64 while their bound is the largest, so the picks are those of the plain algorithm.

    Parameters
    ----------
    model
        The features, and what is known of θ beforehand.
    observed, observed_weights
        (m,) rows of the matrix and their w: what has been observed.

    Notes
    -----
    With u points and r = min(m, e): O(m·e·r + u·e·r + r³) time to begin with, then O(e·(r + t))
    for each point that is brought up to date after t picks. Memory: 40 bytes per point, 8·e per
    pick, and 24·e·r in all.

    Examples
    --------
    Two directions, the first of which has been observed once; its copy has half the variance:

    >>> matrix = np.array([[1, 0], [1, 0], [0, 1], [0.6, 0.8]], dtype=np.float32)
    >>> model = LinearModel(matrix, features=lambda vectors: vectors, prior=1.0)
    >>> design = DOptimalDesign(model, observed=np.array([0]), observed_weights=np.ones(1))
    >>> picks = design.greedy(np.array([1, 2]), np.ones(2), 2)
    >>> picks.positions.tolist(), picks.variances.round(4).tolist()
    ([1, 0], [1.0, 0.5])
    """

    def __init__(
        self, model: LinearModel, observed: NDArray[np.int64], observed_weights: Float64s
    ) -> None:
        self._model = model
        self._inverse = _inverse(model, observed, observed_weights)

    def greedy(self, rows: NDArray[np.int64], weights: Float64s, n: int) -> DesignPicks:
        """Pick `n` of (u,) `rows` with (u,) `weights` in [0, 1]; ties by lowest position."""
        bounds = weights * self.upper_bounds(rows)  # (u,)
        search = _Search(self._model, self._inverse, rows, weights, bounds, n)
        found = [search.take_best() for _ in range(n)]
        gains, variances = np.array([(gain, variance) for _, gain, variance in found]).T
        return DesignPicks(np.array([at for at, _, _ in found], np.int64), gains, variances)

    def upper_bounds(self, rows: NDArray[np.int64]) -> Float64s:
        """Return what v is at most at `rows`, close to what it is: (u,)."""
        factor = self._inverse.factor  # (e, r)
        # Each entry of a float32 product is off by at most e roundoffs of the norms of its row
        # and its column multiplied, whatever the order of summation; features by as much again.
        off = _margin(factor) * float(np.linalg.norm(factor))
        with np.errstate(over="ignore"):
            narrow = factor.astype(np.float32)
        bounds = np.empty(rows.size)

        def work(part: slice) -> None:
            x = self._model.narrow(rows[part])  # (k, e)
            lengths = np.sqrt(np.einsum("ke,ke->k", x, x, dtype=np.float64))  # (k,)
            with np.errstate(over="ignore", invalid="ignore"):
                product = x @ narrow  # (k, r)
                sizes = np.sqrt(np.einsum("kr,kr->k", product, product, dtype=np.float64))
                bounds[part] = self._inverse.bound(lengths, sizes, off * lengths)

        map_blocks(work, rows.size, BLOCK_ROWS)
        return np.nan_to_num(bounds, nan=NO_BOUND, posinf=NO_BOUND)


class _Inverse(Protocol):
    """A⁻¹, by a `factor` (e, r)."""

    @property
    def factor(self) -> Float64s: ...

    def variances(self, x: Float64s) -> Float64s:
        """Return x·A⁻¹·x of (k, e): (k,)."""
        ...

    def times(self, x: Float64s) -> Float64s:
        """Return A⁻¹·x of (e,): (e,)."""
        ...

    def bound(self, lengths: Float64s, sizes: Float64s, off: Float64s) -> Float64s:
        """Return what x·A⁻¹·x is at most, given |x| and |x·factor| give or take `off`."""
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

    def bound(self, lengths: Float64s, sizes: Float64s, off: Float64s) -> Float64s:
        return np.asarray((sizes + off) ** 2)


@dataclass(frozen=True)
class _Dual:
    """A⁻¹ = (1 − F·F')/prior by Woodbury's identity, with F narrow: (e, m).

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

    def bound(self, lengths: Float64s, sizes: Float64s, off: Float64s) -> Float64s:
        within = np.maximum(sizes - off, 0)
        beyond = lengths**2 * (1 + 2 * _margin(self.factor)) - within**2  # (k,)
        return np.asarray(np.maximum(beyond, 0) / self.prior)


def _inverse(model: LinearModel, observed: NDArray[np.int64], weights: Float64s) -> _Inverse:
    """Return the inverse of prior + the sum of w·x·x' over what has been observed."""
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
    """Return L with L·L' a positive matrix, or one that differs from it by rounding alone."""
    diagonal = np.diag_indices(len(matrix))
    jitter = len(matrix) * float(np.finfo(np.float64).eps)
    while True:
        try:
            return np.asarray(np.linalg.cholesky(matrix), dtype=np.float64)
        except np.linalg.LinAlgError:  # rounding made it indefinite
            matrix[diagonal] *= 1 + jitter
            jitter *= 10


def _margin(factor: Float64s) -> float:
    """Return how far float32 features and their products can be off, as a share of norms."""
    return (2 * len(factor) + 8) * ROUNDING


class _Search:
    """Which point is the best now, when most are known by a bound alone."""

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
        self._bounds = bounds  # (u,) of w·v; TAKEN once picked
        self._variances = np.empty(rows.size)  # when it was last worked out
        self._seen = np.full(rows.size, -1, dtype=np.int32)  # how many picks that knew of
        self._steps = np.zeros((n, len(inverse.factor)))  # (n, e): A⁻¹ is inverse − steps'·steps
        self._picked = 0

    def take_best(self) -> tuple[int, float, float]:
        """Observe the best point; return its position, its gain and its variance before."""
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
        """Return the points of largest bound among those not up to date, ascending."""
        bounds = np.where(self._seen == self._picked, TAKEN, self._bounds)  # (u,)
        count = min(count, bounds.size)
        found = np.argpartition(bounds, bounds.size - count)[bounds.size - count :]
        return np.sort(found[bounds[found] != TAKEN])

    def _refresh(self, at: Positions) -> None:
        """Bring points up to date, in float64."""
        x = self._model.exact(self._rows[at])  # (k, e)
        new = self._seen[at] < 0
        if new.any():
            self._variances[at[new]] = self._inverse.variances(x[new])
            self._seen[at[new]] = 0
        seen = self._seen[at]  # (k,)
        oldest = int(seen.min())
        drops = np.square(x @ self._steps[oldest : self._picked].T)  # (k, t)
        drops[np.arange(oldest, self._picked) < seen[:, None]] = 0  # known of already
        self._variances[at] = np.maximum(self._variances[at] - drops.sum(axis=1), 0)
        self._bounds[at] = self._weights[at] * self._variances[at]
        self._seen[at] = self._picked
