"""DropQuery: what the head changes its mind about when features are missing."""

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
"""How many bytes of vectors are predicted at once; part of what the masks follow from."""

LEVELS = 1 << 16
"""A feature is dropped when a number below this is below its share."""

PER_WORD = 4
"""How many such numbers a random word holds."""


@strategies.register("dropquery")
class DropQuery(DiverseStrategy):
    """The items that the head changes its mind about when features are missing, well spread.

    In each of a few passes every feature of every item is set to 0 with a probability of
    `dropout`, the others are divided by 1 − `dropout`, and the head is asked for the most
    probable class, the first of several. Items for which it differs from that of the whole
    vector in more than half the passes are candidates; where these are fewer than the picks, one
    pass less is enough, and so on. The candidates are divided into as many clusters as there are
    picks, by k-means on the index's sketch, and the one nearest to the centre of each is taken:
    those with the most changes first, then those of larger clusters, then the lowest rows.

    Parameters
    ----------
    passes
        How many times features are dropped.
    dropout
        The share of features to drop, to 1/65,536.
    metric
        Of the clusters: ``"cosine"``: distances are between vectors scaled to unit length, as most
        heads see them; ``"euclidean"``: between vectors as they are.

    Raises
    ------
    UsageError
        If an option is out of range.
    SelectionError
        If the pool has no head to ask.

    Notes
    -----
    In the paper the candidates are clustered in all dimensions, and the order of the picks is
    open. A head that scales its input to unit length does not notice the division.

    The masks of a block of items follow from the seed, the pass and the number of the block, not
    from the number of threads. Several threads ask the head at once.

    `Selection.scores` holds the share of passes in which the class of each pick changed.

    Diagnostics: ``candidates``, how many items were clustered; ``threshold``, how many changes
    made an item a candidate; ``cluster_size`` (k,) int64, candidates in the cluster of each pick.

    `passes` predictions of every item, and k-means of the candidates. Extra memory: 600 bytes
    per candidate, 20 per other item, and 24 MB per thread.

    References
    ----------
    Gupte, Aklilu, Nirschl, Yeung-Levy (2024), "Revisiting active learning in the era of vision
    foundation models", arXiv:2401.14555.

    Examples
    --------
    >>> from embedpipe.heads import LogisticHead
    >>> matrix = np.array([[9, 9, 9], [8, 9, 9], [-9, -9, -9], [6, -11, 6], [-8, -9, -9]])
    >>> head = LogisticHead(C=1.0).fit(matrix[[0, 2]], [1, 0])
    >>> pool = Pool(matrix, labelled=[0, 2], labels=[1, 0], head=head)
    >>> selection = DropQuery(passes=9, dropout=0.5).select(pool, 1, np.random.default_rng(0))
    >>> selection.rows.tolist(), selection.diagnostics["candidates"]
    ([3], 1.0)
    """

    name: ClassVar[str] = "dropquery"
    needs_labels: ClassVar[bool] = True
    needs_head: ClassVar[bool] = True

    def __init__(self, *, passes: int = 3, dropout: float = 0.75, metric: str = METRIC) -> None:
        self.passes = check_count("passes", passes)
        self.dropout = _check_dropout(dropout)
        self.metric = check_metric(metric)

    def choose_unique(self, pool: Pool, n: int, rng: np.random.Generator) -> UniquePicks:
        """Count changes, then take the middles of clusters."""
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
        """Return in how many passes the predicted class of each of `rows` differs: (f,)."""
        changes = np.zeros(rows.size, dtype=np.int64)
        size = block_rows(pool.embeddings.shape[1], BLOCK_BYTES)
        pool.probabilities(rows[:1])  # here, not in several threads at once
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
        """Return which features of a block are not dropped: (b, d)."""
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
