"""Centroids: the item nearest to the mean of each cluster."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .._threads import map_blocks
from ..index import check_metric, kmeans, mean_vector, nearest_to_mean, squared_distances
from ..index.vectors import Vectors, take_wide
from .algorithms.clusters import Members
from .pool import Pool
from .strategy import METRIC, DiverseStrategy, UniquePicks, strategies

__all__ = ["Centroid"]

CLUSTERS = 8
"""Clusters per task of a thread."""


@strategies.register("centroid")
class Centroid(DiverseStrategy):
    """One item per cluster: the item nearest to the mean of the cluster.

    For n picks, k-means on the index's sketch divides the unlabelled unique vectors into n
    clusters. Each pick is the item nearest to the mean of its cluster in all dimensions. Ties go to
    the lowest row. Larger clusters come first. Labelled items are not part of the clusters, so a
    pick may be close to a labelled item. For many small batches, ``typiclust`` is better.

    Parameters
    ----------
    metric
        ``"cosine"`` (rows scaled to unit length) or ``"euclidean"``.

    Notes
    -----
    Scores: share of the unlabelled items in the pick's cluster. Diagnostics: ``cluster_size`` (n,)
    int64, items in the cluster; ``distance`` (n,) float32 from the pick to the mean.

    Time: O(p·n·128) for k-means of p unique vectors, and O(p·d) for vectors of length d. Extra
    memory: at most 560 bytes per unique vector.

    References
    ----------
    Gupte, Aklilu, Nirschl, Yeung-Levy (2024), "Revisiting active learning in the era of vision
    foundation models", arXiv:2401.14555, for a first batch of centroids.
    """

    name: ClassVar[str] = "centroid"

    def __init__(self, *, metric: str = METRIC) -> None:
        self.metric = check_metric(metric)

    def choose_unique(self, pool: Pool, n: int, rng: np.random.Generator) -> UniquePicks:
        """Cluster the unlabelled vectors, and take the central vector of each cluster."""
        index, labelled = pool.index, pool.unique_labelled
        free = np.flatnonzero(~labelled)  # (f,)
        seed = int(rng.integers(1 << 31))
        if labelled.any():
            labels = kmeans(index.sketch[free], n, seed).labels  # (f,)
        else:
            labels = index.clusters(n, seed).labels
        middle, distance = _middles(pool.vectors, index.rows[free], Members.of(labels, n))
        sizes = np.bincount(labels, weights=index.sizes[free], minlength=n).astype(np.int64)  # (n,)
        order = np.lexsort((middle, -sizes))
        return UniquePicks(
            free[middle[order]],
            sizes[order] / sizes.sum(),
            {"cluster_size": sizes[order], "distance": distance[order].astype(np.float32)},
        )


def _middles(
    vectors: Vectors, rows: NDArray[np.int64], members: Members
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the position of the vector nearest to each cluster mean, and its distance."""
    k = members.counts.size
    middle, distance = np.empty(k, dtype=np.int64), np.empty(k)

    def work(part: slice) -> None:
        for cluster in range(part.start, part.stop):
            own = members[cluster]  # (m,)
            middle[cluster] = own[nearest_to_mean(vectors, rows[own])]
            nearest = take_wide(vectors, rows[middle[cluster, None]])  # (1, d)
            distance[cluster] = squared_distances(nearest, mean_vector(vectors, rows[own]))[0]

    map_blocks(work, k, CLUSTERS)
    return middle, np.sqrt(distance)
