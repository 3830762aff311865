"""ProbCover: balls around picks that cover as many items as they can."""

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
"""So many neighbours of each point are kept in mind to choose the radius."""

BALL = 24
"""So many points may a ball hold in the mean."""

SMALL = 1_200_000
"""So many points may all balls hold together, however few points there are."""


@strategies.register("probcover")
class ProbCover(DiverseStrategy):
    """The items whose neighbourhoods cover most of the pool: for the first labels.

    A labelled or picked point covers everything at most `delta` away from it. Each pick is the
    point that covers the most items that are not yet covered; of several the one in the densest
    place, with the smallest mean distance to its 32 nearest points, then the lowest row. Copies
    of a vector count as many items. Once everything is covered, the other picks are those
    farthest from all that is labelled or picked, as in ``coreset``.

    Parameters
    ----------
    delta
        The radius, in the unit of the metric. Left out, it is the largest at which a share
        `purity` of all balls holds points of one cluster only.
    purity
        Above 0 and at most 1.
    clusters
        How many clusters k-means makes of the points to judge purity by, at least 2. Left out, the
        number of classes if it is known, or else 2: the fewest clusters make the largest balls,
        and small ones serve no first batch.
    metric
        ``"cosine"``: distances are between vectors scaled to unit length, as most heads see them;
        ``"euclidean"``: between vectors as they are. Of all strategies this one alone has another
        default: on photos the mean accuracy was lower by 0.11 with the cosine metric.

    Raises
    ------
    UsageError
        If an option is out of range, or balls of radius `delta` hold more than 24 points in the
        mean (and 1.2 million in all), which is too much to keep.

    Notes
    -----
    The radius does not depend on the seed. The authors choose it from a grid; here it is worked
    out from each point's distance to the nearest point of another cluster. It is made smaller
    where balls would be too much to keep. Labelled rows outside the candidates do not count.

    `Selection.scores` holds the share of the pool's items that each pick newly covered.

    Diagnostics: ``delta``; ``covered`` (n,) float32, the share of items covered after each pick.

    Beside `Index.within` and k-means: O(576·p·d) time at most, with p points, to choose the radius,
    and O(e) to pick, with about e ≤ 24·p points in all balls. Extra memory: about 100 bytes per
    point for the balls, four times that while the index looks for them, and 300 for the rest.

    References
    ----------
    Yehuda, Dekel, Hacohen, Weinshall (2022), "Active learning through a covering lens",
    arXiv:2205.11514.

    Examples
    --------
    >>> pool = Pool(np.array([[0], [1], [2], [8], [9], [20]], dtype=np.float32))
    >>> selection = ProbCover(delta=1.5).select(pool, 4, np.random.default_rng(0))
    >>> selection.rows.tolist(), [round(float(c), 2) for c in selection.diagnostics["covered"]]
    ([1, 3, 5, 0], [0.5, 0.83, 1.0, 1.0])
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
        """Cover by balls, then fill the gaps."""
        index = pool.index
        near = index.neighbours(NEIGHBOURS)
        most = max(SMALL, BALL * index.rows.size)
        delta = self._radius(pool, near, most)
        balls = index.within(delta, 2 * most / index.rows.size)  # twice: `most` is an estimate
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
                    f"delta is {self.delta:g}: balls that large hold more than {BALL} points in "
                    f"the mean; give at most about {fits:.3g}, or leave it out."
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
        """Return the `count` points farthest from all that is labelled or picked."""
        if not count:
            return np.empty(0, dtype=np.int64)
        rows = pool.index.rows
        left = np.setdiff1d(np.flatnonzero(~pool.unique_labelled), picked, assume_unique=True)
        centres = np.concatenate([pool.labelled, rows[picked]])
        at, _ = spread(pool.vectors, rows[left], centres, count)
        return left[at]


SEARCHED = 512
"""For about how many points every other point is looked at."""

SAMPLED = 64
"""From so many points the size of large balls is told."""

BLOCK = 512
"""How many points are looked at at once."""


def pure_radius(
    vectors: Vectors,
    rows: NDArray[np.int64],
    labels: NDArray[np.int32],
    near: Neighbours,
    purity: float,
) -> float:
    """Return the largest float32 radius at which a share `purity` of the balls is pure.

    A ball is pure while it is smaller than the distance to the nearest point of another cluster.
    That distance follows from the neighbours `near` of most points. Where all of them are in the
    point's own cluster it is searched for among all points, for about 512 of them at most.
    """
    every = np.arange(rows.size)
    enemies = labels[near.positions] != labels[:, None]  # (p, k)
    first = enemies.argmax(axis=1)  # (p,)
    away = np.where(enemies[every, first], near.distances[every, first], np.float32(np.inf))
    open_ = ~enemies.any(axis=1) & (near.distances[:, -1] < _quantile(away, purity))  # (p,)
    step = -(-int(open_.sum()) // SEARCHED) or 1
    some = every[::step]
    away, reach = away[some], near.distances[some, -1]  # (s,)
    search = np.flatnonzero(np.isinf(away) & (reach < _quantile(away, purity)))
    if search.size:
        away[search] = _nearest_enemies(vectors, rows, labels, some[search])
    return float(np.nextafter(_quantile(away, purity), np.float32(0)))


def _quantile(away: NDArray[np.float32], purity: float) -> np.float32:
    """Return the distance that a share 1 - `purity` at most is below."""
    impure = min(int((1 - purity) * away.size + 1e-9), away.size - 1)
    return np.float32(np.partition(away, impure)[impure])


def _nearest_enemies(
    vectors: Vectors,
    rows: NDArray[np.int64],
    labels: NDArray[np.int32],
    some: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Return the distance from each of (s,) points to the nearest one of another cluster."""
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
    enemy = np.array([where for _, where in found])[best, np.arange(some.size)]  # (s,)
    return np.sqrt(between(vectors, rows[some], rows[enemy])).astype(np.float32)


def fitting_radius(
    vectors: Vectors,
    rows: NDArray[np.int64],
    near: Neighbours,
    radius: float,
    most: int,
) -> float:
    """Return `radius`, or a smaller one if its balls hold about more than `most` points in all."""
    # Balls with no more points than neighbours are counted, the others judged by 64 of them.
    p, k = near.positions.shape
    if p * p <= most or not k:
        return radius
    if np.count_nonzero(near.distances <= radius) + p > most:  # the neighbours alone are too many
        last = np.partition(near.distances, max(most - p, 0), axis=None)[max(most - p, 0)]
        radius = float(np.nextafter(last, np.float32(0)))
    inside = np.count_nonzero(near.distances <= radius, axis=1)  # (p,)
    large = np.flatnonzero(inside == k)
    small = int(inside.sum()) - large.size * k + p - large.size  # what the other balls hold
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
