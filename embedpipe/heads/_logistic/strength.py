"""The choice of C, the inverse penalty of a logistic regression, by cross-validation."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np

from ..._threads import one_blas_thread
from .._arrays import NEVER_SCORED, Array, Codes, Float64, log_losses
from .problem import CentredRows, Problem
from .span import EXACT_ROWS, Coordinates, short_coordinates, solve
from .subspaces import solve_in_subspaces

N_FOLDS = 5

STEPS_PER_DECADE = 2
"""Number of values of C in one decade (a factor of 10)."""

DECADES = 3
"""Maximum distance of C from the centre of the prior, in decades."""

PRIOR_STRENGTH = 60_000.0
"""Product of the centre of the prior, the number of rows and their variance.

For 100 rows of variance 0.6, the centre is C = 1000.
"""

PRIOR_DECADES = 0.5
"""Standard deviation of the prior on log10 C."""

TOLERANCE = 2e-2
"""Tolerance of the fits to few rows, see `solve`."""

MAX_STEPS = 1000

FEW_ROWS = 1200
"""Maximum rows for which all folds are solved together."""

MAX_SCORED = 1000
"""Number of scored rows after which no further fold is solved."""

FOLD_TOLERANCE = 0.03
"""Tolerance of the fits to folds of many rows, see `solve_in_subspaces`."""


class HeldOut(NamedTuple):
    """Logits of m rows from models that were not fitted to them."""

    logits: Array
    """(m, K)."""
    codes: Codes
    counts: Float64 | None
    """(m,) weights of the rows; None for weights of 1."""


class FoldModels(NamedTuple):
    """The models of the folds, which predict the rows of the other folds."""

    weights: Array
    """(F, K, d)."""
    intercepts: Float64
    """(F, K)."""
    folds: Codes
    """(n,) fold of each row; `NEVER_SCORED` for the rows that are in every fit."""


class Choice(NamedTuple):
    """A value of C, how it was chosen, and a start for the final fit."""

    C: float
    rule: str
    held_out: HeldOut | None = None
    """Held-out logits at this C; None if no row could be scored."""
    start: tuple[Array, Array] | None = None
    """(K, d) weights and (K,) intercepts."""
    coordinates: Coordinates | None = None
    inside: Array | None = None
    """(K, 1 + r) weights in `coordinates`; None for many rows."""
    models: FoldModels | None = None
    """The models that predicted the held-out rows; None if they were not asked for."""


class Folds(Protocol):
    """Solves folds for a value of C."""

    scored: Codes
    n_folds: int

    def solve(self, C: float, near: Any) -> tuple[Any, Array]:
        """Return the solutions and the (m, K) logits of the scored rows; start from `near`."""
        ...

    def with_start(self, choice: Choice, solutions: Any) -> Choice:
        """Return the choice with a start for the final fit."""
        ...

    def models(self, solutions: Any) -> tuple[Array, Float64]:
        """Return the (F, K, d) weights and (F, K) intercepts of the solutions."""
        ...


def choose_strength(
    problem: Problem,
    folds: Codes,  # (n,) from `assign_folds`
    binary_factor: float,  # multiplies C before solving
    start: tuple[Array, Array] | None = None,
    given: float | None = None,
    *,
    keep_models: bool = False,
) -> Choice:
    """Choose C by cross-validation with a prior, or cross-validate with the `given` C.

    The score of C is the sum of the held-out log-losses plus ``(log10 C - centre)² / (2 * 0.5²)``.
    The second term is a log-normal prior around ``60,000 / (n * variance of the rows)``.

    The search starts at the centre and decreases C by half decades until the score rises. If the
    score rises at the first step, C is increased from the centre in the same way. Of equal scores,
    the value nearest to the centre is chosen.

    Up to 1,200 rows, all five folds are solved together. With more rows, folds are solved one by
    one until 1,000 rows are scored.
    """
    centre = _centre(problem.energy())
    if not (folds != NEVER_SCORED).any():
        if given is not None:
            return Choice(given, "given")
        return Choice(_value(centre), "prior: no class has two distinct rows")
    few = len(folds) <= FEW_ROWS
    solver: Folds = _JointFolds(problem, folds) if few else _SeparateFolds(problem, folds, start)
    if given is not None:
        solutions, logits = solver.solve(given * binary_factor, None)
        held_out = HeldOut(
            logits,
            problem.codes[solver.scored],
            None if problem.counts is None else problem.counts[solver.scored],
        )
        return _with_models(Choice(given, "given", held_out), solver, solutions, folds)
    search = _Search(solver, problem, binary_factor, centre)
    best = search.run()
    rule = (
        f"cross-validation: least log-loss of {len(solver.scored):,} labels in {solver.n_folds} "
        f"fold{'s' if solver.n_folds > 1 else ''}, with a prior at C = {_readable(centre)}"
    )
    solutions, held_out = search.tried[best]
    choice = solver.with_start(Choice(_value(best), rule, held_out), solutions)
    return _with_models(choice, solver, solutions, folds) if keep_models else choice


def _with_models(choice: Choice, solver: Folds, solutions: Any, folds: Codes) -> Choice:
    known = np.where(folds < solver.n_folds, folds, NEVER_SCORED)
    return choice._replace(models=FoldModels(*solver.models(solutions), known))


def _centre(energy: float) -> int:
    """Return the centre of the prior, in steps of half a decade from C = 1."""
    if not energy > 0.0:
        return 0
    return round(STEPS_PER_DECADE * float(np.log10(PRIOR_STRENGTH / energy)))


def _value(step: int) -> float:
    return float(10.0 ** (step / STEPS_PER_DECADE))


def _readable(step: int) -> str:
    return f"{float(f'{_value(step):.3g}'):,g}"


class _Search:
    """The search for the best C: scores and solutions by step."""

    def __init__(self, folds: Folds, problem: Problem, binary_factor: float, centre: int) -> None:
        self.folds, self.binary_factor, self.centre = folds, binary_factor, centre
        self.codes = problem.codes[folds.scored]
        self.counts = None if problem.counts is None else problem.counts[folds.scored]
        self.scores: dict[int, float] = {}
        self.tried: dict[int, tuple[Any, HeldOut]] = {}

    def run(self) -> int:
        """Move from the centre while the score decreases; return the step of the least score."""
        self._try(self.centre, None)
        step = self.centre
        for direction in (-1, 1):
            if step != self.centre:
                break  # the score decreased in the first direction
            while abs(step + direction - self.centre) <= DECADES * STEPS_PER_DECADE:
                self._try(step + direction, step)
                if self.scores[step + direction] >= self.scores[step]:
                    break
                step += direction
        return min(self.scores, key=lambda step: (self.scores[step], abs(step - self.centre)))

    def _try(self, step: int, neighbour: int | None) -> None:
        near = None if neighbour is None else self.tried[neighbour][0]
        solutions, logits = self.folds.solve(_value(step) * self.binary_factor, near)
        held_out = HeldOut(logits, self.codes, self.counts)
        self.tried[step] = solutions, held_out
        prior = ((step - self.centre) / STEPS_PER_DECADE / PRIOR_DECADES) ** 2 / 2.0
        # Rounded, so that the choice does not depend on the last bits of a sum.
        self.scores[step] = round(_log_loss(held_out) + prior, 4)


def _log_loss(held_out: HeldOut) -> float:
    """Return the sum of the log-losses."""
    losses = log_losses(held_out.logits.astype(np.float64), held_out.codes)
    counts = np.ones(len(losses)) if held_out.counts is None else held_out.counts
    return float((losses * counts).sum())


class _JointFolds:
    """Solves all folds together, in coordinates of the span of the rows."""

    def __init__(self, problem: Problem, folds: Codes) -> None:
        self.problem, self.coordinates = problem, short_coordinates(problem.rows)
        self.scored = np.flatnonzero(folds != NEVER_SCORED)
        self.fold = folds[self.scored]
        self.n_folds = int(folds.max()) + 1
        seen = (folds != np.arange(self.n_folds)[:, None]).astype(np.float32)  # (F, n)
        counts = problem.counts
        self.counts = seen if counts is None else seen * counts.astype(np.float32)

    @one_blas_thread()
    def solve(self, C: float, near: Any) -> tuple[Any, Array]:
        values, (F, K) = self.coordinates.values, (self.n_folds, self.problem.n_classes)
        weights = solve(
            values,
            self.coordinates.energy,
            self.problem.codes,
            C,
            start=np.zeros((F, K, len(values)), dtype=np.float32) if near is None else near,
            counts=self.counts,
            tolerance=TOLERANCE,
            max_steps=MAX_STEPS,
        ).point  # (F, K, 1 + r)
        logits = (weights.reshape(F * K, -1) @ values).reshape(F, K, -1)  # (F, K, n)
        return weights, logits[self.fold, :, self.scored]

    def with_start(self, choice: Choice, solutions: Any) -> Choice:
        mean = solutions.mean(axis=0)  # (K, 1 + r)
        if len(self.problem.codes) <= EXACT_ROWS:
            return choice._replace(coordinates=self.coordinates, inside=mean)
        return choice._replace(start=(self.coordinates.lift(mean[:, 1:]), mean[:, 0]))

    def models(self, solutions: Any) -> tuple[Array, Float64]:
        F, K, _ = solutions.shape
        weights = self.coordinates.lift(solutions[..., 1:].reshape(F * K, -1))  # (F * K, d)
        shift = (weights @ self.problem.rows.mean).reshape(F, K)
        return weights.reshape(F, K, -1), solutions[..., 0] - shift.astype(np.float64)


class _SeparateFolds:
    """Solves some folds one by one, on copies of the rows outside each fold."""

    def __init__(self, problem: Problem, folds: Codes, start: tuple[Array, Array] | None) -> None:
        self.problem, self.start = problem, start
        sizes = np.bincount(folds[folds != NEVER_SCORED])
        enough = int(np.searchsorted(np.cumsum(sizes), MAX_SCORED)) + 1
        self.n_folds = min(enough, len(sizes))
        self.parts = [
            (np.flatnonzero(folds != fold), np.flatnonzero(folds == fold))
            for fold in range(self.n_folds)
        ]
        self.scored = np.concatenate([held for _, held in self.parts])

    def solve(self, C: float, near: Any) -> tuple[Any, Array]:
        solutions, logits = [], []
        for fold, (seen, held) in enumerate(self.parts):
            start = self._initial_weights() if near is None else near[fold]
            weights, intercepts = self._fit(seen, C, start)
            mean = self.problem.rows.mean
            rows = CentredRows(self.problem.rows.values[held], mean)
            logits.append(rows.products(weights).T + intercepts)
            solutions.append((weights, intercepts))
        return solutions, np.concatenate(logits)

    def with_start(self, choice: Choice, solutions: Any) -> Choice:
        return choice._replace(start=solutions[0])

    def models(self, solutions: Any) -> tuple[Array, Float64]:
        weights = np.stack([each for each, _ in solutions])  # (F, K, d)
        intercepts = np.stack([each for _, each in solutions]).astype(np.float64)  # (F, K)
        return weights, intercepts - weights @ self.problem.rows.mean

    def _initial_weights(self) -> tuple[Array, Array]:
        problem = self.problem
        if self.start is not None:
            dtype = problem.rows.values.dtype
            return self.start[0].astype(dtype), self.start[1].astype(dtype)
        K, d = problem.n_classes, problem.rows.values.shape[1]
        return np.zeros((K, d), dtype=np.float32), np.zeros(K, dtype=np.float32)

    def _fit(self, seen: Codes, C: float, start: tuple[Array, Array]) -> tuple[Array, Array]:
        (values, mean), codes, n_classes, counts = self.problem
        part = Problem(
            CentredRows(values[seen], mean),
            codes[seen],
            n_classes,
            None if counts is None else counts[seen],
        )
        solution = solve_in_subspaces(
            part, C, start=start, tolerance=FOLD_TOLERANCE, max_steps=MAX_STEPS
        )
        return solution.weights.astype(values.dtype), solution.intercepts.astype(values.dtype)
