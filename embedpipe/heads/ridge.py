"""Ridge regression on one-hot labels, in closed form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular

from .._specs import check_number
from ._arrays import Float64
from ._exact_head import LinearFit, StreamingHead
from ._labelled import Sample
from ._moments import Moments, Spectrum, drop_rounding_errors, spectrum_of, spectrum_of_rows

SHARES = 10.0 ** np.arange(-5.0, 0.25, 0.25)
"""Candidate penalties, as shares of the sum of squares of the centred rows."""

DEFAULT = 10.0**-1
"""Penalty if no row can be left out, as a share of the sum of squares of the centred rows."""

DEFAULT_VARIANCE = 0.1
"""Assumed mean squared error of a score if no row can be left out."""

TIE = 1e-4
"""Relative difference up to which two losses are a tie; the stronger penalty is then used."""

HalfSolution = tuple[Float64, Float64, Callable[[Float64], Float64]]


class RidgeHead(StreamingHead):
    """Ridge regression on one-hot labels; exact on streams; penalty chosen by leave-one-out.

    The predicted classes equal the classes from scikit-learn's ``RidgeClassifier``. One
    eigendecomposition gives the leave-one-out scores for every penalty.

    Parameters
    ----------
    alpha
        Penalty on the squared weights, at least 0, or ``"auto"``, which chooses the penalty with
        the least leave-one-out squared error. The 21 candidates are from 1e-5 to 1 times the sum of
        squares of the centred rows. If no row can be left out, the penalty is 0.1 times the sum of
        squares.
    class_weight, normalize
        See `SimpleHead`.

    Attributes
    ----------
    coef_, intercept_
        (K, d) and (K,) float64.
    alpha_
        The penalty used.
    loss_
        Weighted mean squared error of a score on the stored rows, without the penalty; targets are
        0 and 1.
    temperature_, cv_accuracy_, cv_ece_, cv_n_
        From leave-one-out evaluation; see `Head`.
    class_count_, means_, scatter_, sample_rows_, sample_codes_, sample_weights_, …
        The state for `partial_fit`.

    Notes
    -----
    Up to 2,000 distinct rows, the head stores all rows. With more rows, it stores a (d, d) scatter
    matrix, the class means and 2,000 rows for leave-one-out, chosen by a hash of their content.

    A fit to n rows of length d takes O(n d min(n, d)) time up to 2,000 rows. With more rows it
    takes O(n d² + d³) time. The head needs 20 bytes for each number in the stored rows, and with
    more than 2,000 rows another 24·d² bytes.

    References
    ----------
    Golub, Heath, Wahba (1979), "Generalized cross-validation as a method for choosing a good ridge
    parameter". McDonnell et al. (2023), "RanPAC", arXiv:2307.02251, for streams.
    """

    _shares = SHARES

    def __init__(
        self,
        alpha: float | str = "auto",
        *,
        class_weight: Any = None,
        normalize: bool = True,
    ) -> None:
        self.alpha = alpha
        self.class_weight = class_weight
        self.normalize = normalize

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.alpha != "auto":
            check_number("alpha", self.alpha, least=0, alternative="'auto'")

    def _solve(self, moments: Moments, sample: Sample, scored: NDArray[np.intp]) -> LinearFit:
        solver = self._solver(moments, sample)
        if self.alpha != "auto":
            fit = solver.at(float(self.alpha))
        elif len(scored) and solver.energy > 0.0:
            fit = solver.best(self._shares, scored)
        else:
            fit = solver.at(solver.energy * DEFAULT)
        self.alpha_, self.loss_ = fit.alpha, solver.training_loss(fit)
        variance = solver.loss(fit, scored) if len(scored) else DEFAULT_VARIANCE
        coef, intercept = solver.weights(fit)
        return LinearFit(coef, intercept, fit.left_out, max(variance, np.finfo(np.float64).tiny))

    def _solver(self, moments: Moments, sample: Sample) -> RidgeSolver:
        return SpectralSolver(moments, sample)


@dataclass(frozen=True)
class RidgeFit:
    """The regression with one penalty."""

    alpha: float
    """The penalty."""
    scores: Float64
    """(m, K) scores of the rows of the sample."""
    left_out: Float64
    """(m, K) scores of the sample's rows, each from a fit without that row."""
    half: Float64
    """(K, r) weights before the second product with the root; see `RidgeSolver`."""
    back: Callable[[Float64], Float64]
    """Turns `half` into (K, d) weights."""


