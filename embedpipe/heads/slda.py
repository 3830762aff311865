"""Streaming linear discriminant analysis."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._specs import check_number
from ._arrays import Float64
from ._exact_head import DEFAULT_TEMPERATURE, PRIOR_ROWS, LinearFit, StreamingHead
from ._held_out import calibrated_loss
from ._labelled import Sample
from ._moments import Moments, Spectrum, spectrum_of, spectrum_of_rows

GRID = np.array([0.003, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.85, 0.95, 1.0])
"""Candidate shrinkages."""

LOGIT_SCALE = 2.0
"""Target standard deviation of the logits of a row."""

MIN_SHRINKAGE = 1e-9
"""Minimum shrinkage in computations, so that the covariance can be inverted."""


class SLDAHead(StreamingHead):
    """Streaming linear discriminant analysis: class means and one shared covariance.

    Each class is a normal distribution around its mean. All classes share one covariance S, which
    is shrunk: ``(1 - s) S + s * mean(diag S) * I``.

    Parameters
    ----------
    shrinkage
        s, from 0 to 1. ``"auto"`` is the value of 12 candidates with the least leave-one-out
        log-loss. ``"oas"`` is the formula of Chen et al., also used by ``"auto"`` if no row can be
        left out.
    class_weight
        None, ``"balanced"`` or weights by label; they determine the class priors.
    normalize
        See `SimpleHead`.

    Attributes
    ----------
    coef_, intercept_
        (K, d) and (K,) float64: log-posteriors without the part that all classes share.
    shrinkage_
        The s used.
    temperature_, cv_accuracy_, cv_ece_, cv_n_
        From leave-one-out evaluation; see `Head`.
    class_count_, means_, scatter_, sample_rows_, sample_codes_, sample_weights_, …
        The state for `partial_fit`.

    Notes
    -----
    The weights are as in scikit-learn's ``LinearDiscriminantAnalysis(solver="lsqr")``. The paper
    shrinks towards the identity with s = 1e-4. Leaving a row out is an exact rank-one update of
    mean and covariance; the target of the shrinkage does not change.

    A fit to n rows of length d takes O(n d min(n, d)) time up to 2,000 distinct rows. With more
    rows it takes O(n d² + d³) time. The head needs 20 bytes for each number in the stored rows, and
    with more than 2,000 rows another 24·d² bytes.

    References
    ----------
    Hayes, Kanan (2020), "Lifelong machine learning with deep streaming linear discriminant
    analysis", arXiv:1909.01520. Chen, Wiesel, Eldar, Hero (2010), "Shrinkage algorithms for MMSE
    covariance estimation", arXiv:0907.4698.
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
        if self.shrinkage not in ("auto", "oas"):
            check_number(
                "shrinkage", self.shrinkage, least=0, most=1, alternative="'auto' or 'oas'"
            )

    def _solve(self, moments: Moments, sample: Sample, scored: NDArray[np.intp]) -> LinearFit:
        gaussians = _SharedGaussians(moments, sample)
        self.shrinkage_ = self._choose(gaussians, scored)
        coef, intercept = gaussians.weights(self.shrinkage_)
        left_out = gaussians.left_out(self.shrinkage_)  # (m, K)
        return LinearFit(coef, intercept, left_out, gaussians.scale(left_out, scored))

    def _choose(self, gaussians: _SharedGaussians, scored: NDArray[np.intp]) -> float:
        if not isinstance(self.shrinkage, str):
            return float(self.shrinkage)
        if self.shrinkage == "oas" or not len(scored):
            return gaussians.oas()
        losses = [gaussians.loss(float(shrinkage), scored) for shrinkage in GRID]
        return float(GRID[int(np.argmin(np.round(losses, 4)))])


