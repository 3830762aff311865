"""DropQuery: items whose predicted class changes when features are dropped."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .._specs import check_count
from .._threads import map_blocks
from ..errors import UsageError
from ..index import check_metric
from ..index.vectors import block_rows, take_rows
from .algorithms.clusters import representatives
from .pool import Pool
from .strategy import METRIC, DiverseStrategy, UniquePicks, strategies

__all__ = ["DropQuery"]

BLOCK_BYTES = 4 << 20
"""Bytes of vectors per block; the masks depend on this number."""

LEVELS = 1 << 16
"""Number of values of a random 16-bit number."""

PER_WORD = 4
"""16-bit numbers per random 64-bit word."""


@strategies.register("dropquery")
class DropQuery(DiverseStrategy):
    """Items whose predicted class changes when features are dropped, one item per cluster.

    In each pass every feature is set to 0 with probability `dropout`, and the other features are
    divided by 1 − `dropout`. Items whose predicted class changes in more than half of the passes
    are candidates. If there are fewer candidates than picks, fewer changes suffice. For n picks,
    k-means on the index's sketch divides the candidates into n clusters. The item nearest to each
    centre is picked. Items with the most changes come first, then larger clusters, then lower rows.

    Parameters
    ----------
    passes
        Number of passes.
    dropout
        Share of dropped features, above 0 and below 1, in steps of 1/65,536.
    metric
        ``"cosine"`` (rows scaled to unit length) or ``"euclidean"``. Only the clusters depend on
        the metric.

    Notes
    -----
    The paper clusters in all dimensions and does not state the order of picks. The masks depend on
    the seed, the pass and the block of items, not on the number of threads. Several threads call
    the head at the same time.

    Scores: share of passes in which the class changed. Diagnostics: ``candidates``, the number of
    candidates; ``threshold``, the required number of changes; ``cluster_size`` (k,) int64 for k
    picked unique vectors, the number of candidates in the pick's cluster.

    Time: `passes` predictions per item, and k-means. Extra memory: 600 bytes per candidate, 20 per
    other item, and 24 MB per thread.

    References
    ----------
    Gupte, Aklilu, Nirschl, Yeung-Levy (2024), "Revisiting active learning in the era of vision
    foundation models", arXiv:2401.14555.
    """

    name: ClassVar[str] = "dropquery"
    needs_labels: ClassVar[bool] = True
    needs_head: ClassVar[bool] = True

    def __init__(self, *, passes: int = 3, dropout: float = 0.75, metric: str = METRIC) -> None:
        self.passes = check_count("passes", passes)
        self.dropout = _check_dropout(dropout)
        self.metric = check_metric(metric)

    def choose_unique(self, pool: Pool, n: int, rng: np.random.Generator) -> UniquePicks:
        """Count the changes of class, then take one candidate per cluster."""
        free = np.flatnonzero(~pool.unique_labelled)  # (f,)
        mask_seed, cluster_seed = (int(seed) for seed in rng.integers(1 << 31, size=2))
        changes = self._changes(pool, pool.index.rows[free], mask_seed)  # (f,)
        threshold = self.passes // 2 + 1
        while (changes >= threshold).sum() < n:
            threshold -= 1
        unstable = np.flatnonzero(changes >= threshold)  # (c,)
        found, sizes = representatives(pool.index.sketch[free[unstable]], n, cluster_seed)
        chosen = unstable[found]  # (n,)
        order = np.lexsort((chosen, -sizes, -changes[chosen]))
        return UniquePicks(
            free[chosen[order]],
            changes[chosen[order]] / self.passes,
            {
                "candidates": float(unstable.size),
                "threshold": float(threshold),
                "cluster_size": sizes[order],
            },
        )

    def _changes(self, pool: Pool, rows: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
        """Return the number of passes in which the class of each of `rows` changes: (f,)."""
        changes = np.zeros(rows.size, dtype=np.int64)
        size = block_rows(pool.embeddings.shape[1], BLOCK_BYTES)
        pool.probabilities(rows[:1])  # computed before the threads start
        assert pool.head is not None

        def work(part: slice) -> None:
            vectors = take_rows(pool.embeddings, rows[part])  # (b, d)
            whole = pool.probabilities(rows[part]).argmax(axis=1)  # (b,)
            scaled = vectors * np.float32(1 / (1 - self.dropout))  # (b, d)
            for number in range(self.passes):
                kept = self._kept(vectors.shape, [seed, number, part.start // size])
                dropped = pool.predict(scaled * kept)  # (b, C)
                changes[part] += dropped.argmax(axis=1) != whole

        map_blocks(work, rows.size, size)
        return changes

    def _kept(self, shape: tuple[int, ...], seed: list[int]) -> NDArray[np.bool_]:
        """Return the mask of features that are kept in a block: (b, d) bool."""
        b, d = shape
        width = -(-d // PER_WORD)
        words = np.random.SFC64(np.random.SeedSequence(seed)).random_raw(b * width)
        numbers = words.astype("<u8").view("<u2").reshape(b, width * PER_WORD)[:, :d]
        return np.asarray(numbers >= round(self.dropout * LEVELS))  # (b, d)


def _check_dropout(dropout: float) -> float:
    number = isinstance(dropout, (int, float)) and not isinstance(dropout, bool)
    if number and 1 / LEVELS <= dropout <= 1 - 1 / LEVELS:
        return dropout
    raise UsageError(f"dropout is {dropout!r}: give a number above 0 and below 1.")
