"""Coverage of a pool by picks: the objectives that greedy strategies maximise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._threads import map_blocks
from ...index import mean_vector
from ..pool import Pool
from .lazy_greedy import Greedy, lazy_greedy

__all__ = ["KernelCoverage", "References", "SparseCoverage", "nearest_pair", "spread_of"]

REFERENCES = 2048
"""Maximum number of references."""

BLOCK = 256
"""Points per block."""

FAR = 32.0**2
"""Squared norm, in squared kernel widths, from which float32 is not precise enough."""


@dataclass(frozen=True)
class References:
    """The unique vectors that represent the unlabelled items."""

    points: NDArray[np.int64]  # (r,) ascending positions of unique vectors
    items: NDArray[np.int64]  # (r,) number of items that each point represents

    @classmethod
    def of(cls, pool: Pool) -> References:
        """Return the unlabelled unique vectors.

        If there are more than 2,048, return those of 2,048 evenly spaced unlabelled items.
        """
        index, free = pool.index, ~pool.unique_labelled
        points = np.flatnonzero(free)  # (f,)
        if points.size <= REFERENCES:
            return cls(points, index.sizes[points])
        items = np.flatnonzero(free[index.copy_of])  # (m,)
        even = items[np.arange(REFERENCES) * items.size // REFERENCES]  # (2048,)
        return cls(*np.unique(index.copy_of[even].astype(np.int64), return_counts=True))


class KernelCoverage:
    """The weighted mean over references of the largest kernel value with a chosen point.

    Points are (p, m) float32 `vectors`; the kernel of two points at distance d is
    exp(−(d/width)²). The (r,) `references` and (c,) `chosen` are positions of points; (r,)
    `weights` are not negative. Values are in float64, or in float32 for more than 2,048 points if
    no reference is more than 32 widths from the origin. Time: O(r·m) per gain. Memory: 16·r·m
    bytes.
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
        imprecise = len(vectors) > REFERENCES and norms.max() < FAR
        self._dtype: type[np.floating[Any]] = np.float32 if imprecise else np.float64
        self._vectors, self._width = vectors, width
        # (2x, |x|², 1) · (r, -1, -|r|²) is -|x - r|²
        turned = np.column_stack([own, np.full(norms.size, -1.0), -norms])  # (r, m + 2)
        self._turned = np.ascontiguousarray(turned.T, dtype=self._dtype)  # (m + 2, r)
        self._weights = weights / np.float64(weights.sum())  # (r,)
        self.covered = np.zeros(references.size)  # (r,) largest kernel value with a chosen point

        def work(part: slice) -> NDArray[Any]:
            best: NDArray[Any] = self._kernel(chosen[part]).max(axis=0)  # (r,)
            return best

        for best in map_blocks(work, chosen.size, BLOCK):
            np.maximum(self.covered, best, out=self.covered)

    @property
    def value(self) -> float:
        """The current weighted mean, in [0, 1]."""
        return float(np.dot(self._weights, self.covered))

    def gains(self, points: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the increase of `value` if each of (k,) points alone is added: (k,)."""
        gains = np.empty(points.size)
        covered, weights = self.covered.astype(self._dtype), self._weights.astype(self._dtype)

        def work(part: slice) -> None:
            more = self._kernel(points[part])  # (b, r)
            more -= covered
            gains[part] = np.maximum(more, 0, out=more) @ weights

        map_blocks(work, points.size, BLOCK)
        return gains

    def add(self, point: int) -> None:
        """Add a point to the chosen points."""
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
    """Return the root mean squared distance of (p, m) vectors to their mean; 1 in place of 0."""
    mean = mean_vector(vectors, np.arange(len(vectors)))  # (m,)

    def work(part: slice) -> float:
        return float(np.square(vectors[part] - mean).sum())

    total = sum(map_blocks(work, len(vectors), BLOCK * 8))
    return float(np.sqrt(total / len(vectors))) or 1.0


def nearest_pair(vectors: NDArray[np.float32]) -> float:
    """Return the smallest distance between two of (c, m) distinct vectors; infinity if c < 2."""
    norms = np.square(vectors, dtype=np.float64).sum(axis=1)  # (c,)

    def work(part: slice) -> float:
        before = vectors[: part.stop].astype(np.float64)  # (e, m)
        squared = norms[part, None] + norms[: part.stop] - 2 * before[part] @ before.T  # (b, e)
        squared[np.arange(part.start, part.stop)[:, None] <= np.arange(part.stop)] = np.inf
        return float(squared.min())

    squared = min(map_blocks(work, len(vectors), BLOCK), default=np.inf)
    return float(np.sqrt(max(squared, 0)))


EDGES = 1 << 18
"""Approximate number of pairs (point, similar point) per block."""


def cover_greedily(
    pool: Pool,
    references: References,
    weights: NDArray[np.float64],
    width: float,
    n: int,
) -> tuple[Greedy, NDArray[np.float32]]:
    """Maximise the kernel coverage; return the picks, and the coverage after each pick: (n,)."""
    labelled = pool.unique_labelled
    weights = references.items * weights  # (r,)
    if not weights.any():
        weights = references.items.astype(np.float64)
    coverage = KernelCoverage(
        pool.index.sketch, width, references.points, weights, np.flatnonzero(labelled)
    )
    start = coverage.value
    picks = lazy_greedy(coverage, np.flatnonzero(~labelled), n)
    return picks, (start + picks.gains.cumsum()).astype(np.float32)


class SparseCoverage:
    """The weighted mean over points of the largest similarity to a chosen point.

    The points ``members[starts[j]:starts[j + 1]]`` have the matching `similarity` in [0, 1] to
    point j, or 1 if `similarity` is None. All other points have similarity 0. (p,) `weights` are
    not negative.
    """

    def __init__(
        self,
        starts: NDArray[np.integer],
        members: NDArray[np.integer],
        similarity: NDArray[np.float32] | None,
        weights: NDArray[np.integer],
    ) -> None:
        self._starts, self._members, self._similarity = starts, members, similarity
        self._weights = weights.astype(np.float64)
        self._total = float(self._weights.sum())
        self.covered = np.zeros(weights.size)  # (p,) largest similarity to a chosen point

    @property
    def value(self) -> float:
        """The current weighted mean, in [0, 1]."""
        return float(self._weights @ self.covered) / self._total

    def gains(self, points: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the increase of `value` if each of (k,) points alone is added: (k,)."""
        parts = [self._gains(points[part]) for part in self._parts(points)]
        return np.concatenate(parts) if parts else np.empty(0)

    def add(self, point: int) -> None:
        """Add a point to the chosen points."""
        edges = slice(int(self._starts[point]), int(self._starts[point + 1]))
        like = self._members[edges]
        closer = 1.0 if self._similarity is None else self._similarity[edges]
        self.covered[like] = np.maximum(self.covered[like], closer)

    def _parts(self, points: NDArray[np.int64]) -> Iterator[slice]:
        """Yield slices of `points` with about `EDGES` pairs each."""
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
        if self._similarity is not None:
            more = np.maximum(self._similarity[edges] - self.covered[like], 0)
        more *= self._weights[like]
        return np.bincount(owner, weights=more, minlength=points.size) / self._total  # (k,)
