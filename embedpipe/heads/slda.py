"""Linear discriminant analysis that learns a stream."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ._exact_head import CLEAR, PRIOR_ROWS, LinearFit, StreamingHead
from ._held_out import tempered_loss
from ._labelled import Sample
from ._moments import Moments, Spectrum, spectrum_of, spectrum_of_rows
from ._parameters import is_number
from ._rows import Float64

GRID = np.array([0.003, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.85, 0.95, 1.0])
"""Shrinkages that are tried."""

USUAL = 2.0
"""Typical standard deviation of the logits of a row when they are calibrated."""

LEAST = 1e-9
"""Least shrinkage in computations, so that directions without spread do not dominate."""


class SLDAHead(StreamingHead):
    """Streaming linear discriminant analysis: class means and one shared covariance.

    Each class is a normal cloud around its mean; all share one covariance S, which is shrunk:
    ``(1 - s) S + s * mean(diag S) * I``. Means and covariance are running sums, so that a stream
    gives the same head as all its rows at once.

    Parameters
    ----------
    shrinkage
        s, from 0 to 1; ``"auto"``: the one of 12 whose leave-one-out log-loss is least; or
        ``"oas"``: by the formula of Chen et al. With no row to leave out, ``"auto"`` is
        ``"oas"``. At 1 only the means count.
    class_weight
        None, ``"balanced"`` or weights by label. Classes are as likely as their share of the
        weights: with ``"balanced"``, all alike.
    normalize
        Whether rows are scaled to unit length first, here and when predicting.

    Attributes
    ----------
    classes_
        (K,) the distinct labels, sorted.
    coef_, intercept_
        (K, d) and (K,) float64: the log-posteriors but for what all classes share.
    shrinkage_
        s as used.
    temperature_
        Probabilities are softmax(logits / temperature_); fitted to leave-one-out logits. With
        one label a class it is 0.12 of the mean difference of logits between class means.
    cv_accuracy_, cv_ece_, cv_n_
        Leave-one-out accuracy and expected calibration error, and the number of rows; None where no
        row can be left out.
    class_count_, means_, scatter_, sample_rows_, sample_codes_, sample_weights_, sample_digests_
        The state for `partial_fit`.
    sample_complete_
        Whether the sample has every row.

    Notes
    -----
    The paper shrinks towards the unit matrix with s = 1e-4; here the target has the scale of the
    rows, as in scikit-learn's ``LinearDiscriminantAnalysis(solver="lsqr")``, whose numbers these
    are. Leaving a row out corrects the mean of its class and the covariance exactly, by a
    rank-one update; the target of the shrinkage stays.

    O(n d min(n, d)) time up to 2,000 distinct rows, O(n d² + d³) beyond; 20 bytes for each entry
    of the rows kept, 24·d² beyond.

    References
    ----------
    Hayes, Kanan (2020), "Lifelong machine learning with deep streaming linear discriminant
    analysis", arXiv:1909.01520. Chen, Wiesel, Eldar, Hero (2010), "Shrinkage algorithms for MMSE
    covariance estimation", arXiv:0907.4698.

    Examples
    --------
    >>> X = np.array([[0.0, 1.0], [0.1, 1.0], [1.0, 0.0], [1.0, 0.1]], dtype=np.float32)
    >>> y = np.array(["hat", "hat", "shoe", "shoe"])
    >>> head = SLDAHead().partial_fit(X[::2], y[::2]).partial_fit(X[1::2], y[1::2])
    >>> head.predict([[0.0, 2.0], [3.0, 0.0]]).tolist()
    ['hat', 'shoe']
    """

    def __init__(
        self,
        shrinkage: float | str = "auto",
        *,
        class_weight: Any = None,
        normalize: bool = True,
    ) -> None:
        self.shrinkage = shrinkage
        self.class_weight = class_weight
        self.normalize = normalize

    def _check_parameters(self) -> None:
        super()._check_parameters()
        value: Any = self.shrinkage
        fits = 0.0 <= value <= 1.0 if is_number(value) else value in ("auto", "oas")
        if not fits:
            raise UsageError(
                f"shrinkage must be a number from 0 to 1, 'auto' or 'oas', not {self.shrinkage!r}."
            )

    def _solve(self, moments: Moments, sample: Sample, scored: NDArray[np.intp]) -> LinearFit:
        clouds = _Clouds(moments, sample)
        self.shrinkage_ = self._choose(clouds, scored)
        coef, intercept = clouds.weights(self.shrinkage_)
        left_out = clouds.left_out(self.shrinkage_)  # (m, K)
        return LinearFit(coef, intercept, left_out, clouds.scale(left_out, scored))

    def _choose(self, clouds: _Clouds, scored: NDArray[np.intp]) -> float:
        if not isinstance(self.shrinkage, str):
            return float(self.shrinkage)
        if self.shrinkage == "oas" or not len(scored):
            return clouds.oas()
        losses = [clouds.loss(float(shrinkage), scored) for shrinkage in GRID]
        return float(GRID[int(np.argmin(np.round(losses, 4)))])


class _Clouds:
    """Normal clouds around class means, for every shrinkage of their covariance."""

    def __init__(self, moments: Moments, sample: Sample) -> None:
        self.sample, self.counts = sample, moments.counts
        self.total = float(moments.counts.sum())
        self.present = moments.counts > 0.0
        self.mean = moments.mean  # (d,)
        self.means = moments.means - self.mean  # (K, d)
        self.rows = sample.rows - self.mean  # (m, d)
        self.spectrum = self._within(moments)
        self.variance = float(self.spectrum.values.sum()) / len(self.mean)
        self.no_spread = not self.variance > 0.0
        if self.no_spread:  # equal rows in every class: how far apart the means are must do
            self.variance = float(np.square(self.means[self.present]).mean()) or 1.0
        self.row_part = self.rows @ self.spectrum.axes  # (m, r)
        self.mean_part = self.means @ self.spectrum.axes  # (K, r)
        self.row_lengths = np.square(self.rows).sum(axis=1)  # (m,)
        self.mean_lengths = np.square(self.means).sum(axis=1)  # (K,)
        self.products = self.rows @ self.means.T  # (m, K)
        shares = np.where(self.present, moments.counts, self.total) / self.total  # (K,)
        self.log_priors = np.where(self.present, np.log(shares), -np.inf)  # (K,)

    def weights(self, shrinkage: float) -> tuple[Float64, Float64]:
        """Return the weights (K, d) and intercepts (K,)."""
        bend, rest = self._inverse(shrinkage)
        coef = (self.mean_part * bend) @ self.spectrum.axes.T + rest * self.means  # (K, d)
        halves = 0.5 * np.einsum("kd,kd->k", coef, self.means)  # (K,)
        return coef, self.log_priors - halves - coef @ self.mean

    def loss(self, shrinkage: float, scored: NDArray[np.intp]) -> float:
        """Return the mean leave-one-out log-loss at the best temperature."""
        left_out = self.left_out(shrinkage)
        logits = left_out[scored][:, self.present]  # (s, P)
        logits /= self.scale(left_out, scored)
        codes = (np.cumsum(self.present) - 1)[self.sample.codes[scored]]
        weights = self.sample.weights[scored]
        return tempered_loss(logits, codes, weights, prior_rows=PRIOR_ROWS)

    def left_out(self, shrinkage: float) -> Float64:
        """Return the log-posteriors of each row from the clouds without it: (m, K).

        Without the row x of weight w, whose class has the weight n and is z away, the covariance
        is S - k z z' but for a factor, and the mean of its class is n / (n - w) z away.
        """
        bend, rest = self._inverse(shrinkage)
        bent = self.row_part * bend  # (m, r)
        rows = np.einsum("mr,mr->m", bent, self.row_part) + rest * self.row_lengths  # (m,)
        cross = bent @ self.mean_part.T + rest * self.products  # (m, K)
        between = (self.mean_part * bend) @ self.mean_part.T  # (K, K)
        between += rest * (self.means @ self.means.T)
        each, own = np.arange(len(rows)), self.sample.codes
        square = np.diag(between)  # (K,)
        away = rows[:, None] - 2.0 * cross + square  # (m, K): to each mean
        along = (rows - cross[each, own])[:, None] - cross + between[own]  # (m, K): times z
        size = away[each, own].copy()  # (m,): of z
        n, w = self.counts[own], self.sample.weights
        left = np.maximum(n - w, 1e-9 * n)  # (m,)
        shrunk = 0.0 if self.no_spread else 1.0 - max(shrinkage, LEAST)
        k = shrunk * w * n / (left * self.total)
        gain = k / np.maximum(1.0 - k * size, 1e-9)  # (m,)
        away += gain[:, None] * np.square(along)
        away[each, own] *= np.square(n / left)
        away *= ((self.total - w) / self.total)[:, None]
        return np.asarray(self.log_priors - 0.5 * away)

    def scale(self, left_out: Float64, scored: NDArray[np.intp]) -> float:
        """Return the temperature to start from, at which logits differ by `USUAL`.

        Clouds in hundreds of dimensions, estimated from a few rows, are overconfident. With no row
        to leave out, each class is one point, and only the class means count, as in
        `NearestMeanHead`.
        """
        if not len(scored):  # the mean gap between two class means, in the logits
            return CLEAR * float(self.mean_lengths[self.present].mean()) / self.variance or 1.0
        logits = left_out[scored][:, self.present]
        return max(1.0, float(np.sqrt(logits.var(axis=1).mean())) / USUAL)

    def oas(self) -> float:
        """Return the oracle-approximating shrinkage of the covariance."""
        n, d, values = self.total, len(self.mean), self.spectrum.values
        squares, square = float(np.square(values).sum()), float(values.sum()) ** 2
        if not square > 0.0:
            return 1.0
        above = (1.0 - 2.0 / d) * squares + square
        below = (n + 1.0 - 2.0 / d) * (squares - square / d)
        return float(np.clip(above / below, 0.0, 1.0)) if below > 0.0 else 1.0

    def _inverse(self, shrinkage: float) -> tuple[Float64, float]:
        """Return the inverse of the shrunk covariance: (r,) along the axes above what is left."""
        shrinkage = 1.0 if self.no_spread else max(shrinkage, LEAST)
        floor = shrinkage * self.variance
        rest = 1.0 / floor
        return 1.0 / ((1.0 - shrinkage) * self.spectrum.values + floor) - rest, rest

    def _within(self, moments: Moments) -> Spectrum:
        sample = self.sample
        if sample.complete:
            scale = np.sqrt(sample.weights / self.total)[:, None]
            return spectrum_of_rows(scale * (self.rows - self.means[sample.codes]))
        return spectrum_of(moments.spread / self.total)
