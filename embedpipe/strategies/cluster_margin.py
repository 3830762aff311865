"""Cluster-Margin: uncertain items from many clusters, small ones first."""

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
"""How many points a cluster has on average, unless their number is given."""

FEWEST, MOST = 20, 256
"""The fewest and the most clusters, unless their number is given."""

SEED = 0
"""The clusters are the same in every round, whatever the seed of the selection."""


@strategies.register("cluster_margin")
class ClusterMargin(DiverseStrategy):
    """The most uncertain items, dealt out over clusters so that small ones get their share.

    All points are divided into clusters once, without looking at labels. Of the unlabelled ones
    the `margin_factor`·n with the least margin between their two most probable classes are kept
    (ties by lowest row). Their clusters, those with the fewest kept points first, then the one of
    the lowest number, are gone through over and over, and one kept point is taken from each that
    has any left. Clusters that crowd along the boundary are so cut short.

    Parameters
    ----------
    margin_factor
        How many points are kept for each pick.
    clusters
        How many clusters. Default: one for every 100 points, but 20 at least and 256 at most.
    order
        ``"random"``: a cluster gives its kept points in random order, as in the paper;
        ``"margin"``: the least margin first, so that the seed changes nothing.
    metric
        ``"cosine"``: distances are between vectors scaled to unit length, as most heads see them;
        ``"euclidean"``: between vectors as they are.

    Raises
    ------
    UsageError
        If a number is not whole and at least 1, or there is no such order or metric.

    Notes
    -----
    The paper clusters by average linkage, whose n x n distances are out of reach of a large
    pool; here it is k-means on the index's sketch, whose clusters are more even in size. Like
    the paper's, they do not change from round to round.

    `Selection.scores` holds the uncertainty of each pick, 1 − margin.

    Diagnostics: ``cluster`` (k,) int64, the cluster of each pick; ``kept`` (k,) int64, how many
    kept points its cluster has.

    O(u·C) time beside k-means, which is done once for an index that remembers. Extra memory: 56
    bytes per point, and 600 while k-means is done.

    References
    ----------
    Citovsky, DeSalvo, Gentile, Karydas, Rajagopalan, Rostamizadeh, Kumar (2021), "Batch active
    learning at scale", arXiv:2107.14263.

    Examples
    --------
    >>> predictions = np.array([[1, 0], [0.5, 0.5], [0.55, 0.45], [0.6, 0.4], [0.7, 0.3]])
    >>> pool = Pool(
    ...     np.array([[50], [0], [1], [2], [51]], dtype=np.float32),
    ...     labelled=[0], labels=[0], probabilities=lambda rows: predictions[rows],
    ... )
    >>> strategy = ClusterMargin(
    ...     margin_factor=2, clusters=2, order="margin", metric="euclidean"
    ... )
    >>> strategy.select(pool, 2, np.random.default_rng(0)).rows.tolist()
    [4, 1]
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
        """Keep the most uncertain points, then deal them out."""
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
    """Return the order of (m,) things taken from each cluster in turn, the smallest first."""
    order = np.argsort(labels, kind="stable")  # (m,)
    starts = sizes.cumsum() - sizes  # (k,)
    lap = np.empty(labels.size, dtype=np.int64)
    lap[order] = np.arange(labels.size) - starts[labels[order]]  # 0, 1, … within each cluster
    return np.lexsort((labels, sizes[labels], lap))
