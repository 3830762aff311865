"""Greedy maximisation of submodular functions with lazy evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Greedy", "Submodular", "lazy_greedy"]

FRONT = 4096
"""Approximate number of points in the front: those with the largest bounds."""

BATCH = (64, 1024)
"""Minimum and maximum number of gains computed at once."""

DECIMALS = 12
"""Decimals to which gains are compared, to ignore rounding errors."""


class Submodular(Protocol):
    """A monotone submodular function of a growing set of points, between 0 and 1."""

    def gains(self, points: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the increase if each of (k,) points alone is added: (k,)."""

    def add(self, point: int) -> None:
        """Add a point to the set."""


@dataclass(frozen=True)
class Greedy:
    """The picks of `lazy_greedy`."""

    points: NDArray[np.int64]  # (k,), in order of choice
    gains: NDArray[np.float64]  # (k,), increase of the objective by each pick


def lazy_greedy(
    objective: Submodular, points: NDArray[np.int64], n: int, *, while_positive: bool = False
) -> Greedy:
    """Pick the point with the largest gain `n` times from (u,) `points`; ties go to the first.

    Gains only decrease, so an earlier gain is an upper bound, and few gains are recomputed per
    pick. The picks equal those of the plain algorithm. `while_positive` stops when no point
    increases the objective. Minoux (1978), "Accelerated greedy algorithms for maximizing
    submodular set functions".
    """
    bounds = np.round(objective.gains(points), DECIMALS)  # (u,)
    front = _Front(bounds)
    chosen, gains = [], []
    for turn in range(n):
        size = BATCH[0]
        while front.seen[best := int(bounds.argmax())] != turn:
            some = front.stale(best, turn, size)
            bounds[some] = np.round(objective.gains(points[some]), DECIMALS)
            front.seen[some] = turn
            size = min(2 * size, BATCH[1])
        if while_positive and bounds[best] <= 0:
            break
        chosen.append(best)
        gains.append(bounds[best])
        bounds[best] = -np.inf
        objective.add(int(points[best]))
    return Greedy(points[np.array(chosen, dtype=np.int64)], np.array(gains, dtype=np.float64))


class _Front:
    """The positions with the largest bounds; only these are sorted for a pick."""

    def __init__(self, bounds: NDArray[np.float64]) -> None:
        self._bounds = bounds
        self.seen = np.zeros(bounds.size, dtype=np.int32)  # turn of the last evaluation
        self._inside = np.zeros(bounds.size, dtype=np.bool_)
        self._front = np.empty(0, dtype=np.int64)

    def stale(self, best: int, turn: int, size: int) -> NDArray[np.int64]:
        """Return up to `size` outdated positions that may be the best, ascending, with `best`."""
        if not self._inside[best]:
            self._form(best)
        late = self.seen[self._front] != turn  # (f,)
        bounds = self._bounds[self._front]  # (f,)
        promising = late & (bounds >= bounds[~late].max(initial=-np.inf)) & (bounds > -np.inf)
        some = self._front[promising]
        order = np.argsort(-bounds[promising], kind="stable")  # `best` is first among equals
        return np.sort(some[order[:size]])

    def _form(self, best: int) -> None:
        self._inside[self._front] = False
        rest = max(0, self._bounds.size - FRONT)
        self._front = np.union1d(np.argpartition(self._bounds, rest)[rest:], [best])
        self._inside[self._front] = True
