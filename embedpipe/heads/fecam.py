"""Nearest class mean by Mahalanobis distance, with one covariance for each class."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._specs import check_above, check_number
from .._threads import map_blocks
from ._arrays import Array, Codes, Float64, row_norms
from ._embedding_head import BLOCK_ROWS
from ._exact_head import DEFAULT_TEMPERATURE, PRIOR_ROWS, ExactHead, scorable
from ._held_out import calibrated_loss
from ._labelled import Labelled, Sample, log_class_weights
from ._moments import (
    Moments,
    drop_rounding_errors,
    joined,
    moments_of,
    spectrum_of,
    spectrum_of_rows,
)

GRID = (1.0, 3.0, 10.0, 30.0, 100.0, 1000.0)
"""Candidate shrinkages."""

DEFAULT = 100.0
"""Shrinkage if no row can be left out: the paper's value for few rows in a class."""

MAX_SCORED = 500
"""Maximum rows on which the shrinkage is chosen."""

LOGIT_SCALE = 2.0
"""Target standard deviation of the logits of a row."""

ROUNDING = 1e-9
"""Share of a variance below which a value is a rounding error."""


class FeCAMHead(ExactHead):
    """Nearest class mean by Mahalanobis distance, with a covariance per class; exact on streams.

    Rows are transformed by Tukey's power, ``sign(x) |x|^beta``, and scaled to unit length. The
    covariance of each class is shrunk, ``S + shrinkage * mean(diag S) * I``, and scaled to a
    correlation matrix. Probabilities are softmax(-squared distance / temperature).

    Parameters
    ----------
    shrinkage
        A number above 0, or ``"auto"``, which chooses the value with the least leave-one-out
        log-loss of six values from 1 to 1,000. If no row can be left out, the shrinkage is 100. For
        large values only the means matter.
    beta
        The power, above 0; 1 leaves rows unchanged.
    class_weight
        None, or weights by label that multiply the probabilities. ``"balanced"`` equals None.
    normalize
        See `SimpleHead`.

    Attributes
    ----------
    class_count_, means_
        (K,) and (K, d) float64: total weights of the rows and means of the K classes.
    ranks_, spreads_, axes_
        The scatter of the classes: the (K,) numbers of axes of each class, and the (R,) float64
        sums of squares and (R, d) float64 directions of all R axes.
    shrinkage_
        The shrinkage used.
    intercept_
        (K,) float64, added to -distance²; minus infinity for a class without rows.
    temperature_, cv_accuracy_, cv_ece_, cv_n_
        From leave-one-out evaluation; see `Head`.
    sample_rows_, sample_codes_, sample_weights_, …
        Up to 2,000 transformed rows, chosen by a hash of their content, for leave-one-out.

    Notes
    -----
    A class of m rows needs 8·d·min(m - 1, d) bytes: at 1,280 dimensions 10 kB for each row and at
    most 13 MB. `partial_fit` takes O(n d min(m, d)) time for n new rows, plus O(d min(m, d)²) for
    each class. Prediction takes O(d R) time for each row.

    Unlike in the paper, the shrinkage has no off-diagonal part.

    References
    ----------
    Goswami, Liu, Twardowski, van de Weijer (2023), "FeCAM: Exploiting the heterogeneity of class
    distributions in exemplar-free continual learning", arXiv:2309.14062.

    Examples
    --------
    Two elongated classes; each query is equally far from both means, and lies on the long axis of
    one class:

    >>> X = [[-2, -2], [2, 2], [-0.1, 0.1], [0.1, -0.1], [2, -2], [6, 2], [3.9, 0.1], [4.1, -0.1]]
    >>> head = FeCAMHead(0.1, beta=1.0, normalize=False)
    >>> head = head.partial_fit(X[:4], ["left"] * 4).partial_fit(X[4:], ["right"] * 4)
    >>> head.predict([[2.0, 2.0], [2.0, -2.0]]).tolist()
    ['left', 'right']
    """

    def __init__(
        self,
        shrinkage: float | str = "auto",
        *,
        beta: float = 0.5,
        class_weight: Any = None,
        normalize: bool = True,
    ) -> None:
        self.shrinkage = shrinkage
        self.beta = beta
        self.class_weight = class_weight
        self.normalize = normalize

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.shrinkage != "auto":
            check_number("shrinkage", self.shrinkage, above=0, alternative="'auto'")
        check_above("beta", self.beta)

    def _log_weights(self) -> Float64:
        return log_class_weights(self.classes_, self.class_weight)

    def _read(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None, *, reset: bool
    ) -> Labelled:
        batch = super()._read(X, y, sample_weight, reset=reset)
        rows = np.empty_like(batch.rows)

        def work(part: slice) -> None:
            rows[part] = self._transformed(batch.rows[part])

        map_blocks(work, len(rows), BLOCK_ROWS)
        return replace(batch, rows=rows)

    def _transformed(self, rows: Array) -> Array:
        """Return (m, d) scaled rows after Tukey's power, in the precision of the rows."""
        powers = np.copysign(np.abs(rows) ** rows.dtype.type(self.beta), rows)
        if self.normalize:
            powers /= row_norms(powers)[:, None].astype(rows.dtype)
        return np.asarray(powers)

    def _learn(self, batch: Labelled, codes: Codes, at: NDArray[np.intp] | None) -> Self:
        scatters = [ClassScatter.empty(batch.rows.shape[1]) for _ in self.classes_]
        sample = Sample.of(batch, codes)
        if at is not None:
            for k, scatter in zip(at, self._scatters(), strict=True):
                scatters[k] = scatter
            sample = self._sample().renumbered(at).joined(sample)
        bounds = np.searchsorted(codes, np.arange(len(scatters) + 1))
        updated = np.flatnonzero(np.diff(bounds))  # the classes of the batch

        def learn(part: slice) -> None:
            for k in updated[part]:
                own = slice(bounds[k], bounds[k + 1])
                scatters[k] = scatters[k].with_rows(batch.rows[own], batch.weights[own])

        map_blocks(learn, len(updated), 1)
        self._keep_scatters(scatters)
        self._keep_sample(sample)
        scored = scorable(sample, self.class_count_)
        self.shrinkage_ = self._choose(sample, scored)
        left_out = self._left_out(sample, self.shrinkage_)
        scale = self._scale(left_out[scored])
        shift = self._calibrate(left_out, scale, self.class_count_, sample, scored)
        self.intercept_ = np.where(self.class_count_ > 0.0, shift, -np.inf)
        return self

    def _choose(self, sample: Sample, scored: NDArray[np.intp]) -> float:
        """Return the shrinkage with the least loss on at most 500 scored rows, chosen by digest."""
        if not isinstance(self.shrinkage, str):
            return float(self.shrinkage)
        if not len(scored):
            return DEFAULT
        kept = np.sort(scored[np.argsort(sample.digests[scored], kind="stable")[:MAX_SCORED]])
        losses = [self._loss(sample.only(kept), shrinkage) for shrinkage in GRID]
        return GRID[int(np.argmin(np.round(losses, 4)))]

    def _loss(self, sample: Sample, shrinkage: float) -> float:
        present = self.class_count_ > 0.0  # (K,)
        logits = self._left_out(sample, shrinkage)[:, present]  # (m, P)
        codes = (np.cumsum(present) - 1)[sample.codes]
        scaled = logits / self._scale(logits)
        return calibrated_loss(scaled, codes, sample.weights, prior_rows=PRIOR_ROWS)

    def _left_out(self, sample: Sample, shrinkage: float) -> Float64:
        """Return the (m, K) logits of the sample's rows, each from a fit without that row."""
        logits = np.full((len(sample.rows), len(self.classes_)), -np.inf)
        gaussians = self._gaussians(shrinkage)
        rows = sample.rows.astype(np.float64)  # (m, d)

        def work(part: slice) -> None:
            for k, gaussian in gaussians[part]:
                own = np.flatnonzero(sample.codes == k)
                logits[:, k] = -gaussian.distances(rows)
                logits[own, k] = -gaussian.left_out(rows[own], sample.weights[own])

        map_blocks(work, len(gaussians), 1)
        return logits

    def _scale(self, logits: Float64) -> float:
        """Return the initial temperature for (s, K) leave-one-out logits."""
        if len(logits):
            deviation = np.sqrt(logits[:, np.isfinite(logits[0])].var(axis=1).mean())
            return float(deviation) / LOGIT_SCALE or 1.0
        gaussians = self._gaussians(self.shrinkage_)
        means = self.means_[[k for k, _ in gaussians]]  # (P, d)
        between = sum(float(gaussian.distances(means).sum()) for _, gaussian in gaussians)
        pairs = max(len(gaussians) * (len(gaussians) - 1), 1)
        return DEFAULT_TEMPERATURE * between / pairs or 1.0

    def _logits(self, rows: NDArray[Any], dtype: type, offset: int) -> Array:
        if not self.normalize:
            dtype = np.float64  # products of rows with large norms overflow float32
        powers = self._transformed(self._scaled(rows, dtype, offset))  # (b, d)
        logits: Array = np.full((len(powers), len(self.classes_)), -np.inf, dtype=dtype)
        for k, gaussian in self._gaussians(self.shrinkage_):
            logits[:, k] = self.intercept_[k] - gaussian.distances(powers)
        return logits

    def _gaussians(self, shrinkage: float) -> list[tuple[int, ClassGaussian]]:
        """Return the code and the distribution of each class that has rows."""
        return [
            (k, ClassGaussian(scatter, shrinkage))
            for k, scatter in enumerate(self._scatters())
            if scatter.count > 0.0
        ]

    def _keep_scatters(self, scatters: list[ClassScatter]) -> None:
        self.class_count_ = np.array([scatter.count for scatter in scatters])
        self.means_ = np.array([scatter.mean for scatter in scatters])
        self.ranks_ = np.array([len(scatter.values) for scatter in scatters], dtype=np.int64)
        self.spreads_ = np.concatenate([scatter.values for scatter in scatters])
        self.axes_ = np.concatenate([scatter.axes for scatter in scatters])

    def _scatters(self) -> list[ClassScatter]:
        ends = np.cumsum(self.ranks_)  # (K,)
        return [
            ClassScatter(
                float(count), mean, self.spreads_[end - rank : end], self.axes_[end - rank : end]
            )
            for count, mean, rank, end in zip(
                self.class_count_, self.means_, self.ranks_, ends, strict=True
            )
        ]


