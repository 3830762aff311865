"""Core-set selection: greedy k-center."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .._specs import check_block_size, check_share
from ..index import Farthest, FarthestFirst, check_metric, nearest_to_mean
from ..index.vectors import Vectors
from .pool import Pool
from .strategy import (
    METRIC,
    Diagnostic,
    DiverseStrategy,
    Selection,
    Strategy,
    UniquePicks,
    strategies,
    top_k,
)

__all__ = ["CoreSet", "RobustCoreSet", "pick_while_positive", "spread"]


@strategies.register("coreset")
class CoreSet(Strategy):
    """The items that leave none far from a labelled one: greedy k-center.

    Each pick is the unlabelled item farthest from everything labelled or picked before, ties
    going to the lowest row. With nothing labelled the first pick is the item nearest to the mean
    of the unlabelled ones, so that the choice does not hang on an outlier or on the seed. When
    only duplicates of what is covered are left, the lowest rows fill the batch.

    The picks are those of the plain algorithm in float64, with any block size and any number of
    threads.

    Parameters
    ----------
    metric
        ``"cosine"``: distances are between vectors scaled to unit length, as most heads see them;
        ``"euclidean"``: between vectors as they are.
    block_size
        How many items are worked on at once. It changes speed and memory, never the picks.

    Notes
    -----
    `Selection.scores` holds the distance of each pick to the nearest labelled or earlier picked
    item. The first pick from nothing has no such distance and gets its radius instead, the
    distance from it to the farthest item.

    Distances are in the unit of the metric: √(2 − 2·cos), from 0 to 2, or that of the embeddings.

    Diagnostics: ``radius`` (n,) float32, after each pick the largest distance from an unlabelled
    item to the nearest labelled or picked one; ``lower_bound``, half the last radius: no n picks
    can reach a smaller radius than that.

    A fraction of O(u·d) time per pick; extra memory at most 96 bytes per unlabelled item, 24
    per labelled one, up to 14,336 vectors and 80 MB to work in (with the default block size),
    and up to 64 MB of vectors of labelled and picked items.

    References
    ----------
    Sener, Savarese (2018), "Active learning for convolutional neural networks: a core-set
    approach", arXiv:1708.00489. Gonzalez (1985), "Clustering to minimize the maximum
    intercluster distance".

    Examples
    --------
    >>> import numpy as np
    >>> pool = Pool(np.array([[0], [1], [9], [5]], dtype=np.float32), labelled=[0])
    >>> selection = CoreSet(metric="euclidean").select(pool, 2, np.random.default_rng(0))
    >>> selection.rows.tolist(), selection.scores.tolist()
    ([2, 3], [9.0, 4.0])
    >>> selection.diagnostics["radius"].tolist(), selection.diagnostics["lower_bound"]
    ([4.0, 1.0], 0.5)
    """

    name: ClassVar[str] = "coreset"
    needs_labels: ClassVar[bool] = False
    distinct: ClassVar[bool] = True

    def __init__(self, *, metric: str = METRIC, block_size: int | None = None) -> None:
        self.metric = check_metric(metric)
        self.block_size = check_block_size(block_size)

    def choose(self, pool: Pool, n: int, rng: np.random.Generator) -> Selection:
        """Pick the farthest item, `n` times over."""
        items = pool.unlabelled  # (u,)
        if pool.labelled.size:
            at, reach = spread(pool.vectors, items, pool.labelled, n, self.block_size)
            chosen, scores = items[at], reach[:n]
        else:
            first = [nearest_to_mean(pool.vectors, items)]
            rest = np.delete(items, first)  # (u - 1,)
            at, reach = spread(pool.vectors, rest, items[first], n - 1, self.block_size)
            chosen = np.concatenate([items[first], rest[at]])  # (n,)
            scores = np.concatenate([reach[:1], reach[: n - 1]])  # (n,)
        radius = reach[-n:]  # (n,)
        diagnostics: dict[str, Diagnostic] = {
            "radius": radius.astype(np.float32),
            "lower_bound": float(radius[-1]) / 2,
        }
        return Selection(chosen, scores.astype(np.float32), diagnostics)


NEIGHBOURS = 10
"""How lonely a point is follows from its distances to so many neighbours."""


@strategies.register("coreset_robust")
class RobustCoreSet(DiverseStrategy):
    """The items that leave none far from a labelled one, but for a share of outliers.

    The unlabelled points with the largest mean distance to their 10 nearest neighbours are
    outliers, as many as `outliers` says, rounded down. Greedy k-center then covers the others:
    each pick is the one farthest from everything labelled or picked before, ties going to the
    lowest row. With nothing labelled the first pick is the one nearest to their mean. Outliers
    are taken, farthest first as well, only when nothing else is left.

    Parameters
    ----------
    outliers
        The share of the unlabelled points that need not be covered, at least 0 and below 1. With
        the 1 in 10,000 of the paper, and with 1 in 100, classifiers trained on first batches of
        20 to 200 pictures were no better than with ``coreset``; with 1 in 10 they were, by 5 and
        by 1 points of accuracy on two collections.
    metric
        ``"cosine"``: distances are between vectors scaled to unit length, as most heads see them;
        ``"euclidean"``: between vectors as they are.
    block_size
        How many items are worked on at once. It changes speed and memory, never the picks.

    Raises
    ------
    UsageError
        If an option is out of range.

    Notes
    -----
    The paper minimises the radius over every choice of what to leave out, by a mixed integer
    program started from greedy k-center. Here what is left out is settled beforehand by how
    lonely points are, and the greedy solution, at most twice the best for the others, is taken.

    `Selection.scores` holds the distance of each pick to the nearest labelled or earlier picked
    item. The first pick from nothing has no such distance and gets its radius instead.

    Diagnostics: ``radius`` (n,) float32, after each pick the largest distance from an unlabelled
    point that is no outlier to the nearest labelled or picked one; ``lower_bound``, half the last
    radius: no n picks can cover these points with a smaller one; ``radius_of_all``, the last
    radius with the outliers counted; ``outliers``, how many there are.

    Time and memory are those of ``coreset``, once the index has its neighbours, and 24 bytes more
    per point.

    References
    ----------
    Sener, Savarese (2018), "Active learning for convolutional neural networks: a core-set
    approach", arXiv:1708.00489. Gonzalez (1985), "Clustering to minimize the maximum
    intercluster distance".

    Examples
    --------
    >>> pool = Pool(np.array([[0], [1], [2], [3], [90]], dtype=np.float32), labelled=[0])
    >>> chooser = RobustCoreSet(outliers=0.25, metric="euclidean")
    >>> selection = chooser.select(pool, 1, np.random.default_rng(0))
    >>> selection.rows.tolist(), selection.diagnostics["radius"].tolist()
    ([3], [1.0])
    >>> selection.diagnostics["radius_of_all"], selection.diagnostics["outliers"]
    (87.0, 1.0)
    """

    name: ClassVar[str] = "coreset_robust"

    def __init__(
        self, *, outliers: float = 0.1, metric: str = METRIC, block_size: int | None = None
    ) -> None:
        self.outliers = check_share("outliers", outliers, zero=True)
        self.metric = check_metric(metric)
        self.block_size = check_block_size(block_size)

    def choose_unique(self, pool: Pool, n: int, rng: np.random.Generator) -> UniquePicks:
        """Cover what is no outlier, then the outliers."""
        matrix, rows = pool.vectors, pool.index.rows
        free = np.flatnonzero(~pool.unique_labelled)  # (f,)
        lonely = self._lonely(pool, free)
        inner = np.setdiff1d(free, lonely, assume_unique=True)
        centres, first = pool.labelled, np.empty(0, dtype=np.int64)
        if not centres.size:
            first = inner[[nearest_to_mean(matrix, rows[inner])]]
            inner, centres = np.setdiff1d(inner, first, assume_unique=True), rows[first]
        count = min(n - first.size, inner.size)
        at, reach = spread(matrix, rows[inner], centres, count, self.block_size)
        covering = np.concatenate([first, inner[at]])
        centres = np.union1d(pool.labelled, rows[covering])
        count = n - covering.size
        at, far = spread(matrix, rows[lonely], centres, count, self.block_size)
        radius = np.concatenate([reach[1 - first.size :], np.zeros(count)])  # (n,)
        return UniquePicks(
            np.concatenate([covering, lonely[at]]),  # (n,)
            np.concatenate([reach[: first.size], reach[:-1], far[:-1]]),  # (n,)
            {
                "radius": radius.astype(np.float32),
                "lower_bound": float(radius[-1]) / 2,
                "radius_of_all": max(float(radius[-1]), float(far[-1])),
                "outliers": float(lonely.size),
            },
        )

    def _lonely(self, pool: Pool, free: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the unlabelled points that count as outliers, ascending."""
        count = int(self.outliers * free.size + 1e-9)
        if not count:
            return np.empty(0, dtype=np.int64)
        distances = pool.index.neighbours(NEIGHBOURS).distances  # (p, k)
        means = distances.mean(axis=1, dtype=np.float64)[free]  # (f,)
        return np.sort(free[top_k(means, count)])


