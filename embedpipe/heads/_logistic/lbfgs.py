"""Limited-memory BFGS for smooth convex functions of one large array."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .._arrays import Array

Objective = Callable[[Array], tuple[float, Array]]
Preconditioner = Callable[[Array], Array]

HISTORY = 20
"""Maximum number of steps in memory, each with its gradient change."""

ARMIJO = 1e-4
"""Minimum decrease of the value in a step, as a share of the decrease that the slope predicts."""

MAX_HALVINGS = 40
"""Maximum halvings of a step."""

MAX_IDLE_STEPS = 20
"""Maximum consecutive steps without a decrease, before the search stops."""

SERIAL_LENGTH = 8192
"""Length up to which linear algebra libraries compute a dot product with one thread."""

ROUNDING = 8
"""Rounding error of the value, in units of its last place."""


class Minimum(NamedTuple):
    """The result of `minimise`."""

    point: Array
    steps: int
    converged: bool
    value: float
    gradient: Array
    stuck: bool = False
    """Whether no step decreased the value; the last call of the objective was at another point."""


def minimise(
    objective: Objective,
    start: Array,
    *,
    tolerance: float,
    max_steps: int,
    relative: float = 0.0,
    inverse: Preconditioner | None = None,
    known: tuple[float, Array] | None = None,
) -> Minimum:
    """Minimise a convex function that returns its value and gradient (Nocedal, Wright 2006).

    The norm of the gradient g is the root of ``g . inverse(g)``. The search has converged if the
    norm is at most `tolerance`, or if half its square is at most ``relative**2`` times the value.
    `inverse` is an approximate inverse Hessian, linear and positive; None is the identity. `known`
    is the value and gradient at `start`. If `objective` and `inverse` return the same bits on any
    number of threads, so does this function.
    """
    apply = (lambda gradient: gradient) if inverse is None else inverse
    point, (value, gradient) = start, known or objective(start)
    preconditioned = apply(gradient)
    history: deque[_Pair] = deque(maxlen=HISTORY)
    idle = 0
    for step in range(max_steps):
        goal = max(tolerance**2, 2.0 * relative**2 * abs(value))
        direction = _direction(gradient, history, apply)
        slope = dot(gradient, direction)
        # Both norms must be small: the history describes flat directions better than `inverse`.
        if max(dot(gradient, preconditioned), -slope) <= goal:
            return Minimum(point, step, True, value, gradient)
        accepted = _line_search(objective, point, value, direction, slope)
        if accepted is None or idle > MAX_IDLE_STEPS:
            return Minimum(point, step, False, value, gradient, stuck=True)
        new_point, new_value, new_gradient = accepted
        idle = idle + 1 if new_value >= value else 0
        value = new_value
        new_preconditioned = apply(new_gradient)
        move, gradient_change = new_point - point, new_gradient - gradient
        curvature = dot(move, gradient_change)
        scale = dot(gradient_change, new_preconditioned - preconditioned)
        if curvature > 0.0 and scale > 0.0:
            history.append(_Pair(move, gradient_change, curvature, curvature / scale))
        point, gradient, preconditioned = new_point, new_gradient, new_preconditioned
    arrived = dot(gradient, preconditioned) <= max(tolerance**2, 2.0 * relative**2 * abs(value))
    return Minimum(point, max_steps, arrived, value, gradient)


class _Pair(NamedTuple):
    """A step, its gradient change, their product, and the implied scale of the inverse Hessian."""

    move: Array
    gradient_change: Array
    curvature: float
    scale: float


def dot(first: Array, second: Array) -> float:
    """Return the dot product, summed in the same order for any number of threads."""
    a, b = first.reshape(-1), second.reshape(-1)
    if len(a) <= SERIAL_LENGTH:
        return float(a @ b)
    return float(
        sum(
            float(a[s : s + SERIAL_LENGTH] @ b[s : s + SERIAL_LENGTH])
            for s in range(0, len(a), SERIAL_LENGTH)
        )
    )


def _direction(gradient: Array, history: deque[_Pair], apply: Preconditioner) -> Array:
    """Return minus the approximate inverse Hessian times `gradient`."""
    direction = -gradient
    weights = []
    for pair in reversed(history):
        weight = dot(pair.move, direction) / pair.curvature
        direction -= weight * pair.gradient_change
        weights.append(weight)
    direction = apply(direction)
    if history:
        direction = direction * history[-1].scale
    for pair, weight in zip(history, reversed(weights), strict=True):
        direction += (weight - dot(pair.gradient_change, direction) / pair.curvature) * pair.move
    return direction


def _line_search(
    objective: Objective, point: Array, value: float, direction: Array, slope: float
) -> tuple[Array, float, Array] | None:
    """Halve the step until the value decreases enough; return None if it does not.

    Near the minimum, where the decrease is below rounding error, the slope at the new point
    decides (Hager, Zhang 2005, "approximate Wolfe").
    """
    length, rounding = 1.0, ROUNDING * float(np.finfo(point.dtype).eps) * abs(value)
    for _ in range(MAX_HALVINGS):
        candidate = point + length * direction
        new_value, new_gradient = objective(candidate)
        enough = new_value <= value + ARMIJO * length * slope
        if not enough and new_value <= value + rounding:
            enough = dot(new_gradient, direction) <= (2 * ARMIJO - 1) * slope
        if enough:
            return candidate, new_value, new_gradient
        length /= 2.0
    return None
