"""ProbCover: balls around picks that cover as many items as possible."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .._specs import check_above, check_count, check_share
from .._threads import map_blocks
from ..errors import UsageError
from ..index import Neighbours, between, check_metric
from ..index.distances import safe_frame
from ..index.vectors import Vectors
from .algorithms.coverage import SparseCoverage
from .algorithms.lazy_greedy import lazy_greedy
from .coreset import spread
from .pool import Pool
from .strategy import DiverseStrategy, UniquePicks, strategies

__all__ = ["ProbCover", "fitting_radius", "pure_radius"]

NEIGHBOURS = 32
"""Neighbours per vector for the choice of the radius."""

BALL = 24
"""Maximum mean number of members of a ball."""

SMALL = 1_200_000
"""Total number of members of all balls up to which `BALL` does not apply."""


@strategies.register("probcover")
class ProbCover(DiverseStrategy):
    """Items whose neighbourhoods cover most of the pool, for the first labels.

    A labelled or picked item covers its ball: all items within distance `delta`. Each pick covers
    the most items that are not yet covered. Ties go to the smallest mean distance to the 32 nearest
    unique vectors, then to the lowest row. When everything is covered, picks are the items farthest
    from all labelled and picked items, as in ``coreset``.

    Parameters
    ----------
    delta
        Radius of the balls, in the unit of the metric. Default: the largest radius at which a share
        `purity` of all balls contains vectors of one cluster only.
    purity
        Share of balls with vectors of one cluster only, above 0 and at most 1.
    clusters
        Number of k-means clusters for the purity, at least 2. Default: the number of classes if
        known, else 2. Fewer clusters give larger balls, which suit a first batch.
    metric
        ``"euclidean"`` or ``"cosine"`` (rows scaled to unit length). Other strategies use cosine by
        default; here cosine lowered the mean accuracy on photos by 11 percentage points.

    Raises
    ------
    UsageError
        When selecting, if balls of radius `delta` contain more than 24 vectors on average, and more
        than 1.2 million in all.

    Notes
    -----
    The radius does not depend on the seed. The paper chooses the radius from a grid. Here the
    radius follows from the distance of each vector to the nearest vector of another cluster. The
    radius is reduced if the balls would be too large. Labelled rows outside the candidates are
    ignored.

    Scores: share of items newly covered. Diagnostics: ``delta``; ``covered`` (n,) float32, the
    share covered after each pick.

    Time, besides `Index.within` and k-means: at most O(576·p·d) for the radius with p unique
    vectors of length d, and O(24·p) for the picks. Extra memory: 400 bytes per unique vector, 700
    at the peak.

    References
    ----------
    Yehuda, Dekel, Hacohen, Weinshall (2022), "Active learning through a covering lens",
    arXiv:2205.11514.
    """

    name: ClassVar[str] = "probcover"

    def __init__(
        self,
        *,
        delta: float | None = None,
        purity: float = 0.95,
        clusters: int | None = None,
        metric: str = "euclidean",
    ) -> None:
        self.delta = None if delta is None else check_above("delta", delta)
        self.purity = check_share("purity", purity, zero=False)
        self.clusters = None if clusters is None else check_count("clusters", clusters, 2)
        self.metric = check_metric(metric)

    def choose_unique(self, pool: Pool, n: int, rng: np.random.Generator) -> UniquePicks:
        """Cover with balls, then pick the farthest vectors."""
        index = pool.index
        near = index.neighbours(NEIGHBOURS)
        most = max(SMALL, BALL * index.rows.size)
        delta = self._radius(pool, near, most)
        # The radius fits `most` only approximately, so the limit is twice as high.
        balls = index.within(delta, 2 * most / index.rows.size)
        coverage = SparseCoverage(balls.starts, balls.members, None, index.sizes)
        for point in np.flatnonzero(pool.unique_labelled):
            coverage.add(int(point))
        free = np.flatnonzero(~pool.unique_labelled)  # (f,)
        spacing = near.distances.mean(axis=1, dtype=np.float64) if near.distances.size else free
        densest = free[np.argsort(spacing[free], kind="stable")]  # (f,)
        start = coverage.value
        found = lazy_greedy(coverage, densest, n, while_positive=True)
        rest = self._rest(pool, found.points, n - found.points.size)
        scores = np.concatenate([found.gains, np.zeros(rest.size)])  # (n,)
        covered = (start + scores.cumsum()).astype(np.float32)
        points = np.concatenate([found.points, rest])  # (n,)
        return UniquePicks(points, scores, {"delta": delta, "covered": covered})

    def _radius(self, pool: Pool, near: Neighbours, most: int) -> float:
        matrix, rows = pool.vectors, pool.index.rows
        if self.delta is not None:
            fits = fitting_radius(matrix, rows, near, self.delta, most)
            if fits < self.delta:
                raise UsageError(
                    f"delta is {self.delta:g}: balls of this radius contain more than {BALL} "
                    f"vectors on average. Give at most about {fits:.3g}, or leave delta out."
                )
            return self.delta
        if rows.size == 1:
            return 0.0
        count = self.clusters or max(2, pool.n_classes or 2)

        def largest() -> float:
            labels = pool.index.clusters(count).labels  # (p,)
            radius = pure_radius(matrix, rows, labels, near, self.purity)
            return fitting_radius(matrix, rows, near, radius, most)

        return pool.index.remember(("pure radius", count, self.purity, most), largest)

    def _rest(self, pool: Pool, picked: NDArray[np.int64], count: int) -> NDArray[np.int64]:
        """Return the `count` unique vectors farthest from all labelled and picked vectors."""
        if not count:
            return np.empty(0, dtype=np.int64)
        rows = pool.index.rows
        left = np.setdiff1d(np.flatnonzero(~pool.unique_labelled), picked, assume_unique=True)
        centres = np.concatenate([pool.labelled, rows[picked]])
        at, _ = spread(pool.vectors, rows[left], centres, count)
        return left[at]


SEARCHED = 512
"""Approximate maximum of vectors that are compared with all others."""

SAMPLED = 64
"""Balls that are counted to estimate the size of large balls."""

BLOCK = 512
"""Vectors per block."""


def pure_radius(
    vectors: Vectors,
    rows: NDArray[np.int64],
    labels: NDArray[np.int32],
    near: Neighbours,
    purity: float,
) -> float:
    """Return the largest float32 radius at which a share `purity` of the balls is pure.

    A ball is pure if its radius is below the distance to the nearest vector of another cluster.
    The neighbours `near` give this distance. If all neighbours of a vector are of its own cluster,
    a search gives the distance. If more than 512 vectors need the search, the radius is computed
    from an evenly spaced sample of all vectors.
    """
    every = np.arange(rows.size)
    others = labels[near.positions] != labels[:, None]  # (p, k)
    first = others.argmax(axis=1)  # (p,)
    away = np.where(others[every, first], near.distances[every, first], np.float32(np.inf))
    open_ = ~others.any(axis=1) & (near.distances[:, -1] < _quantile(away, purity))  # (p,)
    step = -(-int(open_.sum()) // SEARCHED) or 1
    some = every[::step]
    away, reach = away[some], near.distances[some, -1]  # (s,)
    search = np.flatnonzero(np.isinf(away) & (reach < _quantile(away, purity)))
    if search.size:
        away[search] = _nearest_of_other_clusters(vectors, rows, labels, some[search])
    return float(np.nextafter(_quantile(away, purity), np.float32(0)))


def _quantile(away: NDArray[np.float32], purity: float) -> np.float32:
    """Return the largest distance with at most a share 1 - `purity` of the distances below."""
    impure = min(int((1 - purity) * away.size + 1e-9), away.size - 1)
    return np.float32(np.partition(away, impure)[impure])


def _nearest_of_other_clusters(
    vectors: Vectors,
    rows: NDArray[np.int64],
    labels: NDArray[np.int32],
    some: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Return the distance of each of (s,) vectors to the nearest vector of another cluster."""
    frame, _ = safe_frame(vectors, rows)
    own = frame.rows(rows[some]).vectors  # (s, d)

    def work(part: slice) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        block = frame.rows(rows[part])
        squared = -2 * block.vectors @ own.T  # (b, s)
        squared += block.norms.astype(np.float32)[:, None]
        squared[labels[part, None] == labels[some]] = np.inf
        return squared.min(axis=0), squared.argmin(axis=0) + part.start

    found = map_blocks(work, rows.size, BLOCK)
    best = np.array([least for least, _ in found]).argmin(axis=0)  # (s,)
    nearest = np.array([where for _, where in found])[best, np.arange(some.size)]  # (s,)
    return np.sqrt(between(vectors, rows[some], rows[nearest])).astype(np.float32)


