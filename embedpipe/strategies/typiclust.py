"""TypiClust: the most typical item of each cluster."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .._specs import check_count
from .._threads import map_blocks
from ..index import between, check_metric
from ..index.distances import Frame, FrameRows, safe_frame
from ..index.vectors import Vectors
from .algorithms.clusters import Members
from .pool import Pool
from .strategy import METRIC, DiverseStrategy, UniquePicks, strategies, top_k

__all__ = ["TypiClust", "most_typical"]

NEIGHBOURS = 20
"""Maximum number of neighbours for typicality."""


@strategies.register("typiclust")
class TypiClust(DiverseStrategy):
    """The most typical item of each cluster without labels, for the first labels.

    k-means on the index's sketch divides all unique vectors into clusters. Their number is the
    number of labelled vectors plus the number of picks, but at most `max_clusters`. Clusters take
    turns: those with the fewest labelled vectors first, then those with more items, then the lowest
    row. Each turn takes the most typical unlabelled vector. Clusters below `min_cluster_size` come
    last.

    Typicality is 1 / the mean distance to the 20 nearest vectors of the cluster, in all dimensions.
    In a cluster of fewer than 40 vectors, the nearest half of the cluster is used. Ties go to the
    lowest row.

    Parameters
    ----------
    max_clusters
        Maximum number of clusters.
    min_cluster_size
        Minimum number of unique vectors of a cluster. Smaller clusters are used only when all other
        clusters are exhausted.
    metric
        ``"cosine"`` (rows scaled to unit length) or ``"euclidean"``.

    Notes
    -----
    The authors' code excludes labelled and picked vectors from the neighbours; here the typicality
    does not depend on the picks. In clusters of more than 1,024 vectors only some vectors (at least
    256) are compared exactly: those nearest to an evenly spaced sample. Labelled rows outside the
    candidates are ignored.

    Scores: typicality, 0 for the only vector of a cluster. Diagnostics: ``cluster`` (n,) int64, the
    cluster of each pick; ``cluster_size`` (n,) int64, items of this cluster.

    Time: O(p·K·128) for k-means with K clusters of p unique vectors, then O(c²·d) per used cluster
    of c ≤ 1,024 vectors of length d. Extra memory: 60 bytes per unique vector, 8·1024·d bytes, and
    24 MB per thread.

    References
    ----------
    Hacohen, Dekel, Weinshall (2022), "Active learning on a budget: opposite strategies suit high
    and low budgets", arXiv:2202.02794.
    """

    name: ClassVar[str] = "typiclust"

    def __init__(
        self, *, max_clusters: int = 500, min_cluster_size: int = 5, metric: str = METRIC
    ) -> None:
        self.max_clusters = check_count("max_clusters", max_clusters)
        self.min_cluster_size = check_count("min_cluster_size", min_cluster_size)
        self.metric = check_metric(metric)

    def choose_unique(self, pool: Pool, n: int, rng: np.random.Generator) -> UniquePicks:
        """Assign the turns to clusters, then take the most typical vectors of each."""
        index, labelled = pool.index, pool.unique_labelled
        wanted = min(int(labelled.sum()) + n, self.max_clusters)
        clusters = index.clusters(wanted, int(rng.integers(1 << 31)))
        labels, k = clusters.labels, clusters.sizes.size
        members = Members.of(labels, k)
        items = np.bincount(labels, weights=index.sizes, minlength=k).astype(np.int64)  # (k,)
        known = np.bincount(labels[labelled], minlength=k)  # (k,)
        order = np.lexsort((members.order[members.starts[:-1]], -items, known))  # (k,)
        turns = self._turns(order, members.counts, members.counts - known, n)  # (n,)
        points, scores = self._picks(pool, members, turns)
        return UniquePicks(points, scores, {"cluster": turns, "cluster_size": items[turns]})

    def _turns(
        self,
        order: NDArray[np.int64],
        sizes: NDArray[np.int64],
        free: NDArray[np.int64],
        n: int,
    ) -> NDArray[np.int64]:
        """Return the cluster of each of `n` picks."""
        most = np.minimum(free[order], n)  # (k,), available picks of each cluster
        place = np.repeat(np.arange(order.size), most)  # (q,)
        lap = np.arange(place.size) - (most.cumsum() - most)[place]  # (q,), 0, 1, … in each cluster
        small = (sizes[order] < self.min_cluster_size)[place]  # (q,)
        return order[place[np.lexsort((place, lap, small))[:n]]]

    def _picks(
        self, pool: Pool, members: Members, turns: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the vector of each turn and its typicality."""
        rows, sketch, free = pool.index.rows, pool.index.sketch, ~pool.unique_labelled
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
        for cluster in clusters[large]:  # each visit uses all threads
            visit(cluster)
        small = clusters[~large]
        map_blocks(lambda part: visit(small[part.start]), small.size, 1)
        return points, scores


EXACT = 1024
"""Size up to which all vectors of a cluster are compared with each other."""

COMPARED = 256
"""Minimum number of vectors compared in larger clusters."""

BLOCK = 512
"""Vectors per block."""


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

    Ties go to the lowest position. Float32 products give lower and upper bounds of the mean
    distances; where these do not decide, `between` computes the distances in float64. In clusters
    of more than `EXACT` vectors, the (c, s) `sketch` selects the vectors that are compared.
    """
    c = rows.size
    if c == 1:
        return np.zeros(1, dtype=np.int64), np.zeros(1)
    k = max(1, min(neighbours, c // 2))
    some = np.flatnonzero(allowed)  # (s,)
    if c > EXACT:
        some = some[_most_central(sketch, some, max(COMPARED, 4 * n), k)]
    cluster = _Cluster(vectors, rows, k, frame)
    lower, upper, limits = cluster.bounds(some)  # (s,), (s,), (s,)
    close = lower <= np.partition(upper, n - 1)[n - 1]
    rivals = some[close]
    means = cluster.means(rivals, limits[close])  # (r,)
    best = np.lexsort((rivals, means))[:n]
    with np.errstate(divide="ignore"):
        typicality = np.minimum(1 / means[best], float(np.finfo(np.float32).max))
    return rivals[best], typicality


def _most_central(
    sketch: NDArray[np.float32], some: NDArray[np.int64], count: int, k: int
) -> NDArray[np.int64]:
    """Return the positions in `some` of the `count` vectors nearest to a sample."""
    # The sample is evenly spaced. A vector is ranked by its mean distance to the `k` nearest
    # vectors of the sample.
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
    """Mean distances from vectors of a cluster to their `k` nearest vectors in the cluster."""

    def __init__(
        self,
        vectors: Vectors,
        rows: NDArray[np.int64],
        k: int,
        frame: Frame | None = None,
    ) -> None:
        self._vectors, self._rows, self._k = vectors, rows, k
        self._whole: FrameRows | None = None  # the vectors of a small cluster
        if frame is not None and rows.size <= BLOCK:
            whole = frame.rows(rows)
            if whole.norms.max() < frame.overflow:
                self._frame, self._norms, self._whole = frame, whole.norms, whole
                return
        self._frame, self._norms = safe_frame(vectors, rows)

    def bounds(
        self, some: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return lower and upper bounds of the mean distances of (s,) positions, and limits."""
        # A vector whose estimated squared distance exceeds the limit is not one of the k nearest.
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
