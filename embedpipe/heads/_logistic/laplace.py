"""The Laplace approximation of the posterior distribution of a logistic regression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..._threads import one_blas_thread
from .._arrays import Float32, Float64, check_finite, row_norms, softmax
from .span import rotate_to_span

CHUNK_VALUES = 4 << 20
"""Maximum random numbers in memory: 32 MB, and a few arrays of that size."""


class LaplacePosterior:
    """S draws of the (d, K, S) weights and (K, S) intercepts, the same for every vector."""

    def __init__(self, weights: NDArray[Any], intercepts: NDArray[Any], *, normalize: bool) -> None:
        self._classes, self._samples = intercepts.shape
        self._weights: Float32 = weights.reshape(len(weights), -1).astype(np.float32)  # (d, K S)
        self._intercepts: Float32 = intercepts.reshape(-1).astype(np.float32)  # (K S,)
        self._normalize = normalize

    def predict_proba(self, V: ArrayLike) -> Float32:
        """Return the (S, k, K) class probabilities of (k, d) rows under each draw; thread-safe."""
        rows: Float32 = np.asarray(V, dtype=np.float32)  # (k, d)
        logits = self._logits(rows).reshape(len(rows), self._classes, self._samples)  # (k, K, S)
        return np.asarray(softmax(logits, axis=1).transpose(2, 0, 1))  # (S, k, K)

    def _logits(self, rows: Float32) -> Float32:
        scale = row_norms(rows) if self._normalize else np.ones(len(rows))  # (k,)
        with np.errstate(invalid="ignore", over="ignore"):  # checked below
            logits: Float32 = rows @ self._weights  # (k, K S)
        if not np.isfinite(logits).all():
            check_finite(rows, 0)
            logits = (rows / scale[:, None]).astype(np.float32) @ self._weights  # (k, K S)
        else:
            logits /= scale[:, None].astype(np.float32)
        logits += self._intercepts
        return logits


@dataclass(frozen=True)
class Laplace:
    """The normal distribution of the weights of a softmax regression around the fitted weights.

    The curvature of the log-loss is a sum over the labelled rows x with probabilities p. Each term
    is the Kronecker product of ``diag(p) - p p'`` and ``x x'``. G is the mean of the first factors
    and A the sum of the second factors. The Kronecker product of G and A approximates the curvature
    (Ritter, Botev, Barber 2018). For an axis of G with eigenvalue g and an axis of A with
    eigenvalue a, the precision of a weight is ``precision + g a`` (Daxberger et al. 2021,
    arXiv:2106.14806).

    Rows are centred, so that the intercept is independent of the weights. The precision of the
    intercept has the number of rows in place of a. This precision includes the prior of a weight,
    so that the variance is finite.
    """

    axes: Float64
    """(d, r) orthonormal axes of A."""
    mean: Float64
    """(d,) mean row."""
    class_axes: Float64
    """(K, K) axes of G."""
    shrink: Float64
    """(r, K) standard deviations along each pair of axes, as shares of the prior's deviation."""
    prior: float
    """Standard deviation of a weight under the prior."""
    intercept: Float64
    """(K,) standard deviations of the intercept at the mean row, along the axes of G."""

    @classmethod
    def fit(cls, rows: Float64, probabilities: Float64, precision: float) -> Laplace:
        """Return the distribution after n labelled rows: O(n d min(n, d) + n K² + K³) time.

        `rows` are (n, d) scaled rows, `probabilities` the (n, K) probabilities of the fitted head,
        and `precision` the precision of the prior on each weight.
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

    def deviations(self, noise: Float64) -> tuple[Float64, Float64]:
        """Turn (s, d + 1, K) normal numbers into (d, s, K) and (s, K) deviations of the weights."""
        s, d, K = len(noise), len(self.mean), noise.shape[2]
        weights = noise[:, :-1].transpose(1, 0, 2).reshape(d, s * K)
        inside = (self.axes.T @ weights).reshape(-1, s, K) @ self.class_axes  # (r, s, K)
        inside *= self.shrink[:, None] - 1.0
        inside = inside @ self.class_axes.T  # so that the sign of an axis does not matter
        weights += self.axes @ inside.reshape(-1, s * K)  # (d, s K)
        changes = (self.prior * weights).reshape(d, s, K)
        at_mean = (noise[:, -1] @ self.class_axes * self.intercept) @ self.class_axes.T  # (s, K)
        return changes, at_mean - np.tensordot(self.mean, changes, axes=1)


def draw_posterior(
    head: Any, rows: Float64, probabilities: Float64, n_samples: int, rng: np.random.Generator
) -> LaplacePosterior:
    """Draw the weights of a fitted `LogisticHead`, to the same bits on any number of threads."""
    K, d = head.coef_.shape
    weights = np.empty((d, K, n_samples), dtype=np.float32)
    intercepts = np.empty((K, n_samples), dtype=np.float32)
    chunk = max(1, CHUNK_VALUES // ((d + 1) * K))
    with one_blas_thread():
        laplace = Laplace.fit(rows, probabilities, head.prior_precision)
        for start in range(0, n_samples, chunk):
            part = slice(start, min(start + chunk, n_samples))
            noise = rng.standard_normal((part.stop - start, d + 1, K))  # (s, d + 1, K)
            change, shift = laplace.deviations(noise)  # (d, s, K), (s, K)
            drawn = (change + head.coef_.T[:, None]) / head.temperature_  # (d, s, K)
            weights[:, :, part] = drawn.transpose(0, 2, 1)
            intercepts[:, part] = (shift + head.intercept_).T / head.temperature_
    return LaplacePosterior(weights, intercepts, normalize=head.normalize)
