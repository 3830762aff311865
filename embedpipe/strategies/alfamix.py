"""ALFA-Mix: what the head changes its mind about when a little of another class is mixed in."""

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
"""How many bytes of vectors are mixed at once."""


@strategies.register("alfamix")
class AlfaMix(DiverseStrategy):
    """The items that change class when a little of another class is mixed in, well spread.

    The anchor of a class is the mean of its labelled vectors. An item x, whose most probable
    class is c, is a candidate if the most probable class of (1 − α)·x + α·anchor is not c for
    one of the anchors of the `anchors` most probable other classes and one of `shares` evenly
    spaced α from `epsilon` down, e.g. 0.2 and 0.1; the first class counts where several are the
    most probable. The candidates are divided into as many clusters as there are picks, by
    k-means on the index's sketch, and the one nearest to the centre of each is taken, those of
    larger clusters first, then the lowest rows. Where there are fewer candidates than picks, all
    are taken, and then the items with the least margin, ties by lowest row.

    Parameters
    ----------
    epsilon
        The largest share of an anchor, above 0 and at most 1.
    shares
        How many shares are tried. With a linear head the largest alone does as well as all.
    anchors
        How many other classes are tried for each item, the most probable first.
    metric
        ``"cosine"``: vectors are clustered at unit length, as most heads see them, and an anchor
        is the mean of vectors of unit length, mixed in at the length of the item;
        ``"euclidean"``: vectors and anchors are as they are.

    Raises
    ------
    UsageError
        If an option is out of range.
    SelectionError
        If the pool has no head to ask.

    Notes
    -----
    The paper chooses α in closed form from the gradient of the loss, one share per feature, with
    a length of at most ε; any head can be asked for its predictions, few give gradients, so here
    a few shares that are the same for all features are tried. It mixes in the anchors of all
    classes, clusters in all dimensions, and fills up at random. Several threads ask the head at
    once.

    `Selection.scores` holds the uncertainty of each pick, 1 − margin.

    Diagnostics: ``candidates``, how many items changed class; ``cluster_size`` (k,) int64,
    candidates in the cluster of each pick, 0 for picks that are no candidates.

    At most `shares`·`anchors` predictions of every item, and k-means of the candidates. Extra
    memory: 600 bytes per candidate, 40 per other item, 8·C·d bytes, and 24 MB and 20·C bytes for
    each item of a 4 MB block per thread.

    References
    ----------
    Parvaneh, Abbasnejad, Teney, Haffari, van den Hengel, Shi (2022), "Active learning by feature
    mixing", arXiv:2203.07034.

    Examples
    --------
    >>> from embedpipe.heads import LogisticHead
    >>> matrix = np.array([[8, 1], [1, 8], [9, 1], [5, 4], [1, 9]], dtype=np.float32)
    >>> head = LogisticHead(C=10.0).fit(matrix[[0, 1]], [0, 1])
    >>> pool = Pool(matrix, labelled=[0, 1], labels=[0, 1], head=head)
    >>> selection = AlfaMix().select(pool, 1, np.random.default_rng(0))
    >>> selection.rows.tolist(), selection.diagnostics["candidates"]
    ([3], 1.0)
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
        """Find the candidates, then take the middles of clusters, then fill up."""
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
        """Return which of `rows` change class in some mixture: (f,)."""
        anchors = _Anchors.of(pool, pool.probabilities(rows[:1]).shape[1])
        changed = np.zeros(rows.size, dtype=np.bool_)
        assert pool.head is not None  # made here, not in several threads

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
    """The mean labelled vector of each class that has one."""

    columns: NDArray[np.int64]  # (a,) the columns of these classes
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
        """Return the anchors of the likeliest classes but `own`: (b, r), -1 for none."""
        away = -probabilities[:, self.columns]  # (b, a)
        away[self.columns == own[:, None]] = np.inf
        order = np.argsort(away, axis=1, kind="stable")[:, :most]  # (b, r)
        there = np.take_along_axis(away, order, axis=1) < np.inf
        return np.where(there, order, -1)