@dataclass(frozen=True)
class ClassScatter:
    """Weight, mean and scatter of the rows of a class; the scatter is stored as eigenvectors.

    The scatter, the weighted sum of ``(x - mean)(x - mean)'``, is ``axes.T @ (values * axes)``.
    """

    count: float
    """Total weight of the rows."""
    mean: Float64
    """(d,)."""
    values: Float64
    """(r,), positive."""
    axes: Float64
    """(r, d) orthonormal rows."""

    @classmethod
    def empty(cls, dimensions: int) -> ClassScatter:
        """Return the scatter of no rows."""
        return cls(0.0, np.zeros(dimensions), np.empty(0), np.empty((0, dimensions)))

    def with_rows(self, rows: Array, weights: Float64) -> ClassScatter:
        """Return the scatter after (m, d) further rows, m >= 1, without cancellation."""
        many = len(rows) >= rows.shape[1]
        codes = np.zeros(len(rows), dtype=np.intp)
        new = moments_of(rows, codes, weights, 1, scatter=many)
        old = Moments(np.array([self.count]), self.mean[None], None)
        both = joined(old, Moments(new.counts, new.means, None))
        between = np.sqrt(self.count * new.counts / both.counts) * (new.means - self.mean)  # (1, d)
        parts = [np.sqrt(self.values)[:, None] * self.axes, between]  # (r, d), (1, d)
        if many:
            known = np.concatenate(parts)  # (r + 1, d)
            spectrum = spectrum_of(new.within + known.T @ known)
        else:
            parts.append(np.sqrt(weights)[:, None] * (rows - new.means))  # (m, d)
            spectrum = spectrum_of_rows(np.concatenate(parts))
        count, mean = float(both.counts[0]), both.means[0]
        values, axes = drop_rounding_errors(spectrum, count * float(mean @ mean))  # (r,), (d, r)
        return ClassScatter(count, mean, values, np.ascontiguousarray(axes.T))


