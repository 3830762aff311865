"""The strength of the penalty, chosen from the labelled rows alone."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from .._threads import one_blas_thread
from ._folds import NEVER_SCORED
from ._labelled import Labelled
from ._matrix import Array, Rows
from ._multinomial import EXACT_ROWS, Coordinates, short_coordinates, solve
from ._softmax import Codes
from ._subspace import solve_in_subspaces

Float64 = NDArray[np.float64]

N_FOLDS = 5
STEPS_PER_DECADE = 2
DECADES = 3
"""How far from the prior's centre the search may go, either way."""

PRIOR_STRENGTH = 60_000.0
"""The prior's centre is this over n times the variance: C = 1000 for 100 rows of variance 0.6."""

PRIOR_DECADES = 0.5
"""Standard deviation of the prior on log10 C."""

TOLERANCE = 2e-2
MAX_STEPS = 1000

FEW_ROWS = 1200
"""Up to so many rows, all folds are solved at once in the coordinates of the rows' own span."""

ENOUGH_SCORED = 1000
"""Folds are scored until so many rows are: more would not tell values of C apart any better."""

LOOSE = 0.03
"""A fold of many rows is solved to a relative gap of about the square of this."""


class HeldOut(NamedTuple):
    """What models said of rows that they had not seen: (m, K) logits, (m,) codes, (m,) counts."""

    logits: Array
    codes: Codes
    counts: Array | None


class Choice(NamedTuple):
    """A value of C, why it was taken, and a place close to its solution.

    Attributes
    ----------
    C, rule
        The value, and the reason in words.
    held_out
        What the folds said at this C; None if no row could be scored.
    start
        Weights (K, d) and intercepts (K,) to begin with, or None.
    coordinates, inside
        Of few rows, their coordinates, and in these the (K, 1 + r) weights to begin with.
    """

    C: float
    rule: str
    held_out: HeldOut | None = None
    start: tuple[Array, Array] | None = None
    coordinates: Coordinates | None = None
    inside: Array | None = None


class Folds(Protocol):
    """Solves all folds for one C after the other, each from the solution for a C near it."""

    scored: NDArray[np.intp]
    n_folds: int

    def solve(self, C: float, near: Any) -> tuple[Any, Array]:
        """Return the solutions, in whatever form, and (m, K) logits of the scored rows."""
        ...

    def settle(self, choice: Choice, solutions: Any) -> Choice:
        """Return the choice with a place to begin from."""
        ...


def choose_strength(
    labelled: Labelled,
    folds: NDArray[np.intp],
    binary_factor: float,
    start: tuple[Array, Array] | None = None,
) -> Choice:
    """Choose C by cross-validation, steadied by a prior that fades as labels arrive.

    The score of a C is the sum of the out-of-fold log-losses plus
    ``(log10 C - centre)^2 / (2 * 0.5^2)``, as if C had a log-normal prior half a decade wide around
    ``60,000 / (n * variance of the rows)``: few rows from a good backbone can be separated, and
    deserve trust. With a handful of labels the prior speaks, with hundreds it is silent. The
    search starts at the centre and goes down by half a decade at a time until the score rises; if
    it rose at once, it goes up instead. A tie goes to the value nearer to the centre.

    Parameters
    ----------
    labelled
        The labelled rows, in canonical order.
    folds
        (n,) from `assign_folds`.
    binary_factor
        What C is multiplied by before solving, see `LogisticHead`.
    start
        Weights (K, d) and intercepts (K,) that may be near the solution, for many rows.

    Returns
    -------
    Choice
        C is a power of ten or halfway between two.

    Notes
    -----
    Up to 1,200 rows, all five folds are solved together. Of more, only as many folds as hold
    1,000 rows are: one from 5,000 rows on.
    """
    centre = _centre(labelled.energy())
    if not (folds != NEVER_SCORED).any():
        return Choice(_value(centre), "prior: no class has two distinct rows")
    few = len(folds) <= FEW_ROWS
    solver: Folds = _FewRows(labelled, folds) if few else _ManyRows(labelled, folds, start)
    search = _Search(solver, labelled, binary_factor, centre)
    best = search.run()
    rule = (
        f"cross-validation: least log-loss of {len(solver.scored):,} labels in {solver.n_folds} "
        f"fold{'s' if solver.n_folds > 1 else ''}, with a prior at C = {_readable(centre)}"
    )
    solutions, held_out = search.tried[best]
    return solver.settle(Choice(_value(best), rule, held_out), solutions)


def _centre(energy: float) -> int:
    """Return the centre of the prior, as a number of steps of the grid from C = 1."""
    if not energy > 0.0:
        return 0
    return round(STEPS_PER_DECADE * float(np.log10(PRIOR_STRENGTH / energy)))


def _value(step: int) -> float:
    return float(10.0 ** (step / STEPS_PER_DECADE))


def _readable(step: int) -> str:
    return f"{float(f'{_value(step):.3g}'):,g}"


