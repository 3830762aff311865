"""Limited-memory BFGS for smooth convex functions of one large array."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .._rows import Array

Objective = Callable[[Array], tuple[float, Array]]
Inverse = Callable[[Array], Array]

HISTORY = 20
"""Pairs of steps and gradient changes kept: two arrays of the size of the unknown each."""

SUFFICIENT = 1e-4
"""Share of the decrease promised by the slope that a step must deliver (Armijo)."""

HALVINGS = 40
"""Maximum halvings of a step."""

IDLE = 20
"""Steps in a row without a decrease after which the search stops: the rest is rounding noise."""

ALONE = 8192
"""Length of products that any linear algebra library sums with one thread."""

ROUNDING = 8
"""Changes of the value that may be rounding errors, in units of its last place."""


class Minimum(NamedTuple):
    """Where `minimise` stopped."""

    point: Array
    steps: int
    converged: bool
    value: float
    gradient: Array
    stuck: bool = False
    """No step showed a decrease above rounding; only then was the last call of the objective not
    at `point`."""


def minimise(
    objective: Objective,
    start: Array,
    *,
    tolerance: float,
    max_steps: int,
    relative: float = 0.0,
    inverse: Inverse | None = None,
    known: tuple[float, Array] | None = None,
) -> Minimum:
    """Return a minimum of a convex function that gives its value and gradient (Nocedal, Wright).

    It has converged if the norm of the gradient g, the root of ``g . inverse(g)``, is at most
    `tolerance`, or if half its square is at most ``relative**2`` times the value. `inverse` applies
    a guess of the inverse Hessian, linear and positive; None is the identity. `known` is the value
    and gradient at `start`. The same start gives the same bits on any number of threads if
    `objective` and `inverse` do.
    """
    apply = (lambda gradient: gradient) if inverse is None else inverse
    point, (value, gradient) = start, known or objective(start)
    eased = apply(gradient)
    history: deque[_Pair] = deque(maxlen=HISTORY)
    idle = 0
    for step in range(max_steps):
        goal = max(tolerance**2, 2.0 * relative**2 * abs(value))
        direction = _direction(gradient, history, apply)
        slope = dot(gradient, direction)
        # What was seen on the way says more of flat directions than `inverse` does.
        if max(dot(gradient, eased), -slope) <= goal:
            return Minimum(point, step, True, value, gradient)
        found = _line_search(objective, point, value, direction, slope)
        if found is None or idle > IDLE:
            return Minimum(point, step, False, value, gradient, stuck=True)
        new_point, new_value, new_gradient = found
        idle = idle + 1 if new_value >= value else 0
        value = new_value
        new_eased = apply(new_gradient)
        moved, turned = new_point - point, new_gradient - gradient
        curvature = dot(moved, turned)
        scale = dot(turned, new_eased - eased)
        if curvature > 0.0 and scale > 0.0:
            history.append(_Pair(moved, turned, curvature, curvature / scale))
        point, gradient, eased = new_point, new_gradient, new_eased
    arrived = dot(gradient, eased) <= max(tolerance**2, 2.0 * relative**2 * abs(value))
    return Minimum(point, max_steps, arrived, value, gradient)


class _Pair(NamedTuple):
    """A step, the change of the gradient along it, their product, and the scale they suggest."""

    moved: Array
    turned: Array
    curvature: float
    scale: float


def dot(first: Array, second: Array) -> float:
    """Return the sum of products, in one order whatever the number of threads."""
    a, b = first.reshape(-1), second.reshape(-1)
    if len(a) <= ALONE:
        return float(a @ b)
    return float(sum(float(a[s : s + ALONE] @ b[s : s + ALONE]) for s in range(0, len(a), ALONE)))


def _direction(gradient: Array, history: deque[_Pair], apply: Inverse) -> Array:
    """Return minus the approximate inverse Hessian times `gradient`."""
    direction = -gradient
    weights = []
    for pair in reversed(history):
        weight = dot(pair.moved, direction) / pair.curvature
        direction -= weight * pair.turned
        weights.append(weight)
    direction = apply(direction)
    if history:
        direction = direction * history[-1].scale
    for pair, weight in zip(history, reversed(weights), strict=True):
        direction += (weight - dot(pair.turned, direction) / pair.curvature) * pair.moved
    return direction


def _line_search(
    objective: Objective, point: Array, value: float, direction: Array, slope: float
) -> tuple[Array, float, Array] | None:
    """Halve the step until it lowers the value enough; None if no such step is found.

    Near the minimum a decrease drowns in the rounding of the value, but shows in the gradient:
    there the slope at the new point decides (Hager & Zhang 2005, "approximate Wolfe").
    """
    length, rounding = 1.0, ROUNDING * float(np.finfo(point.dtype).eps) * abs(value)
    for _ in range(HALVINGS):
        candidate = point + length * direction
        new_value, new_gradient = objective(candidate)
        enough = new_value <= value + SUFFICIENT * length * slope
        if not enough and new_value <= value + rounding:
            enough = dot(new_gradient, direction) <= (2 * SUFFICIENT - 1) * slope
        if enough:
            return candidate, new_value, new_gradient
        length /= 2.0
    return None
