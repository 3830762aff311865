"""How well chosen points stand for all points, where each is like a few others only."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = ["SparseCoverage"]

EDGES = 1 << 18
"""About how many likenesses are looked at at once."""


class SparseCoverage:
    """The weighted mean over points of the likeness to the chosen point most like it.

    Parameters
    ----------
    starts
        (p + 1,) integers: point j is like the points ``members[starts[j]:starts[j + 1]]``.
    members
        (e,) integers.
    likeness
        (e,) float32 in [0, 1], or None where each is 1. Of pairs left out it is 0.
    weights
        (p,) numbers, not negative: how much each point counts.

    Attributes
    ----------
    covered
        (p,) float64, the largest likeness of each point to a chosen one; 0 with none.

    Notes
    -----
    O(1) time per likeness looked at; extra memory: 16 bytes per point and 16 MB.

    Examples
    --------
    >>> coverage = SparseCoverage(np.array([0, 2, 4]), np.array([0, 1, 0, 1]),
    ...                           np.array([1, 0.5, 0.5, 1], dtype=np.float32), np.array([1, 3]))
    >>> coverage.gains(np.array([0, 1])).tolist()
    [0.625, 0.875]
    >>> coverage.add(1)
    >>> coverage.value, coverage.gains(np.array([0, 1])).tolist()
    (0.875, [0.125, 0.0])
    """

    def __init__(
        self,
        starts: NDArray[np.integer],
        members: NDArray[np.integer],
        likeness: NDArray[np.float32] | None,
        weights: NDArray[np.integer],
    ) -> None:
        self._starts, self._members, self._likeness = starts, members, likeness
        self._weights = weights.astype(np.float64)
        self._total = float(self._weights.sum())
        self.covered = np.zeros(weights.size)

    @property
    def value(self) -> float:
        """The weighted mean now, in [0, 1]."""
        return float(self._weights @ self.covered) / self._total

    def gains(self, points: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return by how much each of (k,) points alone would raise `value`: (k,)."""
        parts = [self._gains(points[part]) for part in self._parts(points)]
        return np.concatenate(parts) if parts else np.empty(0)

    def add(self, point: int) -> None:
        """Choose a point."""
        edges = slice(int(self._starts[point]), int(self._starts[point + 1]))
        like = self._members[edges]
        closer = 1.0 if self._likeness is None else self._likeness[edges]
        self.covered[like] = np.maximum(self.covered[like], closer)

    def _parts(self, points: NDArray[np.int64]) -> Iterator[slice]:
        """Yield slices of `points` with about `EDGES` likenesses each."""
        ends = (self._starts[points + 1] - self._starts[points]).cumsum(dtype=np.int64)  # (k,)
        start = 0
        while start < points.size:
            before = int(ends[start - 1]) if start else 0
            stop = max(start + 1, int(ends.searchsorted(before + EDGES, side="right")))
            yield slice(start, stop)
            start = stop

    def _gains(self, points: NDArray[np.int64]) -> NDArray[np.float64]:
        first = self._starts[points].astype(np.int64)  # (k,)
        counts = self._starts[points + 1] - first  # (k,)
        owner = np.repeat(np.arange(points.size), counts)  # (e,)
        edges = np.arange(owner.size) + (first - (counts.cumsum() - counts))[owner]  # (e,)
        like = self._members[edges]
        more = 1 - self.covered[like]  # (e,)
        if self._likeness is not None:
            more = np.maximum(self._likeness[edges] - self.covered[like], 0)
        more *= self._weights[like]
        return np.bincount(owner, weights=more, minlength=points.size) / self._total  # (k,)
