"""Greedy choice where every pick lessens what the others are worth, looked at only when needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Greedy", "Submodular", "lazy_greedy"]

FRONT = 4096
"""About how many of the most promising points are kept apart from the rest."""

BATCH = (64, 1024)
"""The fewest and the most gains that are worked out at once."""

DECIMALS = 12
"""Gains that agree to so many are equal, lest rounding decide between equals."""


class Submodular(Protocol):
    """A monotone submodular function of a growing set of points, between 0 and 1."""

    def gains(self, points: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return by how much each of (k,) points alone would raise it now: (k,)."""

    def add(self, point: int) -> None:
        """Put a point into the set."""


@dataclass(frozen=True)
class Greedy:
    """What `lazy_greedy` chose.

    Attributes
    ----------
    points
        (k,) int64, first choice first.
    gains
        (k,) float64, by how much each raised the objective when it was chosen.
    """

    points: NDArray[np.int64]
    gains: NDArray[np.float64]


def lazy_greedy(
    objective: Submodular, points: NDArray[np.int64], n: int, *, while_positive: bool = False
) -> Greedy:
    """Pick the point of the largest gain `n` times from (u,) `points`; of equal gains the first.

    Gains only fall, so an earlier gain is an upper bound: the point with the largest bound is the
    pick as soon as its own gain is up to date. The picks are those of the plain algorithm.
    `while_positive` stops where no point raises the objective. Minoux (1978), "Accelerated greedy
    algorithms for maximizing submodular set functions".
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
    """The positions with the largest bounds, so that few are sorted at every pick."""

    def __init__(self, bounds: NDArray[np.float64]) -> None:
        self._bounds = bounds
        self.seen = np.zeros(bounds.size, dtype=np.int32)  # the turn of the last look
        self._inside = np.zeros(bounds.size, dtype=np.bool_)
        self._front = np.empty(0, dtype=np.int64)

    def stale(self, best: int, turn: int, size: int) -> NDArray[np.int64]:
        """Return up to `size` ascending positions worth a look at this turn, `best` among them."""
        if not self._inside[best]:
            self._form(best)
        late = self.seen[self._front] != turn  # (f,)
        bounds = self._bounds[self._front]  # (f,)
        hopeful = late & (bounds >= bounds[~late].max(initial=-np.inf)) & (bounds > -np.inf)
        some = self._front[hopeful]
        order = np.argsort(-bounds[hopeful], kind="stable")  # `best` first: the lowest of its like
        return np.sort(some[order[:size]])

    def _form(self, best: int) -> None:
        self._inside[self._front] = False
        rest = max(0, self._bounds.size - FRONT)
        self._front = np.union1d(np.argpartition(self._bounds, rest)[rest:], [best])
        self._inside[self._front] = True