class _Search:
    """Scores of the values of C tried so far, and the solutions that gave them."""

    def __init__(self, folds: Folds, labelled: Labelled, binary_factor: float, centre: int) -> None:
        self.folds, self.binary_factor, self.centre = folds, binary_factor, centre
        self.codes = labelled.codes[folds.scored]
        self.counts = None if labelled.counts is None else labelled.counts[folds.scored]
        self.scores: dict[int, float] = {}
        self.tried: dict[int, tuple[Any, HeldOut]] = {}

    def run(self) -> int:
        """Walk from the centre down the slope of the score; return the lowest step."""
        self._try(self.centre, None)
        step = self.centre
        for direction in (-1, 1):
            if step != self.centre:
                break  # the other way is uphill
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
        # Rounded so that the last bits of a sum cannot decide.
        self.scores[step] = round(_log_loss(held_out) + prior, 4)


def _log_loss(held_out: HeldOut) -> float:
    """Return the sum of the log-losses."""
    logits = held_out.logits.T.astype(np.float64)  # (K, m)
    logits -= logits.max(axis=0)
    own = logits[held_out.codes, np.arange(len(held_out.codes))]
    losses = np.log(np.exp(logits).sum(axis=0)) - own
    counts = np.ones(len(losses)) if held_out.counts is None else held_out.counts
    return float((losses * counts).sum())


class _FewRows:
    """All folds at once, in the coordinates of the rows' own span."""

    def __init__(self, labelled: Labelled, folds: NDArray[np.intp]) -> None:
        self.labelled, self.coordinates = labelled, short_coordinates(labelled.rows)
        self.scored = np.flatnonzero(folds != NEVER_SCORED)
        self.fold = folds[self.scored]
        self.n_folds = int(folds.max()) + 1
        seen = (folds != np.arange(self.n_folds)[:, None]).astype(np.float32)  # (F, n)
        counts = labelled.counts
        self.counts = seen if counts is None else seen * counts.astype(np.float32)

    @one_blas_thread()
    def solve(self, C: float, near: Any) -> tuple[Any, Array]:
        values, (F, K) = self.coordinates.values, (self.n_folds, self.labelled.n_classes)
        found = solve(
            values,
            self.coordinates.energy,
            self.labelled.codes,
            C,
            start=np.zeros((F, K, len(values)), dtype=np.float32) if near is None else near,
            counts=self.counts,
            tolerance=TOLERANCE,
            max_steps=MAX_STEPS,
        ).point  # (F, K, 1 + r)
        logits = (found.reshape(F * K, -1) @ values).reshape(F, K, -1)  # (F, K, n)
        return found, logits[self.fold, :, self.scored]

    def settle(self, choice: Choice, solutions: Any) -> Choice:
        mean = solutions.mean(axis=0)  # (K, 1 + r)
        if len(self.labelled.codes) <= EXACT_ROWS:
            return choice._replace(coordinates=self.coordinates, inside=mean)
        return choice._replace(start=(self.coordinates.lift(mean[:, 1:]), mean[:, 0]))


class _ManyRows:
    """Some folds, one after the other, on copies of the rows outside them."""

    def __init__(
        self, labelled: Labelled, folds: NDArray[np.intp], start: tuple[Array, Array] | None
    ) -> None:
        self.labelled, self.start = labelled, start
        sizes = np.bincount(folds[folds != NEVER_SCORED])
        enough = int(np.searchsorted(np.cumsum(sizes), ENOUGH_SCORED)) + 1
        self.n_folds = min(enough, len(sizes))
        self.parts = [
            (np.flatnonzero(folds != fold), np.flatnonzero(folds == fold))
            for fold in range(self.n_folds)
        ]
        self.scored = np.concatenate([held for _, held in self.parts])

    def solve(self, C: float, near: Any) -> tuple[Any, Array]:
        solutions, logits = [], []
        for fold, (seen, held) in enumerate(self.parts):
            start = self._beginning() if near is None else near[fold]
            weights, intercepts = self._fit(seen, C, start)
            mean = self.labelled.rows.mean
            rows = Rows(self.labelled.rows.values[held], mean)
            logits.append(rows.times(weights).T + intercepts)
            solutions.append((weights, intercepts))
        return solutions, np.concatenate(logits)

    def settle(self, choice: Choice, solutions: Any) -> Choice:
        return choice._replace(start=solutions[0])

    def _beginning(self) -> tuple[Array, Array]:
        labelled = self.labelled
        if self.start is not None:
            dtype = labelled.rows.values.dtype
            return self.start[0].astype(dtype), self.start[1].astype(dtype)
        K, d = labelled.n_classes, labelled.rows.values.shape[1]
        return np.zeros((K, d), dtype=np.float32), np.zeros(K, dtype=np.float32)

    def _fit(
        self, seen: NDArray[np.intp], C: float, start: tuple[Array, Array]
    ) -> tuple[Array, Array]:
        labelled = self.labelled
        found = solve_in_subspaces(
            Rows(labelled.rows.values[seen], labelled.rows.mean),
            labelled.codes[seen],
            C,
            n_classes=labelled.n_classes,
            start=start,
            counts=None if labelled.counts is None else labelled.counts[seen],
            tolerance=LOOSE,
            max_steps=MAX_STEPS,
        )
        dtype = labelled.rows.values.dtype
        return found.weights.astype(dtype), found.intercepts.astype(dtype)
