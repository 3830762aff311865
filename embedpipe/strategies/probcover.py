"""ProbCover: balls around picks that cover as many items as they can."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .._specs import check_above, check_count, check_share
from ..errors import UsageError
from ..index import Neighbours, check_metric
from .algorithms.k_center import spread
from .algorithms.lazy_greedy import lazy_greedy
from .algorithms.pure_radius import fitting_radius, pure_radius
from .algorithms.sparse_coverage import SparseCoverage
from .pool import Pool
from .strategy import DiverseStrategy, PointPicks, strategies

__all__ = ["ProbCover"]

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

    def choose_points(self, pool: Pool, n: int, rng: np.random.Generator) -> PointPicks:
        """Cover by balls, then fill the gaps."""
        index = pool.index
        near = index.neighbours(NEIGHBOURS)
        most = max(SMALL, BALL * index.rows.size)
        delta = self._radius(pool, near, most)
        balls = index.within(delta, 2 * most / index.rows.size)  # twice: `most` is an estimate
        coverage = SparseCoverage(balls.starts, balls.members, None, index.sizes)
        for point in np.flatnonzero(pool.points_labelled):
            coverage.add(int(point))
        free = np.flatnonzero(~pool.points_labelled)  # (f,)
        spacing = near.distances.mean(axis=1, dtype=np.float64) if near.distances.size else free
        densest = free[np.argsort(spacing[free], kind="stable")]  # (f,)
        start = coverage.value
        found = lazy_greedy(coverage, densest, n, while_positive=True)
        rest = self._rest(pool, found.points, n - found.points.size)
        scores = np.concatenate([found.gains, np.zeros(rest.size)])  # (n,)
        covered = (start + scores.cumsum()).astype(np.float32)
        points = np.concatenate([found.points, rest])  # (n,)
        return PointPicks(points, scores, {"delta": delta, "covered": covered})

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
        left = np.setdiff1d(np.flatnonzero(~pool.points_labelled), picked, assume_unique=True)
        centres = np.concatenate([pool.labelled, rows[picked]])
        at, _ = spread(pool.vectors, rows[left], centres, count)
        return left[at]
