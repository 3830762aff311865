"""Multinomial logistic regression in the span of its rows."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._lbfgs import Minimum, minimise

Array = NDArray[np.floating[Any]]
Float64 = NDArray[np.float64]

RANK_TOLERANCE = 1e-12
"""Directions with less than this share of the largest energy are rounding errors."""

ZERO_TOLERANCE = 1e-26
"""So are directions with less than this share of the energy before centring."""

LEAST_CURVATURE = 1e-3
"""Rows that are all predicted with certainty still count a little in the scaling."""


class Span(NamedTuple):
    """Rows in the coordinates of their own span, axes by decreasing energy.

    Attributes
    ----------
    rows
        (n, r + 1) float64: the centred rows in the new coordinates, then a column of ones for
        the intercept; r <= min(n, d).
    energy
        (r,) float64: the sum of squares of each coordinate, decreasing.
    axes
        (d, r) float64, orthonormal columns: ``rows[:, :r] = (X - mean) @ axes``.
    mean
        (d,) float64: the mean row.
    """

    rows: Float64
    energy: Float64
    axes: Float64
    mean: Float64


def rotate_to_span(X: Float64) -> Span:
    """Rotate rows to the span of what they differ in; distances and solutions stay the same.

    The penalty of a ridge or logistic regression depends on the length of the weights only, so
    its solution has no part outside the span of the centred rows, and a rotation does not change
    it. With fewer rows than columns this replaces d unknowns per class by less than n.

    Parameters
    ----------
    X
        (n, d) float64.

    Returns
    -------
    Span
        O(n d min(n, d)) time and O(n d) memory.
    """
    mean = X.mean(axis=0)
    centred = X - mean  # (n, d)
    if len(X) > X.shape[1]:
        axes = np.linalg.eigh(centred.T @ centred)[1][:, ::-1]  # (d, d)
        rows = centred @ axes  # (n, d)
        energy = np.einsum("nr,nr->r", rows, rows)
    else:
        energy, vectors = np.linalg.eigh(centred @ centred.T)
        floor = max(RANK_TOLERANCE * energy[-1], ZERO_TOLERANCE * float(np.vdot(X, X)))
        kept = np.flatnonzero(energy > floor)[::-1]
        energy, vectors = energy[kept], vectors[:, kept]
        axes = centred.T @ (vectors / np.sqrt(energy))  # (d, r)
        rows = vectors * np.sqrt(energy)  # (n, r)
    return Span(np.column_stack([rows, np.ones(len(X))]), energy, axes, mean)


def solve(
    span: Span,
    targets: Array,
    C: float,
    *,
    start: Array,
    masks: NDArray[np.bool_],
    tolerance: float,
    max_steps: int,
) -> Minimum:
    """Fit one or several multinomial logistic regressions on subsets of the same rows.

    Each minimises ``sum of log-losses + |W|^2 / (2 C)`` with a free intercept. The unknowns are
    scaled by ``(w Z'Z + I / C)``, which is diagonal in the coordinates of the span and stands in
    for the Hessian; w is the mean of ``p (1 - p)`` at the start, so a start near the solution
    pays twice. All subsets share their matrix products.

    Parameters
    ----------
    span
        The rows, from `rotate_to_span`.
    targets
        (n, K): one-hot rows; its dtype is the precision of the arithmetic.
    C
        Inverse strength of the penalty.
    start
        (r + 1, F, K): the weights to begin with, the intercept in the last row.
    masks
        (n, F): which rows each of the F regressions is fitted to.
    tolerance
        On the norm of the gradient for the scaled unknowns, divided by the root of n F.
    max_steps
        See `minimise`.

    Returns
    -------
    Minimum
        Its point is (r + 1, F, K), the weights.
    """
    dtype, (n, F), K = targets.dtype, masks.shape, targets.shape[1]
    penalty = np.append(np.full(len(span.energy), 1.0 / C), 0.0)  # (r + 1,)
    curvature = _mean_curvature(span.rows, start)
    scale = np.sqrt(curvature * np.append(span.energy, n) + penalty)  # (r + 1,)
    rows = (span.rows / scale).astype(dtype)  # (n, r + 1)
    shrink = (penalty / scale**2).astype(dtype)[:, None]  # (r + 1, 1)
    weights = masks.astype(dtype)[:, :, None]  # (n, F, 1)

    def objective(unknown: Array) -> tuple[float, Array]:
        logits = (rows @ unknown).reshape(n, F, K)
        losses, residual = _losses(logits, targets)
        pull = shrink * unknown
        value = float((losses * weights[:, :, 0]).sum(dtype=np.float64))
        value += 0.5 * float(np.vdot(pull, unknown))
        residual *= weights
        return value, rows.T @ residual.reshape(n, F * K) + pull

    scaled = (start * scale[:, None, None]).reshape(len(scale), F * K).astype(dtype)
    found = minimise(objective, scaled, tolerance=tolerance * np.sqrt(n * F), max_steps=max_steps)
    point = found.point.reshape(len(scale), F, K).astype(np.float64) / scale[:, None, None]
    return found._replace(point=point)


def _mean_curvature(rows: Float64, weights: Array) -> float:
    """Return the mean of p (1 - p), kept away from zero: what the rows add to the Hessian."""
    n, (width, F, K) = len(rows), weights.shape
    nobody = np.zeros((n, K))
    probabilities = _losses((rows @ weights.reshape(width, F * K)).reshape(n, F, K), nobody)[1]
    return max(float((probabilities * (1.0 - probabilities)).mean()), LEAST_CURVATURE)


def _losses(logits: Array, targets: Array) -> tuple[Array, Array]:
    """Return the log-losses (n, F) and the probabilities minus `targets` (n, F, K)."""
    own = np.einsum("nfk,nk->nf", logits, targets)  # (n, F)
    probabilities = logits
    top = logits.max(axis=2, keepdims=True)
    probabilities -= top
    np.exp(probabilities, out=probabilities)
    total = probabilities.sum(axis=2, keepdims=True)
    probabilities /= total
    probabilities -= targets[:, None, :]
    return np.log(total[:, :, 0]) + top[:, :, 0] - own, probabilities
