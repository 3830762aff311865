"""Ridge regressions of every strength on the same rows, and what they say of rows left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular

from ._moments import Moments
from ._sample import Sample
from ._spectrum import Spectrum, spectrum_of, spectrum_of_rows, without_rounding
from ._weights import Float64

CLOSE = 1e-4
"""Losses nearer than this share are a tie, which goes to the stronger penalty."""

Halved = tuple[Float64, Float64, Callable[[Float64], Float64]]


@dataclass(frozen=True)
class Fit:
    """The regression of one strength.

    Attributes
    ----------
    alpha
        The strength.
    scores, left_out
        (m, K) float64: the scores of the rows of the sample, and what the fit without each row
        says of it.
    halves
        (K, r) float64: half of the way to the weights.
    back
        The other half: from (K, r) to (K, d).
    """

    alpha: float
    scores: Float64
    left_out: Float64
    halves: Float64
    back: Callable[[Float64], Float64]


class Fits:
    """What regressions of all strengths share.

    With A the sum of ``(x - mean)(x - mean)'`` and B that of ``(x - mean) y'``, the weights of the
    strength alpha are ``(A + alpha)^-1 B``. A subclass says what a root of that inverse makes of
    the rows and of B: the products of these are scores, those of rows with themselves leverages.

    Attributes
    ----------
    energy
        The sum of squares of the centred rows, which strengths are shares of.
    """

    energy: float

    def __init__(self, moments: Moments, sample: Sample) -> None:
        self.sample = sample
        self.total = float(moments.counts.sum())
        self.mean = moments.mean  # (d,)
        self.products = moments.counts[:, None] * (moments.means - self.mean)  # (K, d): B'
        self.rows = sample.rows - self.mean  # (m, d)
        self.shares = moments.counts / self.total  # (K,)
        self.targets = np.eye(len(self.shares))[sample.codes]  # (m, K)

    def best(self, shares: Float64, scored: NDArray[np.intp]) -> Fit:
        """Return the fit of the least leave-one-out error, the strongest of equals.

        `shares` are strengths to try, ascending, as shares of the energy.
        """
        raise NotImplementedError

    def at(self, alpha: float) -> Fit:
        """Return the fit of a strength."""
        rows, products, back = self._halved(alpha)  # (m, r), (K, r)
        scores = rows @ products.T + self.shares  # (m, K)
        own = np.einsum("mr,mr->m", rows, rows) + 1.0 / self.total  # (m,)
        leverage = np.minimum(self.sample.weights * own, 1.0 - 1e-9)  # (m,)
        left_out = self.targets - (self.targets - scores) / (1.0 - leverage)[:, None]
        return Fit(alpha, scores, left_out, products, back)

    def weights(self, fit: Fit) -> tuple[Float64, Float64]:
        """Return the weights (K, d) and intercepts (K,)."""
        coef = fit.back(fit.halves)  # (K, d)
        return coef, self.shares - coef @ self.mean

    def loss(self, fit: Fit, scored: NDArray[np.intp]) -> float:
        """Return the mean squared leave-one-out error of a score."""
        return self._squared_error(fit.left_out, scored)

    def training_loss(self, fit: Fit) -> float:
        """Return the mean squared error of a score on the sample, without the penalty."""
        return self._squared_error(fit.scores, np.arange(len(self.targets)))

    def _squared_error(self, scores: Float64, rows: NDArray[np.intp]) -> float:
        weights = self.sample.weights[rows]
        squares = np.square(self.targets[rows] - scores[rows])  # (s, K)
        errors = squares[:, self.shares > 0.0].mean(axis=1)  # (s,)
        return float(weights @ errors / weights.sum())

    def _halved(self, alpha: float) -> Halved:
        """Return ``rows @ root``, ``products @ root`` and ``halves -> halves @ root'``."""
        raise NotImplementedError


class SpectralFits(Fits):
    """Fits from one eigendecomposition of A, where every strength is a division.

    O(m d min(m, d)) time while the sample holds every row, and O(d³) beyond.
    """

    def __init__(self, moments: Moments, sample: Sample) -> None:
        super().__init__(moments, sample)
        spectrum = without_rounding(
            self._spectrum(moments), self.total * float(self.mean @ self.mean)
        )
        self.values, self.axes = spectrum  # (r,), (d, r)
        self.energy = float(self.values.sum())
        self.products = self.products @ self.axes  # (K, r)
        self.rows = self.rows @ self.axes  # (m, r)

    def best(self, shares: Float64, scored: NDArray[np.intp]) -> Fit:
        strengths = self.energy * shares
        losses = np.array([self.loss(self.at(float(alpha)), scored) for alpha in strengths])
        good = np.flatnonzero(losses <= losses.min() * (1.0 + CLOSE))
        return self.at(float(strengths[good[-1]]))

    def _halved(self, alpha: float) -> Halved:
        root = 1.0 / np.sqrt(self.values + alpha)  # (r,)
        return self.rows * root, self.products * root, lambda halves: (halves * root) @ self.axes.T

    def _spectrum(self, moments: Moments) -> Spectrum:
        if self.sample.complete:
            return spectrum_of_rows(np.sqrt(self.sample.weights)[:, None] * self.rows)
        return spectrum_of(total_scatter(moments))


class FactorFits(Fits):
    """Fits from a Cholesky factor for each strength, for thousands of dimensions.

    O(d³ / 3 + m d²) time for each strength that is tried, a fraction of an eigendecomposition's.
    Extra memory: four matrices of (d, d).
    """

    def __init__(self, moments: Moments, sample: Sample) -> None:
        super().__init__(moments, sample)
        self.scatter = total_scatter(moments)  # (d, d)
        self.energy = float(np.trace(self.scatter))

    def best(self, shares: Float64, scored: NDArray[np.intp]) -> Fit:
        """Return the fit after which stronger ones are worse, from the weakest on."""
        found = self.at(float(self.energy * shares[0]))
        least = self.loss(found, scored)
        for alpha in self.energy * shares[1:]:
            stronger = self.at(float(alpha))
            loss = self.loss(stronger, scored)
            if loss > least * (1.0 + CLOSE):
                break
            found, least = stronger, min(loss, least)
        return found

    def _halved(self, alpha: float) -> Halved:
        shifted = self.scatter.copy()
        shifted[np.diag_indices_from(shifted)] += alpha
        factor = cholesky(shifted.T, lower=True, overwrite_a=True, check_finite=False)  # (d, d)
        forth = partial(solve_triangular, factor, lower=True, check_finite=False)
        back = partial(solve_triangular, factor, lower=True, trans=1, check_finite=False)
        return forth(self.rows.T).T, forth(self.products.T).T, lambda halves: back(halves.T).T


def total_scatter(moments: Moments) -> Float64:
    """Return the (d, d) sum of ``(x - mean)(x - mean)'`` around the mean of all rows."""
    between = np.sqrt(moments.counts)[:, None] * (moments.means - moments.mean)  # (K, d)
    return moments.spread + between.T @ between
