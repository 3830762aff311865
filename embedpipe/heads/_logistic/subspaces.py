"""Multinomial logistic regression in growing subspaces (a block Krylov method)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..._threads import one_blas_thread
from .._arrays import Array, Float64, in_blocks, losses_and_residuals, mean_curvature
from .lbfgs import ROUNDING, dot, minimise
from .problem import Problem

INNER_TOLERANCE = 0.2
"""Tolerance of the search in a subspace, as a share of the norm of the gradient."""

INNER_STEPS = 50
"""Maximum steps in one subspace."""

INNER_BLOCK = 2560
"""Rows in a block of products in a subspace."""

MEMORY = 4
"""Number of latest changes of the weights whose directions remain in a condensed basis."""

NEGLIGIBLE_LOSS = 1e-4
"""Mean loss below which the tolerance is absolute, no longer relative to the loss."""

MAX_WIDTH = 14
"""Maximum size of the basis before it is condensed, as a multiple of K - 1 for K classes."""

MIN_CURVATURE = 1e-3
"""Minimum mean of p (1 - p) in the metric, the approximate Hessian."""

INTERCEPT_PENALTY = 1e-6
"""Penalty of an intercept in the metric, as a share of n; the objective has no such penalty."""

DEPENDENT = 1e-5
"""Minimum norm of a new direction outside the basis, as a share of the longest direction."""

ROUNDED = 0.5
"""Minimum norm in the second pass; a shorter direction is a rounding error of the first pass."""


class Solution(NamedTuple):
    """A fitted logistic regression."""

    weights: Float64
    """(K, d), for centred rows."""
    intercepts: Float64
    """(K,), for centred rows."""
    steps: int
    converged: bool


def solve_in_subspaces(
    problem: Problem,
    C: float,
    *,
    start: tuple[Array, Array] | None,
    tolerance: float,
    max_steps: int,
) -> Solution:
    """Fit a multinomial logistic regression by a block Krylov method.

    The fit minimises ``sum of log-losses + |W|² / (2 C)``. Each round adds the K - 1 directions of
    the gradient to an orthonormal basis, and solves the regression in this basis. In the basis,
    rows have r coordinates instead of d. For n rows and K classes, a round reads the matrix twice,
    in O(n d K) time. Each step in the basis takes O(n r K) time.

    `start` has (K, d) weights and (K,) intercepts for centred rows; None for zeros. The search has
    converged when the decrease predicted by the quadratic model is at most ``tolerance**2`` times
    the value. If the previous round decreased the value more than predicted, the prediction is
    multiplied by the ratio.
    """
    if start is None:
        K, d = problem.n_classes, problem.rows.values.shape[1]
        start = np.zeros((K, d)), np.zeros(K)
    search = _Search(problem, C, *start)
    floor = NEGLIGIBLE_LOSS * float(search.gram[0, 0])
    predicted = 0.0
    while search.steps < max_steps:
        extended = search.extend()
        value, decrement = search.decrement()
        wanted = 2.0 * tolerance**2 * max(value, floor)
        if decrement <= wanted and decrement * 2.0 * search.gained <= wanted * predicted:
            return search.solution(True)
        predicted = decrement
        share = INNER_TOLERANCE if extended else 0.0
        target = max(share * np.sqrt(decrement), 0.5 * np.sqrt(wanted))
        if not search.improve(target, max_steps - search.steps):
            break
        if len(search.basis) > MAX_WIDTH * max(search.n_classes - 1, 2):
            search.condense()
    return search.solution(False)


class _Search:
    """The basis, the rows in its coordinates, and the weights found so far."""

    def __init__(self, problem: Problem, C: float, weights: Array, intercepts: Array) -> None:
        self.rows, self.codes, counts = problem.rows, problem.codes, problem.counts
        self.C = C
        self.dtype, (n, d) = self.rows.values.dtype, self.rows.values.shape
        self.counts = None if counts is None else counts.astype(self.dtype)
        self.steps, self.gained = 0, np.inf
        self.n_classes = len(intercepts)
        self.basis = np.empty((0, d), dtype=self.dtype)  # (r, d)
        self.coordinates = np.ones((1, n), dtype=self.dtype)  # (1 + r, n), ones for the intercept
        self.gram: Float64 = np.array([[float(n if counts is None else counts.sum())]])
        self.inside = intercepts.astype(self.dtype)[:, None]  # (K, 1 + r)
        weights = weights.astype(self.dtype)
        self.moves: list[Array] = []  # (K, r) arrays, newest first
        if weights.any():
            weights = weights - weights.mean(axis=0)
            self._append(_orthonormal(weights, self.basis))
            with one_blas_thread():
                self.inside[:, 1:] = weights @ self.basis.T
        self.value, self.gradient = self._objective(self.inside)

    def extend(self) -> bool:
        """Add the directions of the gradient to the basis; return whether any was new."""
        with one_blas_thread():
            penalty = (self.inside[:, 1:] / self.C) @ self.basis
        gradient = self.rows.weighted_sums(self.residuals) + penalty  # (K, d)
        fresh = _orthonormal(gradient, self.basis)  # (k, d)
        if len(fresh):
            added = self._append(fresh)
            with one_blas_thread():
                more = self.residuals @ added.T  # (K, k)
            self.gradient = np.concatenate([self.gradient, more], axis=1)
        self._renew_metric()
        return len(fresh) > 0

    def decrement(self) -> tuple[float, float]:
        """Return the value, and twice the decrease predicted by the quadratic model."""
        return self.value, dot(self.gradient, self._apply(self.gradient))

    def improve(self, target: float, max_steps: int) -> bool:
        """Minimise in the subspace; return False if the value did not decrease."""
        minimum = minimise(
            self._objective,
            self.inside,
            tolerance=target,
            max_steps=min(INNER_STEPS, max_steps),
            inverse=self._apply,
            known=(self.value, self.gradient),
        )
        self.steps += minimum.steps
        self.gained = self.value - minimum.value
        self.moves = [(minimum.point - self.inside)[:, 1:], *self.moves[: MEMORY - 1]]
        self.inside = minimum.point
        self.value, self.gradient = minimum.value, minimum.gradient
        if minimum.stuck:
            self._objective(minimum.point)  # updates the residuals
        seen = ROUNDING * float(np.finfo(self.dtype).eps) * minimum.value
        return minimum.converged or bool(self.gained > seen)

    @one_blas_thread()
    def condense(self) -> None:
        """Reduce the basis to the span of the weights and their latest changes."""
        kept = np.empty((0, len(self.basis)), dtype=self.dtype)  # (k, r)
        for directions in (self.inside[:, 1:], *self.moves):
            kept = np.concatenate([kept, _orthonormal(directions, kept)])
        if len(kept) >= len(self.basis):
            return
        self.basis = kept @ self.basis
        self.coordinates = np.concatenate([self.coordinates[:1], kept @ self.coordinates[1:]])
        turn = np.zeros((1 + len(kept), len(self.gram)))
        turn[0, 0], turn[1:, 1:] = 1.0, kept
        self.gram = turn @ self.gram @ turn.T
        self.inside = self.inside @ turn.T.astype(self.dtype)
        self.gradient = self.gradient @ turn.T.astype(self.dtype)
        self.moves = [move @ kept.T for move in self.moves]

    def solution(self, converged: bool) -> Solution:
        """Return the weights in the coordinates of the rows."""
        with one_blas_thread():
            weights = self.inside[:, 1:].astype(np.float64) @ self.basis.astype(np.float64)
        intercepts = self.inside[:, 0].astype(np.float64)
        return Solution(weights, intercepts, self.steps + 1, converged)

    def _append(self, fresh: Array) -> Array:
        """Extend the basis by (k, d) directions; return the (k, n) coordinates."""
        added = self.rows.products(fresh)  # (k, n)
        with one_blas_thread():
            weighted = added if self.counts is None else added * self.counts
            across = (weighted @ self.coordinates.T).astype(np.float64)  # (k, 1 + r)
            own = (weighted @ added.T).astype(np.float64)  # (k, k)
        self.gram = np.block([[self.gram, across.T], [across, own]])
        self.basis = np.concatenate([self.basis, fresh])
        self.coordinates = np.concatenate([self.coordinates, added])
        zeros = np.zeros((self.n_classes, len(fresh)), dtype=self.dtype)
        self.inside = np.concatenate([self.inside, zeros], axis=1)
        self.moves = [np.concatenate([move, zeros], axis=1) for move in self.moves]
        return added

    @one_blas_thread()
    def _renew_metric(self) -> None:
        """Invert the approximate Hessian, which is the same for all classes."""
        curvature = max(self.curvature, MIN_CURVATURE)
        metric = curvature * self.gram
        penalty = np.full(len(metric), 1.0 / self.C)
        penalty[0] = INTERCEPT_PENALTY * self.gram[0, 0]
        metric[np.diag_indices(len(metric))] += penalty
        self.metric = np.linalg.inv(metric).astype(self.dtype)

    @one_blas_thread()
    def _apply(self, gradient: Array) -> Array:
        return np.asarray(gradient @ self.metric)

    def _objective(self, inside: Array) -> tuple[float, Array]:
        """Return the value and the (K, 1 + r) gradient; store the residuals."""
        n = self.coordinates.shape[1]
        residuals = np.empty((self.n_classes, n), dtype=self.dtype)

        def work(part: slice) -> tuple[float, Array]:
            coordinates = self.coordinates[:, part]
            logits = inside @ coordinates  # (K, b)
            counts = None if self.counts is None else self.counts[part]
            losses = losses_and_residuals(logits, self.codes[part], counts)
            residuals[:, part] = logits
            return float(losses.sum(dtype=np.float64)), logits @ coordinates.T

        parts = in_blocks(work, n, 2 * inside.size, INNER_BLOCK)
        value = sum(part[0] for part in parts)
        gradient: Array = sum((part[1] for part in parts[1:]), parts[0][1])
        gradient[:, 1:] += inside[:, 1:] / self.C
        value += 0.5 / self.C * dot(inside[:, 1:].copy(), inside[:, 1:].copy())
        self.residuals = residuals
        return value, gradient

    @property
    def curvature(self) -> float:
        """The mean of p (1 - p) at the current weights."""
        probabilities: Any = self.residuals.copy()
        if self.counts is not None:
            probabilities /= np.where(self.counts > 0.0, self.counts, np.inf)
        probabilities[self.codes, np.arange(len(self.codes))] += 1.0
        return mean_curvature(probabilities)


@one_blas_thread()
def _orthonormal(directions: Array, basis: Array) -> Array:
    """Return (k, d) orthonormal directions that extend a basis to the span of (K, d) directions."""
    longest = np.sqrt(np.einsum("kd,kd->k", directions, directions).max(initial=0.0))
    if not longest > 0.0:
        return directions[:0]
    fresh = directions / longest
    for least in (DEPENDENT, ROUNDED):  # two passes of Gram-Schmidt
        outside = (fresh - (fresh @ basis.T) @ basis).astype(np.float64)
        energy, axes = np.linalg.eigh(outside @ outside.T)
        kept = energy > least**2
        fresh = ((axes[:, kept] / np.sqrt(energy[kept])).T @ outside).astype(basis.dtype)
    return np.asarray(fresh)