class RidgeSolver:
    """Regressions with any penalty.

    A is the sum of ``(x - mean)(x - mean)'`` and B is the sum of ``(x - mean) y'``, for rows x with
    one-hot labels y. The weights are ``(A + alpha)^-1 B``. A subclass multiplies the rows and B by
    a root of this inverse. Products of the resulting rows with the resulting B are scores; products
    of a resulting row with itself are leverages.
    """

    energy: float
    """Sum of squares of the centred rows, the unit of the candidate penalties."""

    def __init__(self, moments: Moments, sample: Sample) -> None:
        self.sample = sample
        self.total = float(moments.counts.sum())
        self.mean = moments.mean  # (d,)
        self.products = moments.counts[:, None] * (moments.means - self.mean)  # (K, d): B'
        self.rows = sample.rows - self.mean  # (m, d)
        self.shares = moments.counts / self.total  # (K,)
        self.targets = np.eye(len(self.shares))[sample.codes]  # (m, K)

    def best(self, shares: Float64, scored: NDArray[np.intp]) -> RidgeFit:
        """Return the fit with the least leave-one-out error; ties go to the strongest penalty.

        `shares` are the candidate penalties, ascending, as shares of the energy.
        """
        raise NotImplementedError

    def at(self, alpha: float) -> RidgeFit:
        """Return the fit with a penalty."""
        rows, products, back = self._half_solve(alpha)  # (m, r), (K, r)
        scores = rows @ products.T + self.shares  # (m, K)
        own = np.einsum("mr,mr->m", rows, rows) + 1.0 / self.total  # (m,)
        leverage = np.minimum(self.sample.weights * own, 1.0 - 1e-9)  # (m,)
        left_out = self.targets - (self.targets - scores) / (1.0 - leverage)[:, None]
        return RidgeFit(alpha, scores, left_out, products, back)

    def weights(self, fit: RidgeFit) -> tuple[Float64, Float64]:
        """Return the weights (K, d) and intercepts (K,)."""
        coef = fit.back(fit.half)  # (K, d)
        return coef, self.shares - coef @ self.mean

    def loss(self, fit: RidgeFit, scored: NDArray[np.intp]) -> float:
        """Return the mean squared leave-one-out error of a score."""
        return self._squared_error(fit.left_out, scored)

    def training_loss(self, fit: RidgeFit) -> float:
        """Return the mean squared error of a score on the sample, without the penalty."""
        return self._squared_error(fit.scores, np.arange(len(self.targets)))

    def _squared_error(self, scores: Float64, rows: NDArray[np.intp]) -> float:
        weights = self.sample.weights[rows]
        squares = np.square(self.targets[rows] - scores[rows])  # (s, K)
        errors = squares[:, self.shares > 0.0].mean(axis=1)  # (s,)
        return float(weights @ errors / weights.sum())

    def _half_solve(self, alpha: float) -> HalfSolution:
        """Return ``rows @ root``, ``products @ root`` and ``half -> half @ root'``."""
        raise NotImplementedError


class SpectralSolver(RidgeSolver):
    """A solver that uses one eigendecomposition of A for all penalties."""

    def __init__(self, moments: Moments, sample: Sample) -> None:
        super().__init__(moments, sample)
        spectrum = drop_rounding_errors(
            self._spectrum(moments), self.total * float(self.mean @ self.mean)
        )
        self.values, self.axes = spectrum  # (r,), (d, r)
        self.energy = float(self.values.sum())
        self.products = self.products @ self.axes  # (K, r)
        self.rows = self.rows @ self.axes  # (m, r)

    def best(self, shares: Float64, scored: NDArray[np.intp]) -> RidgeFit:
        """Compare all penalties."""
        penalties = self.energy * shares
        losses = np.array([self.loss(self.at(float(alpha)), scored) for alpha in penalties])
        good = np.flatnonzero(losses <= losses.min() * (1.0 + TIE))
        return self.at(float(penalties[good[-1]]))

    def _half_solve(self, alpha: float) -> HalfSolution:
        root = 1.0 / np.sqrt(self.values + alpha)  # (r,)
        return self.rows * root, self.products * root, lambda half: (half * root) @ self.axes.T

    def _spectrum(self, moments: Moments) -> Spectrum:
        if self.sample.complete:
            return spectrum_of_rows(np.sqrt(self.sample.weights)[:, None] * self.rows)
        return spectrum_of(total_scatter(moments))


class CholeskySolver(RidgeSolver):
    """A solver with a Cholesky factor for each penalty, faster for thousands of dimensions."""

    def __init__(self, moments: Moments, sample: Sample) -> None:
        super().__init__(moments, sample)
        self.scatter = total_scatter(moments)  # (d, d)
        self.energy = float(np.trace(self.scatter))

    def best(self, shares: Float64, scored: NDArray[np.intp]) -> RidgeFit:
        """Increase the penalty until the error grows; return the last fit before that."""
        best = self.at(float(self.energy * shares[0]))
        least = self.loss(best, scored)
        for alpha in self.energy * shares[1:]:
            stronger = self.at(float(alpha))
            loss = self.loss(stronger, scored)
            if loss > least * (1.0 + TIE):
                break
            best, least = stronger, min(loss, least)
        return best

    def _half_solve(self, alpha: float) -> HalfSolution:
        shifted = self.scatter.copy()
        shifted[np.diag_indices_from(shifted)] += alpha
        factor = cholesky(shifted.T, lower=True, overwrite_a=True, check_finite=False)  # (d, d)
        forth = partial(solve_triangular, factor, lower=True, check_finite=False)
        back = partial(solve_triangular, factor, lower=True, trans=1, check_finite=False)
        return forth(self.rows.T).T, forth(self.products.T).T, lambda half: back(half.T).T


def total_scatter(moments: Moments) -> Float64:
    """Return the (d, d) sum of ``(x - mean)(x - mean)'`` around the mean of all rows."""
    between = np.sqrt(moments.counts)[:, None] * (moments.means - moments.mean)  # (K, d)
    return moments.within + between.T @ between
