"""Which solver a logistic regression is left to, by the number of its rows and the precision."""

from __future__ import annotations

import numpy as np

from .._threads import one_blas_thread
from ._labelled import Labelled
from ._matrix import Array
from ._multinomial import Coordinates, rotate_to_span, short_coordinates, solve
from ._subspace import NOTHING, Solution, solve_in_subspaces

SINGLE_PRECISION = 1e-4
"""The tolerance down to which float32 is trusted; float64 goes on from there."""

TINY = 150
"""Up to so many rows, their own coordinates cost less than a search for better ones."""


def fit_weights(
    labelled: Labelled,
    C: float,
    *,
    start: tuple[Array, Array] | None = None,
    tolerance: float,
    max_steps: int,
) -> Solution:
    """Fit a multinomial logistic regression to labelled rows.

    Parameters
    ----------
    labelled
        From `arranged`; in float64 if `tolerance` is below 1e-4.
    C
        Inverse strength of the penalty.
    start
        Weights (K, d) and intercepts (K,) for centred rows; None is zeros.
    tolerance, max_steps
        See `solve_in_subspaces`; the steps are counted in each precision.

    Returns
    -------
    Solution
        For centred rows.
    """
    n, d = labelled.rows.values.shape
    if start is None and n <= min(TINY, d):
        coordinates = short_coordinates(labelled.rows)
        inside = np.zeros((labelled.n_classes, len(coordinates.values)), dtype=np.float32)
        found = fit_inside(labelled, coordinates, inside, C, tolerance, max_steps)
    else:
        found = solve_in_subspaces(
            labelled.rows,
            labelled.codes,
            C,
            n_classes=labelled.n_classes,
            start=start,
            counts=labelled.counts,
            tolerance=max(tolerance, SINGLE_PRECISION),
            max_steps=max_steps,
        )
    if (found.converged and tolerance >= SINGLE_PRECISION) or found.steps > max_steps:
        return found
    return _fit_precisely(labelled, C, found, tolerance, max_steps)


@one_blas_thread()
def fit_inside(
    labelled: Labelled,
    coordinates: Coordinates,
    inside: Array,
    C: float,
    tolerance: float,
    max_steps: int,
) -> Solution:
    """Fit in the coordinates of few rows' own span, beginning at (K, 1 + r) weights."""
    found = solve(
        coordinates.values,
        coordinates.energy,
        labelled.codes,
        C,
        start=inside[None],
        counts=None if labelled.counts is None else labelled.counts[None],
        tolerance=max(tolerance, SINGLE_PRECISION) * np.sqrt(2.0 * NOTHING),
        relative=max(tolerance, SINGLE_PRECISION),
        max_steps=max_steps,
    )
    weights, intercepts = found.point[0, :, 1:], found.point[0, :, 0].astype(np.float64)
    lifted = coordinates.lift(weights).astype(np.float64)
    return Solution(lifted, intercepts, found.steps + 1, found.converged)


@one_blas_thread()
def _fit_precisely(
    labelled: Labelled, C: float, near: Solution, tolerance: float, max_steps: int
) -> Solution:
    """Go on in float64, in orthogonal coordinates of all rows."""
    values, mean = labelled.rows.values.astype(np.float64), labelled.rows.mean
    span = rotate_to_span(values)
    shift = near.weights @ (span.mean - mean)  # the two means differ by their rounding
    start = np.column_stack([near.intercepts + shift, near.weights @ span.axes])  # (K, 1 + r)
    found = solve(
        np.concatenate([span.rows[:, -1:], span.rows[:, :-1]], axis=1).T.copy(),
        span.energy,
        labelled.codes,
        C,
        start=start[None],
        counts=None if labelled.counts is None else labelled.counts[None],
        tolerance=tolerance * np.sqrt(2.0 * NOTHING),
        relative=tolerance,
        max_steps=max_steps,
    )
    weights = found.point[0, :, 1:] @ span.axes.T  # (K, d)
    intercepts = found.point[0, :, 0] - weights @ (span.mean - mean)
    return Solution(weights, intercepts, near.steps + found.steps, found.converged)