def pick_while_positive(search: FarthestFirst, left: NDArray[np.bool_], n: int) -> list[Farthest]:
    """Pick up to `n` items until none is left or the best is worth 0; `left` (u,) is updated."""
    picks: list[Farthest] = []
    remaining = int(left.sum())
    while len(picks) < min(n, remaining + len(picks)):
        best = search.farthest()
        if best.key <= 0:
            break
        search.add(best.position)
        left[best.position] = False
        remaining -= 1
        picks.append(best)
    return picks


def spread(
    vectors: Vectors,
    items: NDArray[np.int64],
    centres: NDArray[np.int64],
    n: int,
    block_size: int | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Choose `n` of (u,) `items`, each the farthest from (c,) `centres` and those chosen before.

    Returns their (n,) positions, and the (n + 1,) largest distances from an item to the nearest
    centre or pick, before the first pick and after each. Copies of centres and picks come last.
    """
    reach = np.zeros(n + 1)
    left = np.ones(items.size, dtype=np.bool_)
    chosen: list[int] = []
    if items.size:
        search = FarthestFirst(vectors, items, centres, block_size=block_size)
        picks = pick_while_positive(search, left, n)
        chosen = [pick.position for pick in picks]
        reach[: len(picks)] = [math.sqrt(pick.squared_distance) for pick in picks]
        if len(picks) == n and left.any():
            reach[n] = math.sqrt(search.farthest().squared_distance)
    covered = np.flatnonzero(left)[: n - len(chosen)]
    return np.concatenate([np.array(chosen, dtype=np.int64), covered]), reach
