"""Multinomial logistic regression in the span of few rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import eigh

from ..._threads import one_blas_thread
from .._arrays import Array, Codes, Float64, losses_and_residuals, mean_curvature, softmax
from .lbfgs import Minimum, dot, minimise
from .problem import CentredRows

RANK_TOLERANCE = 1e-12
"""Minimum energy (sum of squares) of an axis, as a share of the largest energy."""

ZERO_TOLERANCE = 1e-26
"""Minimum energy of an axis, as a share of the energy before centring."""

SINGLE_TOLERANCE = 1e-6
"""`RANK_TOLERANCE` for axes that are computed in float32."""

EXACT_ROWS = 400
"""Maximum rows for which axes are computed in float64."""

MAX_AXES = 400
"""Maximum axes for more than `EXACT_ROWS` rows."""

MIN_CURVATURE = 1e-3
"""Minimum mean of p (1 - p) in the preconditioner."""


class Span(NamedTuple):
    """Rows in orthogonal coordinates of their span; the axes have decreasing energy."""

    rows: Float64
    """(n, r + 1): the centred rows in the new coordinates, then ones for the intercept."""
    energy: Float64
    """(r,) the sum of squares of each coordinate, decreasing; r <= min(n, d)."""
    axes: Float64
    """(d, r) orthonormal columns: ``rows[:, :r] = (X - mean) @ axes``."""
    mean: Float64
    """(d,) the mean row."""


def rotate_to_span(X: Float64) -> Span:
    """Centre (n, d) rows and rotate them to their span: O(n d min(n, d)) time.

    With a penalty on the norm of the weights, the solution lies in this span. With fewer rows than
    columns, each class has fewer than n unknowns instead of d.
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


class Coordinates(NamedTuple):
    """Rows in orthogonal coordinates, and the inverse transform of weights."""

    values: Array
    """(1 + r, n) float32: ones, then the coordinates of the centred rows."""
    energy: Float64
    """(r,) the sum of squares of each coordinate."""
    lift: Callable[[Array], Array]
    """Turns (K, r) weights for the coordinates into (K, d) weights for the rows."""


@one_blas_thread()
def short_coordinates(rows: CentredRows) -> Coordinates:
    """Return n rows in at most n coordinates: O(n² d + n³) time, without a (d, d) matrix.

    For more than 400 rows, only the first 400 principal axes are returned, in float32. They are
    precise enough to compare values of C and to start a fit.
    """
    n = len(rows.values)
    exact = n <= EXACT_ROWS
    dtype: type[np.floating[Any]] = np.float64 if exact else np.float32
    centred: Array = rows.values.astype(dtype) - rows.mean.astype(dtype)  # (n, d)
    energy, vectors = eigh(centred @ centred.T, driver="evd", check_finite=False)
    if not exact:
        energy, vectors = energy[-MAX_AXES:], vectors[:, -MAX_AXES:]
    floor = RANK_TOLERANCE if exact else SINGLE_TOLERANCE
    squares = float(np.einsum("nd,nd->", rows.values, rows.values))
    kept = energy > max(floor * energy[-1], ZERO_TOLERANCE * squares)
    scales = np.sqrt(energy[kept].astype(np.float64))  # (r,)
    axes = vectors[:, kept].T.astype(np.float32)  # (r, n)
    values = np.ones((1 + len(scales), n), dtype=np.float32)
    np.multiply(axes, scales[:, None], out=values[1:], casting="same_kind")
    return Coordinates(
        values,
        scales**2,
        lambda weights: rows.weighted_sums(((weights / scales) @ axes).astype(rows.values.dtype)),
    )


def solve(
    coordinates: Array,  # (1 + r, n): ones, then centred rows in orthogonal coordinates
    energy: Float64,  # (r,) the sum of squares of each coordinate
    codes: Codes,  # (n,)
    C: float,
    *,
    start: Array,  # (F, K, 1 + r), the intercept first
    counts: Array | None,  # (F, n) weights of the rows in each regression; None for ones
    tolerance: float = 0.0,
    relative: float = 0.0,
    max_steps: int,
) -> Minimum:
    """Fit F multinomial logistic regressions to the same rows with different row weights.

    Each regression minimises ``sum of log-losses + |W|² / (2 C)`` with a free intercept. The
    preconditioner is the inverse of ``w Z'Z + I / C``, which is diagonal in these coordinates. Here
    w is the mean of ``p (1 - p)`` at the start. `tolerance` is multiplied by the root of n F; see
    `minimise`. The point of the result is (F, K, 1 + r).
    """
    dtype, (width, n), (F, K, _) = coordinates.dtype, coordinates.shape, start.shape
    unknown = start.reshape(F * K, width).astype(dtype)
    penalty = np.append(0.0, np.full(width - 1, 1.0 / C))  # (1 + r,)
    logits = (unknown @ coordinates).reshape(F, K, n)
    softmax(logits, axis=1)
    curvature = max(mean_curvature(logits), MIN_CURVATURE)
    inverse = (1.0 / (curvature * np.append(n, energy) + penalty)).astype(dtype)  # (1 + r,)
    pull = penalty.astype(dtype)
    weights = None if counts is None else counts.astype(dtype)

    def objective(unknown: Array) -> tuple[float, Array]:
        logits = (unknown @ coordinates).reshape(F, K, n)
        losses = losses_and_residuals(logits, codes, weights)
        penalised = pull * unknown
        value = float(losses.sum(dtype=np.float64)) + 0.5 * dot(penalised, unknown)
        return value, logits.reshape(F * K, n) @ coordinates.T + penalised

    minimum = minimise(
        objective,
        unknown,
        tolerance=tolerance * np.sqrt(n * F),
        relative=relative,
        max_steps=max_steps,
        inverse=lambda gradient: inverse * gradient,
    )
    return minimum._replace(point=minimum.point.reshape(F, K, width))
