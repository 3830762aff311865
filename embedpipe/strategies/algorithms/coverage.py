"""Kernel coverage of a pool: what the herding strategies raise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._threads import map_blocks
from ...index import Index, mean_vector

__all__ = ["KernelCoverage", "References", "SparseCoverage", "nearest_pair", "spread_of"]

REFERENCES = 2048
"""The most reference points."""

BLOCK = 256
"""How many points are compared with the references at once."""

FAR = 32.0**2
"""From such squared norms on float32 would blur what is within a width."""


@dataclass(frozen=True)
class References:
    """The points by which coverage is judged.

    Attributes
    ----------
    points
        (r,) int64 ascending points.
    items
        (r,) int64, for how many items each counts.

    Examples
    --------
    >>> index = Index(np.array([[1], [2], [1], [3]], dtype=np.float32))
    >>> found = References.of(index, np.array([True, False, True]))
    >>> found.points.tolist(), found.items.tolist()
    ([0, 2], [2, 1])
    """

    points: NDArray[np.int64]
    items: NDArray[np.int64]

    @classmethod
    def of(cls, index: Index, free: NDArray[np.bool_]) -> References:
        """Return the (p,) `free` points, or those of 2,048 evenly spaced items among them."""
        points = np.flatnonzero(free)  # (f,)
        if points.size <= REFERENCES:
            return cls(points, index.sizes[points])
        items = np.flatnonzero(free[index.copy_of])  # (m,)
        even = items[np.arange(REFERENCES) * items.size // REFERENCES]  # (2048,)
        return cls(*np.unique(index.copy_of[even].astype(np.int64), return_counts=True))


class KernelCoverage:
    """The weighted mean over references of the largest kernel value with a chosen point.

    The kernel of two points is exp(−(d/width)²), with d their distance.

    Parameters
    ----------
    vectors
        (p, m) float32, the points.
    width
        Above 0.
    references
        (r,) int64 points.
    weights
        (r,) numbers, not negative, with a sum above 0: how much each reference counts.
    chosen
        (c,) int64 points to start from.

    Attributes
    ----------
    covered
        (r,) float64, the largest kernel value of each reference with a chosen point.

    Notes
    -----
    Kernel values are formed 256 points at a time, the same on any number of threads: in float64,
    or in float32 where there are more than 2,048 points, so that gains are an estimate anyway,
    and no reference is more than 32 widths from the origin. O(r·m) time for each gain; extra
    memory: 16·r·m bytes and 8·256·r bytes a thread.

    Examples
    --------
    >>> line = np.array([[0], [1], [2]], dtype=np.float32)
    >>> coverage = KernelCoverage(line, 1.0, np.arange(3), np.ones(3), np.array([0]))
    >>> coverage.covered.round(3).tolist(), coverage.gains(np.array([1, 2])).round(3).tolist()
    ([1.0, 0.368, 0.018], [0.327, 0.327])
    """

    def __init__(
        self,
        vectors: NDArray[np.float32],
        width: float,
        references: NDArray[np.int64],
        weights: NDArray[np.number],
        chosen: NDArray[np.int64],
    ) -> None:
        own = vectors[references] / np.float64(width)  # (r, m)
        norms = np.square(own).sum(axis=1)  # (r,)
        rough = len(vectors) > REFERENCES and norms.max() < FAR
        self._dtype: type[np.floating[Any]] = np.float32 if rough else np.float64
        self._vectors, self._width = vectors, width
        # (2x, |x|², 1) · (r, -1, -|r|²) is -|x - r|²
        turned = np.column_stack([own, np.full(norms.size, -1.0), -norms])  # (r, m + 2)
        self._turned = np.ascontiguousarray(turned.T, dtype=self._dtype)  # (m + 2, r)
        self._weights = weights / np.float64(weights.sum())  # (r,)
        self.covered = np.zeros(references.size)

        def work(part: slice) -> NDArray[Any]:
            best: NDArray[Any] = self._kernel(chosen[part]).max(axis=0)  # (r,)
            return best

        for best in map_blocks(work, chosen.size, BLOCK):
            np.maximum(self.covered, best, out=self.covered)

    @property
    def value(self) -> float:
        """The weighted mean now, in [0, 1]."""
        return float(np.dot(self._weights, self.covered))

    def gains(self, points: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return by how much each of (k,) points alone would raise `value`: (k,)."""
        gains = np.empty(points.size)
        covered, weights = self.covered.astype(self._dtype), self._weights.astype(self._dtype)

        def work(part: slice) -> None:
            more = self._kernel(points[part])  # (b, r)
            more -= covered
            gains[part] = np.maximum(more, 0, out=more) @ weights

        map_blocks(work, points.size, BLOCK)
        return gains

    def add(self, point: int) -> None:
        """Choose a point."""
        np.maximum(self.covered, self._kernel(np.array([point]))[0], out=self.covered)

    def _kernel(self, points: NDArray[np.int64]) -> NDArray[Any]:
        """Return the kernel of (b,) points with the references: (b, r)."""
        own = self._vectors[points] / np.float64(self._width)  # (b, m)
        norms, ones = np.square(own).sum(axis=1), np.ones(points.size)
        values: NDArray[Any] = np.column_stack([2 * own, norms, ones]).astype(self._dtype)
        values = values @ self._turned  # (b, r)
        np.minimum(values, 0, out=values)
        np.exp(values, out=values)
        return values


def spread_of(vectors: NDArray[np.float32]) -> float:
    """Return the root mean squared distance of (p, m) vectors to their mean; 1 if it is 0."""
    mean = mean_vector(vectors, np.arange(len(vectors)))  # (m,)

    def work(part: slice) -> float:
        return float(np.square(vectors[part] - mean).sum())

    total = sum(map_blocks(work, len(vectors), BLOCK * 8))
    return float(np.sqrt(total / len(vectors))) or 1.0


def nearest_pair(vectors: NDArray[np.float32]) -> float:
    """Return the smallest distance between two of (c, m) distinct vectors; infinity for fewer."""
    norms = np.square(vectors, dtype=np.float64).sum(axis=1)  # (c,)

    def work(part: slice) -> float:
        before = vectors[: part.stop].astype(np.float64)  # (e, m)
        squared = norms[part, None] + norms[: part.stop] - 2 * before[part] @ before.T  # (b, e)
        squared[np.arange(part.start, part.stop)[:, None] <= np.arange(part.stop)] = np.inf
        return float(squared.min())

    squared = min(map_blocks(work, len(vectors), BLOCK), default=np.inf)
    return float(np.sqrt(max(squared, 0)))


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
