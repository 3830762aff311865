"""The solver of `LogisticHead`: fits in the span of few rows, or in growing subspaces."""

from __future__ import annotations

import numpy as np

from ..._threads import one_blas_thread
from .._arrays import Array
from .problem import Problem
from .span import Coordinates, rotate_to_span, short_coordinates, solve
from .strength import Choice
from .subspaces import NEGLIGIBLE_LOSS, Solution, solve_in_subspaces

SINGLE_PRECISION = 1e-4
"""Minimum tolerance in float32; for a smaller tolerance the fit continues in float64."""

MAX_SPAN_ROWS = 150
"""Maximum number of rows for a fit in the span of the rows."""


def fit_chosen(
    problem: Problem,
    choice: Choice,
    binary_factor: float,
    start: tuple[Array, Array] | None,
    *,
    tolerance: float,
    max_steps: int,
) -> Solution:
    """Fit with the C of `choice`, from the best available start."""
    C = choice.C * binary_factor
    start = choice.start or start
    if choice.coordinates is not None and choice.inside is not None:
        solution = _fit_in_span(problem, choice.coordinates, choice.inside, C, tolerance, max_steps)
        if solution.converged and tolerance >= SINGLE_PRECISION:
            return solution
        start = solution.weights, solution.intercepts
    return fit_weights(problem, C, start=start, tolerance=tolerance, max_steps=max_steps)


def fit_weights(
    problem: Problem,  # in float64 if `tolerance` is below 1e-4
    C: float,
    *,
    start: tuple[Array, Array] | None = None,
    tolerance: float,
    max_steps: int,
) -> Solution:
    """Fit a logistic regression, with at most `max_steps` steps in float32 and again in float64.

    `start` holds weights and intercepts for centred rows, as `Solution` does.
    """
    n, d = problem.rows.values.shape
    if start is None and n <= min(MAX_SPAN_ROWS, d):
        coordinates = short_coordinates(problem.rows)
        inside = np.zeros((problem.n_classes, len(coordinates.values)), dtype=np.float32)
        solution = _fit_in_span(problem, coordinates, inside, C, tolerance, max_steps)
    else:
        solution = solve_in_subspaces(
            problem,
            C,
            start=start,
            tolerance=max(tolerance, SINGLE_PRECISION),
            max_steps=max_steps,
        )
    if (solution.converged and tolerance >= SINGLE_PRECISION) or solution.steps > max_steps:
        return solution
    return _fit_precisely(problem, C, solution, tolerance, max_steps)


@one_blas_thread()
def _fit_in_span(
    problem: Problem,
    coordinates: Coordinates,
    inside: Array,
    C: float,
    tolerance: float,
    max_steps: int,
) -> Solution:
    """Fit in coordinates of the span of few rows; `inside` has the (K, 1 + r) initial weights."""
    minimum = solve(
        coordinates.values,
        coordinates.energy,
        problem.codes,
        C,
        start=inside[None],
        counts=None if problem.counts is None else problem.counts[None],
        tolerance=max(tolerance, SINGLE_PRECISION) * np.sqrt(2.0 * NEGLIGIBLE_LOSS),
        relative=max(tolerance, SINGLE_PRECISION),
        max_steps=max_steps,
    )
    weights, intercepts = minimum.point[0, :, 1:], minimum.point[0, :, 0].astype(np.float64)
    lifted = coordinates.lift(weights).astype(np.float64)
    return Solution(lifted, intercepts, minimum.steps + 1, minimum.converged)


@one_blas_thread()
def _fit_precisely(
    problem: Problem, C: float, near: Solution, tolerance: float, max_steps: int
) -> Solution:
    """Continue the fit in float64, in orthogonal coordinates of the span of all rows."""
    values, mean = problem.rows.values.astype(np.float64), problem.rows.mean
    span = rotate_to_span(values)
    shift = near.weights @ (span.mean - mean)  # the two means differ by rounding errors
    start = np.column_stack([near.intercepts + shift, near.weights @ span.axes])  # (K, 1 + r)
    minimum = solve(
        np.concatenate([span.rows[:, -1:], span.rows[:, :-1]], axis=1).T.copy(),
        span.energy,
        problem.codes,
        C,
        start=start[None],
        counts=None if problem.counts is None else problem.counts[None],
        tolerance=tolerance * np.sqrt(2.0 * NEGLIGIBLE_LOSS),
        relative=tolerance,
        max_steps=max_steps,
    )
    weights = minimum.point[0, :, 1:] @ span.axes.T  # (K, d)
    intercepts = minimum.point[0, :, 0] - weights @ (span.mean - mean)
    return Solution(weights, intercepts, near.steps + minimum.steps, minimum.converged)
