"""Core-set selection: greedy k-center."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from .._specs import check_block_size
from ..index import check_metric, nearest_to_mean
from .algorithms.k_center import spread
from .pool import Pool
from .strategy import METRIC, Diagnostic, Selection, Strategy, strategies

__all__ = ["CoreSet"]


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
