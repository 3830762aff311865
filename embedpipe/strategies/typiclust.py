"""TypiClust: the most typical item of each cluster."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .._specs import check_count
from .._threads import map_blocks
from ..index import check_metric
from ..index.frame import Frame
from .algorithms.clusters import Members
from .algorithms.typicality import EXACT, most_typical
from .pool import Pool
from .strategy import METRIC, DiverseStrategy, PointPicks, strategies

__all__ = ["TypiClust"]

NEIGHBOURS = 20
"""Typicality looks at so many neighbours at most."""


@strategies.register("typiclust")
class TypiClust(DiverseStrategy):
    """The most typical item of each cluster that holds no labelled one: for the first labels.

    All points are divided into as many clusters as there are labelled points and picks together,
    at most `max_clusters`, by k-means on the index's sketch. Clusters with the fewest labelled
    points come first, of these the ones with more items, then the one with the lowest row. They
    are gone through in that order, over and over, and of each its most typical unlabelled point
    is taken, ties going to the lowest row. Clusters of fewer than `min_cluster_size` points are
    passed by until nothing is left in the others.

    Typicality is 1 / the mean distance to the 20 nearest points of the cluster, or to half of
    them where there are fewer than 40, in all dimensions.

    Parameters
    ----------
    max_clusters
        The most clusters.
    min_cluster_size
        Of a smaller cluster nothing is taken while there is another.
    metric
        ``"cosine"``: distances are between vectors scaled to unit length, as most heads see them;
        ``"euclidean"``: between vectors as they are.

    Raises
    ------
    UsageError
        If an option is out of range.

    Notes
    -----
    The authors' code leaves labelled and picked points out of the neighbours, which moves as
    picks are made; here a point's typicality does not hang on what is picked. Labelled rows
    outside the candidates do not count. In clusters of more than 1,024 points the most typical
    point is searched for among 256 that are typical of an even sample of the cluster.

    `Selection.scores` holds the typicality of each pick, 0 for a point alone in its cluster.

    Diagnostics: ``cluster`` (n,) int64, the number of the pick's cluster; ``cluster_size`` (n,)
    int64, the items in it.

    O(p·K·128) time for k-means with K clusters, then O(c²·d) for each cluster of c ≤ 1,024 points
    that is picked from. Extra memory: 60 bytes per point, and 8·1024·d bytes and 24 MB a thread.

    References
    ----------
    Hacohen, Dekel, Weinshall (2022), "Active learning on a budget: opposite strategies suit high
    and low budgets", arXiv:2202.02794.

    Examples
    --------
    >>> line = np.array([[0], [3], [4], [6], [50], [51], [53]], dtype=np.float32)
    >>> chooser = TypiClust(min_cluster_size=3, metric="euclidean")
    >>> selection = chooser.select(Pool(line), 2, np.random.default_rng(0))
    >>> selection.rows.tolist(), [round(float(score), 2) for score in selection.scores]
    ([2, 4], [0.67, 1.0])
    """

    name: ClassVar[str] = "typiclust"

    def __init__(
        self, *, max_clusters: int = 500, min_cluster_size: int = 5, metric: str = METRIC
    ) -> None:
        self.max_clusters = check_count("max_clusters", max_clusters)
        self.min_cluster_size = check_count("min_cluster_size", min_cluster_size)
        self.metric = check_metric(metric)

    def choose_points(self, pool: Pool, n: int, rng: np.random.Generator) -> PointPicks:
        """Deal the turns out to clusters, then take the most typical points of each."""
        index, labelled = pool.index, pool.points_labelled
        wanted = min(int(labelled.sum()) + n, self.max_clusters)
        clusters = index.clusters(wanted, int(rng.integers(1 << 31)))
        labels, k = clusters.labels, clusters.sizes.size
        members = Members.of(labels, k)
        items = np.bincount(labels, weights=index.sizes, minlength=k).astype(np.int64)  # (k,)
        known = np.bincount(labels[labelled], minlength=k)  # (k,)
        order = np.lexsort((members.order[members.starts[:-1]], -items, known))  # (k,)
        turns = self._turns(order, members.counts, members.counts - known, n)  # (n,)
        points, scores = self._picks(pool, members, turns)
        return PointPicks(points, scores, {"cluster": turns, "cluster_size": items[turns]})

    def _turns(
        self,
        order: NDArray[np.int64],
        sizes: NDArray[np.int64],
        free: NDArray[np.int64],
        n: int,
    ) -> NDArray[np.int64]:
        """Return the cluster of each of `n` picks."""
        most = np.minimum(free[order], n)  # (k,), picks that each can give
        place = np.repeat(np.arange(order.size), most)  # (q,)
        lap = np.arange(place.size) - (most.cumsum() - most)[place]  # (q,), 0, 1, … of each cluster
        small = (sizes[order] < self.min_cluster_size)[place]  # (q,)
        return order[place[np.lexsort((place, lap, small))[:n]]]

    def _picks(
        self, pool: Pool, members: Members, turns: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the point of each turn and its typicality."""
        rows, sketch, free = pool.index.rows, pool.index.sketch, ~pool.points_labelled
        points, scores = np.empty(turns.size, np.int64), np.empty(turns.size)
        visited = Members.of(turns, members.counts.size)
        clusters = np.flatnonzero(visited.counts)
        frame = Frame.around(pool.vectors, rows)

        def visit(cluster: int) -> None:
            own, at = members[cluster], visited[cluster]
            found, typicality = most_typical(
                pool.vectors, rows[own], sketch[own], free[own], at.size, NEIGHBOURS, frame
            )
            points[at], scores[at] = own[found], typicality

        large = members.counts[clusters] > EXACT
        for cluster in clusters[large]:  # these keep all threads busy one by one
            visit(cluster)
        small = clusters[~large]
        map_blocks(lambda part: visit(small[part.start]), small.size, 1)
        return points, scores