class _SharedGaussians:
    """Normal distributions around class means, for any shrinkage of their covariance."""

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
        if self.no_spread:  # equal rows in every class: use the variance between the means
            self.variance = float(np.square(self.means[self.present]).mean()) or 1.0
        self.row_part = self.rows @ self.spectrum.axes  # (m, r)
        self.mean_part = self.means @ self.spectrum.axes  # (K, r)
        self.row_squares = np.square(self.rows).sum(axis=1)  # (m,)
        self.mean_squares = np.square(self.means).sum(axis=1)  # (K,)
        self.products = self.rows @ self.means.T  # (m, K)
        shares = np.where(self.present, moments.counts, self.total) / self.total  # (K,)
        self.log_priors = np.where(self.present, np.log(shares), -np.inf)  # (K,)

    def weights(self, shrinkage: float) -> tuple[Float64, Float64]:
        """Return the weights (K, d) and intercepts (K,)."""
        factors, rest = self._inverse(shrinkage)
        coef = (self.mean_part * factors) @ self.spectrum.axes.T + rest * self.means  # (K, d)
        halves = 0.5 * np.einsum("kd,kd->k", coef, self.means)  # (K,)
        return coef, self.log_priors - halves - coef @ self.mean

    def loss(self, shrinkage: float, scored: NDArray[np.intp]) -> float:
        """Return the mean leave-one-out log-loss at the best temperature."""
        left_out = self.left_out(shrinkage)
        logits = left_out[scored][:, self.present]  # (s, P)
        logits /= self.scale(left_out, scored)
        codes = (np.cumsum(self.present) - 1)[self.sample.codes[scored]]
        weights = self.sample.weights[scored]
        return calibrated_loss(logits, codes, weights, prior_rows=PRIOR_ROWS)

    def left_out(self, shrinkage: float) -> Float64:
        """Return the (m, K) log-posteriors of the rows, each from a fit without that row.

        A class has weight n; a row has weight w and offset z from the class mean. Removing the row
        changes the covariance to S - k z z', up to a factor, and the offset to n / (n - w) z.
        """
        factors, rest = self._inverse(shrinkage)
        scaled = self.row_part * factors  # (m, r)
        rows = np.einsum("mr,mr->m", scaled, self.row_part) + rest * self.row_squares  # (m,)
        cross = scaled @ self.mean_part.T + rest * self.products  # (m, K)
        between = (self.mean_part * factors) @ self.mean_part.T  # (K, K)
        between += rest * (self.means @ self.means.T)
        each, own = np.arange(len(rows)), self.sample.codes
        square = np.diag(between)  # (K,)
        distances = rows[:, None] - 2.0 * cross + square  # (m, K), to each mean
        along = (rows - cross[each, own])[:, None] - cross + between[own]  # (m, K): products with z
        size = distances[each, own].copy()  # (m,): squared length of z
        n, w = self.counts[own], self.sample.weights
        left = np.maximum(n - w, 1e-9 * n)  # (m,)
        shrunk = 0.0 if self.no_spread else 1.0 - max(shrinkage, MIN_SHRINKAGE)
        k = shrunk * w * n / (left * self.total)
        gain = k / np.maximum(1.0 - k * size, 1e-9)  # (m,)
        distances += gain[:, None] * np.square(along)
        distances[each, own] *= np.square(n / left)
        distances *= ((self.total - w) / self.total)[:, None]
        return np.asarray(self.log_priors - 0.5 * distances)

    def scale(self, left_out: Float64, scored: NDArray[np.intp]) -> float:
        """Return the temperature at which the logits of a row have the deviation `LOGIT_SCALE`."""
        if not len(scored):  # the mean logit gap between two class means
            return (
                DEFAULT_TEMPERATURE * float(self.mean_squares[self.present].mean()) / self.variance
                or 1.0
            )
        logits = left_out[scored][:, self.present]
        return max(1.0, float(np.sqrt(logits.var(axis=1).mean())) / LOGIT_SCALE)

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
        """Return the inverse of the shrunk covariance: (r,) terms along axes, and `rest` * I."""
        shrinkage = 1.0 if self.no_spread else max(shrinkage, MIN_SHRINKAGE)
        floor = shrinkage * self.variance
        rest = 1.0 / floor
        return 1.0 / ((1.0 - shrinkage) * self.spectrum.values + floor) - rest, rest

    def _within(self, moments: Moments) -> Spectrum:
        sample = self.sample
        if sample.complete:
            scale = np.sqrt(sample.weights / self.total)[:, None]
            return spectrum_of_rows(scale * (self.rows - self.means[sample.codes]))
        return spectrum_of(moments.within / self.total)
