"""Coverage of a pool by picks: the objectives that greedy strategies maximise."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._threads import map_blocks
from ...index import mean_vector
from ...index.distances import squared_distances
from ...index.vectors import row_blocks
from ..pool import Pool
from .lazy_greedy import Greedy, lazy_greedy
from .predictions import Uncertainty, uncertainty_of

__all__ = [
    "KernelCoverage",
    "References",
    "SparseCoverage",
    "nearest_of",
    "nearest_pair",
    "spread_of",
]

REFERENCES = 2048
"""Maximum number of references."""

BLOCK = 256
"""Points per block."""

TILE = 8192
"""Other points per block in the search for the nearest."""

FAR = 32.0**2
"""Squared norm, in squared kernel widths, from which float32 is not precise enough."""


@dataclass(frozen=True)
class References:
    """The vectors that the picks should cover: of the unlabelled items, or of the target."""

    points: NDArray[np.int64]  # (r,) ascending positions of unique vectors; empty for a target
    items: NDArray[np.int64]  # (r,) number of items that each vector represents
    sketch: NDArray[np.float32]  # (r, m) coordinates in the sketch of the index
    nearest: NDArray[np.int64]  # (r,) positions of the nearest unique vectors of the pool
    apart: NDArray[np.float64]  # (r,) squared distances to them; 0 without a target
    vectors: NDArray[np.float32] | None = None  # (r, d) vectors of the target

    @classmethod
    def of(cls, pool: Pool) -> References:
        """Return the vectors of the target or, without a target, the unlabelled unique vectors.

        If there are more than 2,048, return those of 2,048 evenly spaced items.
        """
        if pool.target is not None:
            return cls._of_target(pool, pool.target)
        index, free = pool.index, ~pool.unique_labelled
        points, counts = np.flatnonzero(free), index.sizes  # (f,)
        if points.size > REFERENCES:
            items = np.flatnonzero(free[index.copy_of])  # (m,)
            even = index.copy_of[_evenly_spaced(items)].astype(np.int64)  # (2048,)
            points, counts = np.unique(even, return_counts=True)
        else:
            counts = counts[points]
        return cls(points, counts, index.sketch[points], points, np.zeros(points.size))

    @classmethod
    def _of_target(cls, pool: Pool, target: NDArray[np.float32]) -> References:
        vectors = target[_evenly_spaced(np.arange(len(target)))]  # (r, d)
        index = pool.index

        def measured() -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float64]]:
            sketch = index.project(vectors)
            nearest, apart = nearest_of(sketch, index.sketch, 1)
            return sketch, nearest[:, 0], apart[:, 0]

        # A loop selects from the same index and target in every round.
        key = "target", hashlib.sha256(np.ascontiguousarray(vectors).data).hexdigest()
        sketch, nearest, apart = index.remember(key, measured)
        none, ones = np.empty(0, dtype=np.int64), np.ones(len(vectors), dtype=np.int64)
        return cls(none, ones, sketch, nearest, apart, vectors)

    def uncertainty(self, pool: Pool, measure: Uncertainty) -> NDArray[np.float64]:
        """Return the uncertainty of the predictions for each vector: (r,)."""
        if self.vectors is None:
            return uncertainty_of(pool, measure, pool.index.rows[self.points])
        return measure(pool.predict(self.vectors))


def _evenly_spaced(items: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return at most 2,048 evenly spaced items."""
    if items.size <= REFERENCES:
        return items
    return items[np.arange(REFERENCES) * items.size // REFERENCES]


def nearest_of(
    vectors: NDArray[np.float32], others: NDArray[np.float32], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return positions and squared distances of the `k` nearest of (p, m) others: (r, k), (r, k).

    All are returned if there are fewer. Time for r vectors: O(r·p·m). Extra memory: 8 MB per
    thread.
    """
    # Float32 products find the nearest; their distances are in float64.
    k = min(k, len(others))
    norms = np.square(others).sum(axis=1)  # (p,)
    positions, squared = np.empty((len(vectors), k), np.int64), np.empty((len(vectors), k))

    def work(part: slice) -> None:
        own = vectors[part]  # (a, m)
        found = np.empty((len(own), 0), np.int64)
        gaps = np.empty((len(own), 0), np.float32)
        for tile in row_blocks(len(others), TILE):
            more = norms[tile] - 2 * own @ others[tile].T  # (a, b)
            at = _smallest(more, k)  # (a, k)
            found = np.concatenate([found, at + tile.start], axis=1)
            gaps = np.concatenate([gaps, np.take_along_axis(more, at, axis=1)], axis=1)
            best = _smallest(gaps, k)  # (a, k)
            found = np.take_along_axis(found, best, axis=1)
            gaps = np.take_along_axis(gaps, best, axis=1)
        repeated = own.repeat(found.shape[1], axis=0)  # (a·k, m)
        away = squared_distances(repeated, others[found.ravel()]).reshape(found.shape)  # (a, k)
        order = np.lexsort((found, away))  # (a, k)
        positions[part] = np.take_along_axis(found, order, axis=1)
        squared[part] = np.take_along_axis(away, order, axis=1)

    map_blocks(work, len(vectors), BLOCK)
    return positions, squared


def _smallest(values: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Return the columns of the `k` smallest values of each row, or all columns: (a, k)."""
    if k >= values.shape[1]:
        return np.broadcast_to(np.arange(values.shape[1]), values.shape)
    found = values.argpartition(k - 1, axis=1)[:, :k] if k > 1 else values.argmin(axis=1)[:, None]
    return found.astype(np.int64)


class KernelCoverage:
    """The weighted mean over references of the largest kernel value with a chosen point.

    Points are (p, m) float32 `vectors`, references are (r, m), and the (c,) `chosen` are positions
    of points. The kernel of a point and a reference at distance d is exp(−(d² − a)/width²), with
    the (r,) squared distance a `apart` of the reference to the nearest point. (r,) `weights` are
    not negative. Values are in float64, or in float32 for more than 2,048 points if no reference is
    more than 32 widths from the origin. Time: O(r·m) per gain. Memory: 16·r·m bytes.
    """

    def __init__(
        self,
        vectors: NDArray[np.float32],
        width: float,
        references: NDArray[np.float32],
        weights: NDArray[np.number],
        chosen: NDArray[np.int64],
        apart: NDArray[np.float64] | None = None,
    ) -> None:
        own = references / np.float64(width)  # (r, m)
        norms = np.square(own).sum(axis=1)  # (r,)
        imprecise = len(vectors) > REFERENCES and norms.max() < FAR
        self._dtype: type[np.floating[Any]] = np.float32 if imprecise else np.float64
        self._vectors, self._width = vectors, width
        if apart is not None:
            norms -= apart / np.float64(width) ** 2
        # (2x, |x|², 1) · (r, -1, -|r|²) is -|x - r|²
        turned = np.column_stack([own, np.full(norms.size, -1.0), -norms])  # (r, m + 2)
        self._turned = np.ascontiguousarray(turned.T, dtype=self._dtype)  # (m + 2, r)
        self._weights = weights / np.float64(weights.sum())  # (r,)
        self.covered = np.zeros(norms.size)  # (r,) largest kernel value with a chosen point

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
        pool.index.sketch,
        width,
        references.sketch,
        weights,
        np.flatnonzero(labelled),
        references.apart,
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
