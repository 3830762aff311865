"""Draws of the weights of a logistic regression around their fitted values: the Laplace method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..._threads import one_blas_thread
from .._rows import Float32, Float64, lengths, refuse_non_finite
from .._softmax import softmax
from .span import rotate_to_span

CHUNK_VALUES = 4 << 20
"""Numbers drawn at once: 32 MB, and a few arrays of that size beside it."""


class LaplacePosterior:
    """Joint draws of the weights and intercepts of a `LogisticHead`.

    `weights` are (d, K, S) and `intercepts` (K, S); with `normalize`, rows are scaled to unit
    length. Every vector is multiplied by the same draws, so results do not depend on how a matrix
    is cut into blocks, beyond the last bits of a product.
    """

    def __init__(self, weights: NDArray[Any], intercepts: NDArray[Any], *, normalize: bool) -> None:
        self._classes, self._samples = intercepts.shape
        self._weights: Float32 = weights.reshape(len(weights), -1).astype(np.float32)  # (d, K S)
        self._intercepts: Float32 = intercepts.reshape(-1).astype(np.float32)  # (K S,)
        self._normalize = normalize

    def predict_proba(self, V: ArrayLike) -> Float32:
        """Return the (S, k, K) class probabilities of (k, d) rows under each draw.

        Safe to call from several threads at once. The answer is a view of a (k, K, S) array: 4·K·S
        bytes for each row, and as many for a moment beside it.
        """
        rows: Float32 = np.asarray(V, dtype=np.float32)  # (k, d)
        logits = self._logits(rows).reshape(len(rows), self._classes, self._samples)  # (k, K, S)
        return np.asarray(softmax(logits, axis=1).transpose(2, 0, 1))  # (S, k, K)

    def _logits(self, rows: Float32) -> Float32:
        scale = lengths(rows) if self._normalize else np.ones(len(rows))  # (k,)
        with np.errstate(invalid="ignore", over="ignore"):  # looked at on the next line
            logits: Float32 = rows @ self._weights  # (k, K S)
        if not np.isfinite(logits).all():
            refuse_non_finite(rows, 0)
            logits = (rows / scale[:, None]).astype(np.float32) @ self._weights  # (k, K S)
        else:
            logits /= scale[:, None].astype(np.float32)
        logits += self._intercepts
        return logits


@dataclass(frozen=True)
class Laplace:
    """The normal distribution of the weights of a softmax regression around the fitted ones.

    The curvature of the log-loss, the sum of ``(diag(p) - p p') (x) x x'`` over the labelled rows
    x, is replaced by the Kronecker product of G, the mean of the first factors, and A, the sum of
    the second (Ritter, Botev, Barber 2018). In the axes of both, the precision of a weight is then
    ``precision + g a`` with g and a the eigenvalues: the prior is added exactly (Daxberger et al.
    2021, arXiv:2106.14806), and no d·K by d·K matrix is formed. Rows are centred, as in the fit,
    so that the intercept stands apart, with n in the place of a.

    The fit leaves the intercept free. Here it has the prior of a weight, so that it has a
    distribution even where every label is predicted with certainty.
    """

    axes: Float64
    """(d, r) orthonormal axes of A in which rows differ."""
    mean: Float64
    """(d,) the mean row."""
    class_axes: Float64
    """(K, K) axes of G."""
    shrink: Float64
    """(r, K) the standard deviation in each pair of axes, as a share of the prior's."""
    prior: float
    """Standard deviation of a weight that no label tells anything about."""
    intercept: Float64
    """(K,) standard deviations of the intercept at the mean row, in the axes of G."""

    @classmethod
    def around(cls, rows: Float64, probabilities: Float64, precision: float) -> Laplace:
        """Return the distribution after n labelled rows: O(n d min(n, d) + n K² + K³) time.

        `rows` are (n, d) as the head uses them, `probabilities` (n, K) those of the fitted head.
        `precision` is the prior's, for each weight.
        """
        n = len(rows)
        span = rotate_to_span(rows)
        spread = probabilities.mean(axis=0)  # (K,)
        noise = np.diag(spread) - probabilities.T @ probabilities / n  # (K, K): G
        values, class_axes = np.linalg.eigh(noise)
        values = np.maximum(values, 0.0)
        known = np.outer(np.maximum(span.energy, 0.0), values)  # (r, K)
        return cls(
            axes=span.axes,
            mean=span.mean,
            class_axes=class_axes,
            shrink=np.sqrt(precision / (precision + known)),
            prior=1.0 / np.sqrt(precision),
            intercept=1.0 / np.sqrt(precision + n * values),
        )

    def changes(self, noise: Float64) -> tuple[Float64, Float64]:
        """Turn (s, d + 1, K) standard normal numbers into changes of weights and intercept.

        They are (d, s, K) and (s, K).
        """
        s, d, K = len(noise), len(self.mean), noise.shape[2]
        weights = noise[:, :-1].transpose(1, 0, 2).reshape(d, s * K)
        inside = (self.axes.T @ weights).reshape(-1, s, K) @ self.class_axes  # (r, s, K)
        inside *= self.shrink[:, None] - 1.0
        inside = inside @ self.class_axes.T  # back, so that the sign of an axis is nothing
        weights += self.axes @ inside.reshape(-1, s * K)  # (d, s K)
        changes = (self.prior * weights).reshape(d, s, K)
        at_mean = (noise[:, -1] @ self.class_axes * self.intercept) @ self.class_axes.T  # (s, K)
        return changes, at_mean - np.tensordot(self.mean, changes, axes=1)


def draw_posterior(
    head: Any, rows: Float64, probabilities: Float64, n_samples: int, rng: np.random.Generator
) -> LaplacePosterior:
    """Draw the weights of a fitted `LogisticHead`: the same bits on any number of threads.

    Needs O(d min(n, d) K S) time beside `Laplace.around`, 4·d·K·S bytes for the answer and at most
    some 100 MB beside it. All but the answer is float64.
    """
    K, d = head.coef_.shape
    weights = np.empty((d, K, n_samples), dtype=np.float32)
    intercepts = np.empty((K, n_samples), dtype=np.float32)
    chunk = max(1, CHUNK_VALUES // ((d + 1) * K))
    with one_blas_thread():
        laplace = Laplace.around(rows, probabilities, head.prior_precision)
        for start in range(0, n_samples, chunk):
            part = slice(start, min(start + chunk, n_samples))
            noise = rng.standard_normal((part.stop - start, d + 1, K))  # (s, d + 1, K)
            change, shift = laplace.changes(noise)  # (d, s, K), (s, K)
            drawn = (change + head.coef_.T[:, None]) / head.temperature_  # (d, s, K)
            weights[:, :, part] = drawn.transpose(0, 2, 1)
            intercepts[:, part] = (shift + head.intercept_).T / head.temperature_
    return LaplacePosterior(weights, intercepts, normalize=head.normalize)
