"""Limited-memory BFGS for smooth convex functions of one large array."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Objective = Callable[[Array], tuple[float, Array]]

HISTORY = 10
"""Pairs of steps and gradient changes kept: 2 x 10 arrays of the size of the unknown."""

SUFFICIENT = 1e-4
"""Share of the decrease that the slope promises which a step must deliver (Armijo)."""

HALVINGS = 40
"""A step is halved at most this often."""

ROUNDING = 1e-6
"""Changes of the value by less than this share may be rounding errors."""


class Minimum(NamedTuple):
    """Where `minimise` stopped: the point, the steps it took, and whether it had arrived."""

    point: Array
    steps: int
    converged: bool


def minimise(objective: Objective, start: Array, *, tolerance: float, max_steps: int) -> Minimum:
    """Return a minimum of a convex function, starting from `start`.

    The first step is the plain gradient, so scale the unknown to make the Hessian at most the
    identity. Extra memory is 24 arrays of the size of `start`.

    Parameters
    ----------
    objective
        Gives the value and the gradient (same shape and dtype) at a point.
    start
        Where to begin; it is not changed.
    tolerance
        Arrived when the Euclidean norm of the gradient is at most this.
    max_steps
        Give up, unconverged, after so many steps.

    Notes
    -----
    Nocedal & Wright, "Numerical Optimization" (2006), algorithm 7.4.

    Examples
    --------
    >>> centre = np.array([1.0, -2.0])
    >>> found = minimise(
    ...     lambda x: (float(((x - centre) ** 2).sum()) / 2, x - centre),
    ...     np.zeros(2), tolerance=1e-9, max_steps=10,
    ... )
    >>> found.point.tolist(), found.steps, found.converged
    ([1.0, -2.0], 1, True)
    """
    point, (value, gradient) = start, objective(start)
    history: deque[tuple[Array, Array, float]] = deque(maxlen=HISTORY)
    for step in range(max_steps):
        if float(np.linalg.norm(gradient)) <= tolerance:
            return Minimum(point, step, True)
        direction = _direction(gradient, history)
        slope = float(np.vdot(gradient, direction))
        found = _line_search(objective, point, value, direction, slope)
        if found is None:
            return Minimum(point, step, False)
        new_point, value, new_gradient = found
        moved, turned = new_point - point, new_gradient - gradient
        curvature = float(np.vdot(moved, turned))
        if curvature > 0.0:
            history.append((moved, turned, curvature))
        point, gradient = new_point, new_gradient
    return Minimum(point, max_steps, float(np.linalg.norm(gradient)) <= tolerance)


def _direction(gradient: Array, history: deque[tuple[Array, Array, float]]) -> Array:
    """Return minus the approximate inverse Hessian times `gradient`."""
    direction = -gradient
    weights = []
    for moved, turned, curvature in reversed(history):
        weight = float(np.vdot(moved, direction)) / curvature
        direction -= weight * turned
        weights.append(weight)
    if history:
        _, turned, curvature = history[-1]
        direction *= curvature / float(np.vdot(turned, turned))
    for (moved, turned, curvature), weight in zip(history, reversed(weights), strict=True):
        direction += (weight - float(np.vdot(turned, direction)) / curvature) * moved
    return direction


def _line_search(
    objective: Objective, point: Array, value: float, direction: Array, slope: float
) -> tuple[Array, float, Array] | None:
    """Halve the step until it lowers the value enough; None if no such step is found.

    Near the minimum a decrease drowns in the rounding of the value, but shows in the gradient:
    there the slope at the new point decides (Hager & Zhang 2005, "approximate Wolfe").
    """
    length = 1.0
    for _ in range(HALVINGS):
        candidate = point + length * direction
        new_value, new_gradient = objective(candidate)
        enough = new_value <= value + SUFFICIENT * length * slope
        if not enough and new_value <= value + ROUNDING * abs(value):
            enough = float(np.vdot(new_gradient, direction)) <= (2 * SUFFICIENT - 1) * slope
        if enough:
            return candidate, new_value, new_gradient
        length /= 2.0
    return None
