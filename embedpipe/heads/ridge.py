"""Ridge regression on one-hot labels: a head in closed form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular

from ..errors import UsageError
from ._exact_head import LinearFit, StreamingHead
from ._labelled import Sample
from ._moments import Moments, Spectrum, spectrum_of, spectrum_of_rows, without_rounding
from ._parameters import is_number
from ._rows import Float64

SHARES = 10.0 ** np.arange(-5.0, 0.25, 0.25)
"""Strengths that are tried, as shares of the sum of squares of the centred rows."""

DEFAULT = 10.0**-1
"""The share where no row can be left out."""

UNKNOWN_VARIANCE = 0.1
"""Mean squared error of a score where no row can be left out."""

CLOSE = 1e-4
"""Relative difference of losses below which they are a tie; it goes to the stronger penalty."""

Halved = tuple[Float64, Float64, Callable[[Float64], Float64]]


class RidgeHead(StreamingHead):
    """Ridge regression on one-hot labels, exact on streams, its strength by leave-one-out.

    Each class is a column of zeros and ones, and one linear map with an intercept is fitted to all
    by least squares with a penalty ``alpha`` on the squared weights: the classes predicted are
    those of scikit-learn's ``RidgeClassifier``. One eigendecomposition serves every strength, and
    says for each what the fit without any one row would have predicted for it.

    Parameters
    ----------
    alpha
        Strength of the penalty, at least 0, or ``"auto"``: the one of 21, a quarter of a decade
        apart, whose leave-one-out squared error is least; they go from 1e-5 times the sum of
        squares of the centred rows up to once that. With no row to leave out, a tenth of it.
    class_weight
        None, ``"balanced"`` or weights by label.
    normalize
        Whether rows are scaled to unit length first, here and when predicting.

    Attributes
    ----------
    classes_
        (K,) the distinct labels, sorted.
    coef_, intercept_
        (K, d) and (K,) float64: the regression.
    alpha_
        The strength used.
    loss_
        Mean squared error of a class's score on the rows that are kept, by their weights: the
        training loss without the penalty. It has no unit; classes are coded as 0 and 1.
    temperature_
        Probabilities are softmax(scores / temperature_); fitted to leave-one-out scores.
    cv_accuracy_, cv_ece_, cv_n_
        Leave-one-out accuracy and expected calibration error, and the number of rows; None where no
        row can be left out.
    class_count_, means_, scatter_, sample_rows_, sample_codes_, sample_weights_, sample_digests_
        The state for `partial_fit`.
    sample_complete_
        Whether the sample has every row.

    Notes
    -----
    Up to 2,000 distinct rows are kept as they are. Beyond, the matrix of their spread takes over:
    (d, d), from which with the class means follow the sums X'X and X'Y of the whole stream; the
    strength and the temperature are then chosen on 2,000 of the rows, picked by a hash of their
    content so that the order of the stream is nothing, each left out of the fit to all.

    O(n d min(n, d)) time up to 2,000 rows, O(n d² + d³) beyond; 20 bytes for each entry of the
    rows kept, 24·d² beyond.

    References
    ----------
    Golub, Heath, Wahba (1979), "Generalized cross-validation as a method for choosing a good ridge
    parameter". McDonnell et al. (2023), "RanPAC", arXiv:2307.02251, for streams.

    Examples
    --------
    >>> X = np.array([[0.0, 1.0], [0.1, 1.0], [1.0, 0.0], [1.0, 0.1]], dtype=np.float32)
    >>> y = np.array(["hat", "hat", "shoe", "shoe"])
    >>> head = RidgeHead().partial_fit(X[::2], y[::2]).partial_fit(X[1::2], y[1::2])
    >>> head.predict([[0.0, 2.0], [3.0, 0.0]]).tolist(), head.cv_accuracy_
    (['hat', 'shoe'], 1.0)
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
        value: Any = self.alpha
        if value != "auto" and not (is_number(value) and 0.0 <= value < float("inf")):
            raise UsageError(f"alpha must be a number of at least 0 or 'auto', not {self.alpha!r}.")

    def _solve(self, moments: Moments, sample: Sample, scored: NDArray[np.intp]) -> LinearFit:
        fits = self._fits(moments, sample)
        if self.alpha != "auto":
            fit = fits.at(float(self.alpha))
        elif len(scored) and fits.energy > 0.0:
            fit = fits.best(self._shares, scored)
        else:
            fit = fits.at(fits.energy * DEFAULT)
        self.alpha_, self.loss_ = fit.alpha, fits.training_loss(fit)
        variance = fits.loss(fit, scored) if len(scored) else UNKNOWN_VARIANCE
        coef, intercept = fits.weights(fit)
        return LinearFit(coef, intercept, fit.left_out, max(variance, np.finfo(np.float64).tiny))

    def _fits(self, moments: Moments, sample: Sample) -> Fits:
        return SpectralFits(moments, sample)


@dataclass(frozen=True)
class Fit:
    """The regression of one strength."""

    alpha: float
    """The strength."""
    scores: Float64
    """(m, K) the scores of the rows of the sample."""
    left_out: Float64
    """(m, K) the scores of each row, from the fit without it."""
    halves: Float64
    """(K, r) half of the way to the weights."""
    back: Callable[[Float64], Float64]
    """The other half: from (K, r) to (K, d)."""


class Fits:
    """What regressions of all strengths share.

    With A the sum of ``(x - mean)(x - mean)'`` and B that of ``(x - mean) y'``, the weights of the
    strength alpha are ``(A + alpha)^-1 B``. A subclass multiplies the rows and B by a root of that
    inverse: the products of these are scores, those of rows with themselves leverages.
    """

    energy: float
    """The sum of squares of the centred rows; strengths are shares of it."""

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

        `shares` are the strengths to try, ascending, as shares of the energy.
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
        """Try every strength."""
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

    O(d³ / 3 + m d²) time for each strength that is tried: a fraction of an eigendecomposition's.
    Extra memory: four (d, d) matrices.
    """

    def __init__(self, moments: Moments, sample: Sample) -> None:
        super().__init__(moments, sample)
        self.scatter = total_scatter(moments)  # (d, d)
        self.energy = float(np.trace(self.scatter))

    def best(self, shares: Float64, scored: NDArray[np.intp]) -> Fit:
        """Return the last fit before the error grows, from the weakest strength on."""
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
