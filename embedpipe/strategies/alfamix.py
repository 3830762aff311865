"""ALFA-Mix: items whose predicted class changes when their vector is mixed with class means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .._specs import check_count, check_share
from .._threads import map_blocks
from ..index import check_metric, mean_vector
from ..index.vectors import block_rows, lengths_of, take_rows
from .algorithms.clusters import representatives
from .algorithms.predictions import label_columns, margin, uncertainty_of
from .pool import Pool
from .strategy import METRIC, DiverseStrategy, UniquePicks, strategies, top_k

__all__ = ["AlfaMix"]

BLOCK_BYTES = 4 << 20
"""Bytes of vectors per block."""


@strategies.register("alfamix")
class AlfaMix(DiverseStrategy):
    """Items whose predicted class changes after mixing with another class, one item per cluster.

    The anchor of a class is the mean of its labelled vectors. An item x is a candidate if a mixture
    (1 − α)·x + α·anchor has another predicted class than x. The tried α are `shares` evenly spaced
    values up to `epsilon`; the tried anchors are those of the `anchors` most probable other
    classes.

    For n picks, k-means on the index's sketch divides the candidates into n clusters. Each pick is
    the candidate nearest to a cluster centre, larger clusters first. If there are fewer than n
    candidates, items with the smallest margin complete the batch.

    Parameters
    ----------
    epsilon
        The largest share of an anchor in a mixture, above 0 and at most 1.
    shares
        Number of values of α. With a linear head, one value is as good as several.
    anchors
        Number of other classes tried per item, the most probable first.
    metric
        ``"cosine"`` (rows scaled to unit length) or ``"euclidean"``.
        With ``"cosine"``, anchors are means of unit vectors, scaled to the length of the item.

    Notes
    -----
    The paper differs: it finds one α per feature in closed form from the gradient of the loss. It
    uses the anchors of all classes, clusters in all dimensions, and completes the batch at random.
    Several threads call the head at the same time.

    Scores: uncertainty, 1 − margin. Diagnostics: ``candidates``, the number of candidates;
    ``cluster_size`` (k,) int64 for k picked unique vectors, the number of candidates in the pick's
    cluster, 0 for picks by margin.

    Time: at most `shares`·`anchors` predictions per item, and k-means. Extra memory: 600 bytes per
    candidate, 40 per other item, 8·C·d bytes for C classes and vectors of length d, and 24 MB per
    thread.

    References
    ----------
    Parvaneh, Abbasnejad, Teney, Haffari, van den Hengel, Shi (2022), "Active learning by feature
    mixing", arXiv:2203.07034.
    """

    name: ClassVar[str] = "alfamix"
    needs_labels: ClassVar[bool] = True
    needs_head: ClassVar[bool] = True

    def __init__(
        self,
        *,
        epsilon: float = 0.2,
        shares: int = 2,
        anchors: int = 3,
        metric: str = METRIC,
    ) -> None:
        self.epsilon = check_share("epsilon", epsilon, zero=False)
        self.shares = check_count("shares", shares)
        self.anchors = check_count("anchors", anchors)
        self.metric = check_metric(metric)

    def choose_unique(self, pool: Pool, n: int, rng: np.random.Generator) -> UniquePicks:
        """Find the candidates, take one per cluster, then complete the batch by margin."""
        free = np.flatnonzero(~pool.unique_labelled)  # (f,)
        rows = pool.index.rows[free]  # (f,)
        uncertainty = uncertainty_of(pool, margin, rows)  # (f,)
        changed = self._changed(pool, rows)  # (f,)
        candidates = np.flatnonzero(changed)  # (c,)
        chosen, sizes = candidates, np.ones(candidates.size, dtype=np.int64)
        if candidates.size > n:
            seed = int(rng.integers(1 << 31))
            found, sizes = representatives(pool.index.sketch[free[candidates]], n, seed)
            chosen = candidates[found]
        order = np.lexsort((chosen, -sizes))
        chosen, sizes = chosen[order], sizes[order]
        if chosen.size < n:
            others = np.flatnonzero(~changed)
            more = others[top_k(uncertainty[others], n - chosen.size)]
            chosen = np.concatenate([chosen, more])  # (n,)
            sizes = np.concatenate([sizes, np.zeros(more.size, dtype=np.int64)])
        return UniquePicks(
            free[chosen],
            uncertainty[chosen],
            {"candidates": float(candidates.size), "cluster_size": sizes},
        )

    def _changed(self, pool: Pool, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return an (f,) mask of the `rows` whose predicted class changes in a mixture."""
        anchors = _Anchors.of(pool, pool.probabilities(rows[:1]).shape[1])
        changed = np.zeros(rows.size, dtype=np.bool_)
        assert pool.head is not None  # created before the threads start

        def work(part: slice) -> None:
            vectors = take_rows(pool.embeddings, rows[part])  # (b, d)
            lengths = lengths_of(pool.vectors, rows[part])  # (b,)
            probabilities = pool.probabilities(rows[part])  # (b, C)
            own = probabilities.argmax(axis=1)  # (b,)
            rivals = anchors.rivals(probabilities, own, self.anchors)  # (b, r)
            for step in range(self.shares, 0, -1):
                share = np.float32(self.epsilon * step / self.shares)
                less, added = vectors * (1 - share), anchors.vectors * share  # (b, d), (a, d)
                for rival in rivals.T:
                    left = np.flatnonzero((rival >= 0) & ~changed[part])  # (l,)
                    if left.size:
                        mixed = less[left]  # (l, d)
                        mixed += added[rival[left]] * lengths[left, None]
                        found = pool.predict(mixed).argmax(axis=1)  # (l,)
                        changed[part.start + left] = found != own[left]

        map_blocks(work, rows.size, block_rows(pool.embeddings.shape[1], BLOCK_BYTES))
        return changed


@dataclass(frozen=True)
class _Anchors:
    """The mean labelled vector of each class with labels."""

    columns: NDArray[np.int64]  # (a,) columns of the classes in the predictions
    vectors: NDArray[np.float32]  # (a, d)

    @classmethod
    def of(cls, pool: Pool, n_columns: int) -> _Anchors:
        labels = label_columns(pool, n_columns)  # (m,)
        columns = np.unique(labels[labels >= 0])  # (a,)
        means = [
            mean_vector(pool.vectors, np.sort(pool.labelled[labels == column]))
            for column in columns
        ]
        vectors = np.array(means, dtype=np.float32).reshape(-1, pool.embeddings.shape[1])
        return cls(columns, vectors)

    def rivals(
        self, probabilities: NDArray[np.float32], own: NDArray[np.int64], most: int
    ) -> NDArray[np.int64]:
        """Return the (b, r) anchors of the most probable classes except `own`; -1 is padding."""
        away = -probabilities[:, self.columns]  # (b, a)
        away[self.columns == own[:, None]] = np.inf
        order = np.argsort(away, axis=1, kind="stable")[:, :most]  # (b, r)
        valid = np.take_along_axis(away, order, axis=1) < np.inf
        return np.where(valid, order, -1)
