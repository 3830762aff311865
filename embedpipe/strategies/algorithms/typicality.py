"""How typical points are of a cluster, and which are so the most."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..._threads import map_blocks
from ...index import between
from ...index.frame import Frame, Moved, safe_frame
from ...index.vectors import Vectors
from ..strategy import top_k

__all__ = ["most_typical"]

EXACT = 1024
"""In clusters of up to so many points every point is compared with every other."""

COMPARED = 256
"""The fewest points of a larger cluster that are compared with all its points."""

BLOCK = 512
"""How many points of a cluster others are compared with at once."""


def most_typical(
    vectors: Vectors,
    rows: NDArray[np.int64],
    sketch: NDArray[np.float32],
    allowed: NDArray[np.bool_],
    n: int,
    neighbours: int,
    frame: Frame | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the `n` most typical of the (c,) `rows` of a cluster: positions and typicality, (n,).

    Typicality is 1 / the mean distance to the min(`neighbours`, c // 2) nearest of the c points,
    at least one; of a single point it is 0. Ties go to the lowest position. Float32 products bound
    the mean distances, and `between` decides what is in doubt. In a cluster of more than `EXACT`
    points only those that are most typical in the (c, s) `sketch` are compared that way.
    """
    c = rows.size
    if c == 1:
        return np.zeros(1, dtype=np.int64), np.zeros(1)
    k = max(1, min(neighbours, c // 2))
    some = np.flatnonzero(allowed)  # (s,)
    if c > EXACT:
        some = some[_promising(sketch, some, max(COMPARED, 4 * n), k)]
    cluster = _Cluster(vectors, rows, k, frame)
    lower, upper, limits = cluster.bounds(some)  # (s,), (s,), (s,)
    close = lower <= np.partition(upper, n - 1)[n - 1]
    rivals = some[close]
    means = cluster.means(rivals, limits[close])  # (r,)
    best = np.lexsort((rivals, means))[:n]
    with np.errstate(divide="ignore"):
        typicality = np.minimum(1 / means[best], float(np.finfo(np.float32).max))
    return rivals[best], typicality


def _promising(
    sketch: NDArray[np.float32], some: NDArray[np.int64], count: int, k: int
) -> NDArray[np.int64]:
    """Return which `count` of `some` are nearest to their `k` nearest of an even sample."""
    if some.size <= count:
        return np.arange(some.size)
    sample = np.arange(EXACT) * len(sketch) // EXACT
    others = sketch[sample]  # (e, m)
    norms = np.square(others).sum(axis=1)
    means = np.empty(some.size, dtype=np.float32)

    def work(part: slice) -> None:
        own = sketch[some[part]]  # (b, m)
        squared = -2 * own @ others.T  # (b, e)
        squared += norms
        squared += np.square(own).sum(axis=1)[:, None]
        squared[some[part, None] == sample] = np.inf
        nearest = np.partition(squared, k - 1, axis=1)[:, :k]
        means[part] = np.sqrt(np.maximum(nearest, 0)).mean(axis=1)

    map_blocks(work, some.size, BLOCK)
    return np.sort(top_k(-means, count))


class _Cluster:
    """Mean distances from points of a cluster to their `k` nearest points in it."""

    def __init__(
        self,
        vectors: Vectors,
        rows: NDArray[np.int64],
        k: int,
        frame: Frame | None = None,
    ) -> None:
        self._vectors, self._rows, self._k = vectors, rows, k
        self._whole: Moved | None = None  # of a small cluster
        if frame is not None and rows.size <= BLOCK:
            whole = frame.rows(rows)
            if whole.norms.max() < frame.overflow:
                self._frame, self._norms, self._whole = frame, whole.norms, whole
                return
        self._frame, self._norms = safe_frame(vectors, rows)

    def bounds(
        self, some: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return lower and upper bounds on mean distances of (s,) positions, and a third one."""
        # The third is what no estimate of a squared distance to one of the nearest exceeds.
        own, k = self._own(some), self._k

        def work(part: slice) -> NDArray[np.float64]:
            squared = self._squared(some, own, part)  # (s, b)
            return squared if squared.shape[1] <= k else np.partition(squared, k - 1)[:, :k].copy()

        best = np.concatenate(map_blocks(work, self._rows.size, BLOCK), axis=1)
        nearest = np.partition(best, k - 1)[:, :k]  # (s, k)
        doubt = self._frame.error * (self._norms[some] + self._norms.max()) + self._frame.slack
        below = np.maximum(nearest - doubt[:, None], 0)
        lower = np.sqrt(below).mean(axis=1) * (1 - 1e-6)
        upper = np.sqrt(nearest + doubt[:, None]).mean(axis=1) * (1 + 1e-6)
        return lower, upper, nearest.max(axis=1) + 2 * doubt

    def means(self, some: NDArray[np.int64], limits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the mean distances of (s,) positions, given the `limits` from `bounds`."""
        own = self._own(some)

        def work(part: slice) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
            which, near = np.nonzero(self._squared(some, own, part) <= limits[:, None])
            return which, near + part.start

        found = map_blocks(work, self._rows.size, BLOCK)
        which = np.concatenate([each for each, _ in found])
        near = np.concatenate([each for _, each in found])
        means = np.empty(some.size)
        for at in range(some.size):
            others, own_row = self._rows[near[which == at]], self._rows[some[[at]]]  # (r,), (1,)
            away = np.sort(between(self._vectors, others, own_row))[: self._k]
            means[at] = np.sqrt(away).mean()
        return means

    def _own(self, some: NDArray[np.int64]) -> NDArray[np.float32]:
        if self._whole is not None:
            return self._whole.vectors[some]  # (s, d)
        return self._frame.rows(self._rows[some]).vectors  # (s, d)

    def _squared(
        self, some: NDArray[np.int64], own: NDArray[np.float32], part: slice
    ) -> NDArray[np.float64]:
        """Return squared distances in the frame to a part of the cluster: (s, b)."""
        block = self._whole or self._frame.rows(self._rows[part])
        squared = self._norms[some, None] + block.norms - 2.0 * (own @ block.vectors.T)  # (s, b)
        at = np.flatnonzero((some >= part.start) & (some < part.stop))
        squared[at, some[at] - part.start] = np.inf
        return squared
