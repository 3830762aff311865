"""Ridge regression on one-hot labels: a head in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ._moments import Moments
from ._parameters import is_number
from ._sample import Sample
from ._spectrum import Spectrum, spectrum_of, spectrum_of_rows, without_rounding
from ._streaming import Solution, StreamingHead
from ._weights import Float64

GRID = 10.0 ** np.arange(-5.0, 0.25, 0.25)
"""Strengths that are tried, as shares of the sum of squares of the centred rows."""

DEFAULT = 10.0**-1
"""The share where no row can be left out."""

CLOSE = 1e-4
"""Losses nearer than this share are a tie, which goes to the stronger penalty."""

UNKNOWN_VARIANCE = 0.1
"""Mean squared error of a score where no row can be left out."""


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
    temperature_
        Probabilities are softmax(scores / temperature_); fitted to leave-one-out scores.
    cv_accuracy_, cv_ece_, cv_n_
        Leave-one-out accuracy and expected calibration error, and on how many rows; None where no
        row can be left out.
    class_count_, means_, scatter_, sample_rows_, sample_codes_, sample_weights_, sample_digests_
        What is remembered of the rows, for `partial_fit`.
    sample_complete_
        Whether the sample holds every row.

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

    def _solve(self, moments: Moments, sample: Sample, scored: NDArray[np.intp]) -> Solution:
        fits = _Fits(moments, sample)
        energy = float(fits.spectrum.values.sum())
        if self.alpha != "auto":
            self.alpha_ = float(self.alpha)
        elif len(scored) and energy > 0.0:
            self.alpha_ = fits.best(energy * GRID, scored)
        else:
            self.alpha_ = energy * DEFAULT
        left_out = fits.left_out(self.alpha_)  # (m, K)
        variance = fits.loss(left_out, scored) if len(scored) else UNKNOWN_VARIANCE
        coef, intercept = fits.weights(self.alpha_)
        return Solution(coef, intercept, left_out, max(variance, np.finfo(np.float64).tiny))


class _Fits:
    """The regressions of every strength on the same rows."""

    def __init__(self, moments: Moments, sample: Sample) -> None:
        self.moments, self.sample = moments, sample
        self.total = float(moments.counts.sum())
        self.mean = moments.mean  # (d,)
        centred = moments.means - self.mean  # (K, d)
        spectrum = _total_spectrum(moments, sample, self.mean, centred)
        self.spectrum = without_rounding(spectrum, self.total * float(self.mean @ self.mean))
        axes = self.spectrum.axes  # (d, r)
        self.products = (moments.counts[:, None] * centred) @ axes  # (K, r): X'Y along the axes
        self.rows = (sample.rows - self.mean) @ axes  # (m, r)
        self.shares = moments.counts / self.total  # (K,)
        self.targets = np.eye(len(self.shares))[sample.codes]  # (m, K)

    def best(self, strengths: Float64, scored: NDArray[np.intp]) -> float:
        """Return the strength of the least leave-one-out error, the strongest of equals."""
        losses = np.array([self.loss(self.left_out(alpha), scored) for alpha in strengths])
        good = np.flatnonzero(losses <= losses.min() * (1.0 + CLOSE))
        return float(strengths[good[-1]])

    def loss(self, left_out: Float64, scored: NDArray[np.intp]) -> float:
        """Return the mean squared error of a score."""
        weights = self.sample.weights[scored]
        squares = np.square(self.targets[scored] - left_out[scored])  # (s, K)
        errors = squares[:, self.shares > 0.0].mean(axis=1)  # (s,)
        return float(weights @ errors / weights.sum())

    def left_out(self, alpha: float) -> Float64:
        """Return what the fit without each row of the sample says of it: (m, K)."""
        shrunk = self.rows * self._inverse(alpha)  # (m, r)
        scores = shrunk @ self.products.T + self.shares  # (m, K)
        own = np.einsum("mr,mr->m", shrunk, self.rows) + 1.0 / self.total  # (m,)
        leverage = np.minimum(self.sample.weights * own, 1.0 - 1e-9)  # (m,)
        return np.asarray(self.targets - (self.targets - scores) / (1.0 - leverage)[:, None])

    def weights(self, alpha: float) -> tuple[Float64, Float64]:
        """Return the weights (K, d) and intercepts (K,)."""
        coef = (self.products * self._inverse(alpha)) @ self.spectrum.axes.T  # (K, d)
        return coef, self.shares - coef @ self.mean

    def _inverse(self, alpha: float) -> Float64:
        return np.asarray(1.0 / (self.spectrum.values + alpha))  # (r,)


def _total_spectrum(moments: Moments, sample: Sample, mean: Float64, centred: Float64) -> Spectrum:
    """Return the spectrum of the weighted sum of ``(x - mean)(x - mean)'``."""
    if sample.complete:
        return spectrum_of_rows(np.sqrt(sample.weights)[:, None] * (sample.rows - mean))
    between = np.sqrt(moments.counts)[:, None] * centred  # (K, d)
    return spectrum_of(moments.spread + between.T @ between)
