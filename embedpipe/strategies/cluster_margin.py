"""Cluster-Margin: uncertain items from many clusters, small clusters first."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .._specs import check_count
from ..errors import UsageError
from ..index import check_metric
from .algorithms.predictions import margin, uncertainty_of
from .pool import Pool
from .strategy import METRIC, DiverseStrategy, UniquePicks, strategies, top_k

__all__ = ["ClusterMargin"]

ORDERS = ("random", "margin")

PER_CLUSTER = 100
"""Default mean number of unique vectors per cluster."""

FEWEST, MOST = 20, 256
"""Minimum and maximum of the default number of clusters."""

SEED = 0
"""Seed of k-means, independent of the seed of the selection."""


@strategies.register("cluster_margin")
class ClusterMargin(DiverseStrategy):
    """Uncertain items, taken in turn from clusters so that small clusters are not neglected.

    k-means divides all unique vectors into clusters. For n picks, the `margin_factor`·n unlabelled
    vectors with the smallest margin are the candidates. Ties go to the lowest row. The clusters
    take turns, those with the fewest candidates first, and each turn takes one candidate.

    Parameters
    ----------
    margin_factor
        Candidates per pick.
    clusters
        Number of clusters. Default: one per 100 unique vectors, but at least 20 and at most 256.
    order
        Order of the candidates of a cluster: ``"random"``, as in the paper, or ``"margin"``.
    metric
        ``"cosine"`` (rows scaled to unit length) or ``"euclidean"``.

    Notes
    -----
    The paper uses average linkage, which needs the distances of all pairs. Here k-means on the
    index's sketch replaces it, and gives clusters of more even size. The clusters do not depend on
    the round or the seed.

    Scores: uncertainty, 1 − margin. Diagnostics, (k,) int64 for k picked unique vectors:
    ``cluster``, the cluster of each pick; ``kept``, the number of candidates of this cluster.

    Time: O(u·C) for u unlabelled items and C classes, and k-means once per index. Extra memory: 56
    bytes per unique vector, and 600 bytes during k-means.

    References
    ----------
    Citovsky, DeSalvo, Gentile, Karydas, Rajagopalan, Rostamizadeh, Kumar (2021), "Batch active
    learning at scale", arXiv:2107.14263.
    """

    name: ClassVar[str] = "cluster_margin"
    needs_labels: ClassVar[bool] = True

    def __init__(
        self,
        *,
        margin_factor: int = 10,
        clusters: int | None = None,
        order: str = "random",
        metric: str = METRIC,
    ) -> None:
        self.margin_factor = check_count("margin_factor", margin_factor)
        self.clusters = clusters if clusters is None else check_count("clusters", clusters)
        if order not in ORDERS:
            raise UsageError(f"order is {order!r}: give 'random' or 'margin'.")
        self.order = order
        self.metric = check_metric(metric)

    def choose_unique(self, pool: Pool, n: int, rng: np.random.Generator) -> UniquePicks:
        """Find the most uncertain vectors, then take them from the clusters in turn."""
        free = np.flatnonzero(~pool.unique_labelled)  # (f,)
        uncertainty = uncertainty_of(pool, margin, pool.index.rows[free])  # (f,)
        kept = top_k(uncertainty, min(free.size, self.margin_factor * n))  # (m,)
        if self.order == "random":
            kept = rng.permutation(np.sort(kept))
        labels = pool.index.clusters(self._number(pool), SEED).labels[free[kept]]  # (m,)
        sizes = np.bincount(labels)
        turns = _deal(labels, sizes)[:n]  # (n,)
        return UniquePicks(
            free[kept[turns]],
            uncertainty[kept[turns]],
            {"cluster": labels[turns].astype(np.int64), "kept": sizes[labels[turns]]},
        )

    def _number(self, pool: Pool) -> int:
        points = pool.index.rows.size
        wanted = self.clusters or int(np.clip(points // PER_CLUSTER, FEWEST, MOST))
        return min(wanted, points)


def _deal(labels: NDArray[np.int32], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the order of m candidates: in each turn each cluster gives one, smallest first."""
    order = np.argsort(labels, kind="stable")  # (m,)
    starts = sizes.cumsum() - sizes  # (k,)
    lap = np.empty(labels.size, dtype=np.int64)
    lap[order] = np.arange(labels.size) - starts[labels[order]]  # 0, 1, … within each cluster
    return np.lexsort((labels, sizes[labels], lap))