class ClassGaussian:
    """A normal distribution whose shrunk covariance is scaled to a correlation matrix.

    S is the scatter, v the mean of its diagonal, and g > 0 the shrinkage. R is ``S + g v I`` scaled
    to a diagonal of ones. The squared distance of x is ``(x - mean)' R^-1 (x - mean)``. R is never
    computed: with s² the diagonal of ``S + g v I`` and ``z = s (x - mean)``, the squared distance
    is ``z' (S + g v I)^-1 z``. If all rows are equal, S is 0, and R^-1 is defined as (1 + g) / g
    times the identity.
    """

    def __init__(self, scatter: ClassScatter, shrinkage: float) -> None:
        dimensions = len(scatter.mean)
        self.count, self.mean, self.axes = scatter.count, scatter.mean, scatter.axes
        self.shrinkage = shrinkage
        self.unit = float(scatter.values.sum()) / dimensions  # v
        self.values = scatter.values / self.unit if len(scatter.values) else scatter.values  # (r,)
        self.variances = np.ones(dimensions)  # the diagonal of S in units of v
        if len(self.values):
            self.variances = self.values @ np.square(self.axes)  # (d,)

    def distances(self, rows: Array) -> Array:
        """Return the (m,) squared distances of (m, d) rows, in the precision of the rows."""
        dtype = rows.dtype
        offsets = rows - self.mean.astype(dtype)  # (m, d)
        offsets *= np.sqrt(self.variances + self.shrinkage).astype(dtype)
        squares: Array = np.einsum("md,md->m", offsets, offsets) / dtype.type(self.shrinkage)
        along = offsets @ self.axes.T.astype(dtype)  # (m, r)
        factors = self.values / (self.shrinkage * (self.values + self.shrinkage))  # (r,)
        return np.asarray(squares - np.square(along) @ factors.astype(dtype))

    def left_out(self, rows: Array, weights: Float64) -> Float64:
        """Return the (m,) squared distances of rows of the class, each from a fit without that row.

        The class has weight n, and a row has weight w and offset z from the mean. Removing the row
        reduces S by ``w n / (n - w) z z'``, an exact rank-one update. Takes O(m d r) time.
        """
        offsets = rows - self.mean  # (m, d)
        growth = self.count / np.maximum(self.count - weights, ROUNDING * self.count)  # (m,)
        squares = np.square(offsets).sum(axis=1)  # (m,)
        distances = (1.0 + 1.0 / self.shrinkage) * np.square(growth) * squares  # (m,): for S = 0
        if not len(self.values):
            return np.asarray(distances)
        removed = weights * growth / self.unit  # (m,): the factor of z z', in units of v
        variance = 1.0 - removed * squares / offsets.shape[1]  # (m,): v without the row, in v
        some = np.flatnonzero(variance > ROUNDING)
        offsets, removed, floor = offsets[some], removed[some], self.shrinkage * variance[some]
        variances = np.maximum(
            self.variances - removed[:, None] * np.square(offsets), 0.0
        )  # (s, d)
        scaled = growth[some, None] * np.sqrt(variances + floor[:, None]) * offsets  # (s, d)
        factors = self.values / (floor[:, None] * (self.values + floor[:, None]))  # (s, r)
        scaled_along, offsets_along = scaled @ self.axes.T, offsets @ self.axes.T  # (s, r)

        def inner(one: Float64, other: Float64, along: Float64) -> Float64:
            """Return the (s,) products ``one' (S + floor I)^-1 other``."""
            whole = np.einsum("sd,sd->s", one, other) / floor
            return np.asarray(whole - np.einsum("sr,sr->s", along, factors))

        cross = inner(scaled, offsets, scaled_along * offsets_along)  # (s,)
        rest = 1.0 - removed * inner(offsets, offsets, np.square(offsets_along))  # (s,)
        whole = inner(scaled, scaled, np.square(scaled_along))  # (s,)
        distances[some] = whole + removed * np.square(cross) / np.maximum(rest, ROUNDING)
        return np.asarray(distances)
