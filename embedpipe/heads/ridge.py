"""Ridge regression on one-hot labels: a head in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ._moments import Moments
from ._parameters import is_number
from ._ridge_fits import Fits, SpectralFits
from ._sample import Sample
from ._streaming import Solution, StreamingHead

SHARES = 10.0 ** np.arange(-5.0, 0.25, 0.25)
"""Strengths that are tried, as shares of the sum of squares of the centred rows."""

DEFAULT = 10.0**-1
"""The share where no row can be left out."""

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
    loss_
        Mean squared error of a class's score on the rows that are kept, by their weights: the
        training loss without the penalty. It has no unit; classes are coded as 0 and 1.
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

    def _solve(self, moments: Moments, sample: Sample, scored: NDArray[np.intp]) -> Solution:
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
        return Solution(coef, intercept, fit.left_out, max(variance, np.finfo(np.float64).tiny))

    def _fits(self, moments: Moments, sample: Sample) -> Fits:
        return SpectralFits(moments, sample)