def fitting_radius(
    vectors: Vectors,
    rows: NDArray[np.int64],
    near: Neighbours,
    radius: float,
    most: int,
) -> float:
    """Return `radius`, or a smaller radius whose balls have about `most` members in all."""
    # Balls within the known neighbours are counted. Of the larger balls, a sample of 64 is counted.
    p, k = near.positions.shape
    if p * p <= most or not k:
        return radius
    # The known neighbours alone may be too many.
    if np.count_nonzero(near.distances <= radius) + p > most:
        last = np.partition(near.distances, max(most - p, 0), axis=None)[max(most - p, 0)]
        radius = float(np.nextafter(last, np.float32(0)))
    inside = np.count_nonzero(near.distances <= radius, axis=1)  # (p,)
    large = np.flatnonzero(inside == k)
    small = int(inside.sum()) - large.size * k + p - large.size  # members of the other balls
    if large.size * p + small <= most:
        return radius
    some = large[np.arange(SAMPLED) * large.size // SAMPLED]  # (s,)
    allowed = max(most - small, large.size) * SAMPLED // large.size
    frame, _ = safe_frame(vectors, rows)
    own = frame.rows(rows[some])
    limit = (radius * frame.scale) ** 2

    def work(part: slice) -> NDArray[np.float32]:
        block = frame.rows(rows[part])
        squared = -2 * block.vectors @ own.vectors.T  # (b, s)
        squared += block.norms.astype(np.float32)[:, None]
        squared += own.norms.astype(np.float32)
        return squared[squared <= limit]

    held = np.concatenate(map_blocks(work, p, BLOCK))
    if held.size <= allowed:
        return radius
    squared = np.partition(held, allowed - 1)[allowed - 1]
    return min(radius, math.sqrt(max(0.0, float(squared)) * frame.unit))
