"""The strength of the penalty, chosen from the labelled rows alone."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._folds import NEVER_SCORED
from ._multinomial import Array, Span, solve

N_FOLDS = 5
STEPS_PER_DECADE = 2
DECADES = 3
"""How far from the prior's centre the search may go, either way."""

PRIOR_STRENGTH = 60_000.0
"""The prior's centre is this over n times the variance: C = 1000 for 100 rows of variance 0.6."""

PRIOR_DECADES = 0.5
"""Standard deviation of the prior on log10 C."""

TOLERANCE = 1e-2
MAX_STEPS = 1000


class Choice(NamedTuple):
    """A value of C, why it was taken, and weights close to the solution for it."""

    C: float
    rule: str
    start: Array


def choose_strength(
    span: Span, codes: NDArray[np.intp], folds: NDArray[np.intp], binary_factor: float
) -> Choice:
    """Choose C by cross-validation, steadied by a prior that fades as labels arrive.

    The score of a C is the sum of the out-of-fold log-losses plus
    ``(log10 C - centre)^2 / (2 * 0.5^2)``, as if C had a log-normal prior half a decade wide around
    ``60,000 / (n * variance of the rows)``: few rows from a good backbone can be separated, and
    deserve trust. With a handful of labels the prior speaks, with hundreds it is silent. The
    search starts at the centre, goes either way by half a decade at a time, and stops where the
    score rises; a tie goes to the value nearer to the centre.

    Parameters
    ----------
    span
        The labelled rows, in canonical order.
    codes
        (n,) class numbers.
    folds
        (n,) from `assign_folds`.
    binary_factor
        What C is multiplied by before solving, see `LogisticHead`.

    Returns
    -------
    Choice
        C is a power of ten or halfway between two.
    """
    centre = _centre(span)
    scored = np.flatnonzero(folds != NEVER_SCORED)
    if not len(scored):
        empty = np.zeros((len(span.energy) + 1, 1, int(codes.max()) + 1))
        return Choice(_value(centre), "prior: no class has two distinct rows", empty)
    search = _Search(span, codes, folds, scored, binary_factor, centre)
    best = search.run()
    rule = (
        f"cross-validation: least log-loss of {len(scored)} labels in {search.n_folds} folds, "
        f"with a prior at C = {_readable(centre)}"
    )
    return Choice(_value(best), rule, search.starts[best].mean(axis=1, keepdims=True))


def _centre(span: Span) -> int:
    """Return the centre of the prior, as a number of steps of the grid from C = 1."""
    energy = float(span.energy.sum())  # n times the variance
    if not energy > 0.0:
        return 0
    return round(STEPS_PER_DECADE * float(np.log10(PRIOR_STRENGTH / energy)))


def _value(step: int) -> float:
    return float(10.0 ** (step / STEPS_PER_DECADE))


def _readable(step: int) -> str:
    return f"{float(f'{_value(step):.3g}'):,g}"


class _Search:
    """Scores of the values of C tried so far, and the weights that gave them."""

    def __init__(
        self,
        span: Span,
        codes: NDArray[np.intp],
        folds: NDArray[np.intp],
        scored: NDArray[np.intp],
        binary_factor: float,
        centre: int,
    ) -> None:
        self.span, self.codes, self.folds, self.scored = span, codes, folds, scored
        self.binary_factor, self.centre = binary_factor, centre
        self.n_folds = int(folds.max()) + 1
        self.masks = folds[:, None] != np.arange(self.n_folds)  # (n, F)
        self.targets = np.eye(int(codes.max()) + 1, dtype=np.float32)[codes]  # (n, K)
        self.scores: dict[int, float] = {}
        self.starts: dict[int, NDArray[np.floating[Any]]] = {}

    def run(self) -> int:
        """Walk from the centre down both slopes of the score; return the lowest step."""
        self._try(self.centre, None)
        for direction in (-1, 1):
            step = self.centre
            while abs(step + direction - self.centre) <= DECADES * STEPS_PER_DECADE:
                self._try(step + direction, step)
                if self.scores[step + direction] >= self.scores[step]:
                    break
                step += direction
        return min(self.scores, key=lambda step: (self.scores[step], abs(step - self.centre)))

    def _try(self, step: int, neighbour: int | None) -> None:
        shape = (len(self.span.energy) + 1, self.n_folds, self.targets.shape[1])
        start = np.zeros(shape) if neighbour is None else self.starts[neighbour]
        found = solve(
            self.span,
            self.targets,
            _value(step) * self.binary_factor,
            start=start,
            masks=self.masks,
            tolerance=TOLERANCE,
            max_steps=MAX_STEPS,
        )
        self.starts[step] = found.point
        prior = ((step - self.centre) / STEPS_PER_DECADE / PRIOR_DECADES) ** 2 / 2.0
        # Rounded so that the last bits of a sum, which depend on threads, cannot decide.
        self.scores[step] = round(self._loss(found.point) + prior, 4)

    def _loss(self, weights: Array) -> float:
        """Return the sum of the out-of-fold log-losses."""
        total = 0.0
        for fold in range(self.n_folds):
            rows = self.scored[self.folds[self.scored] == fold]
            logits = self.span.rows[rows] @ weights[:, fold]  # (m, K)
            logits -= logits.max(axis=1, keepdims=True)
            own = logits[np.arange(len(rows)), self.codes[rows]]
            total += float((np.log(np.exp(logits).sum(axis=1)) - own).sum())
        return total
