"""CORAL: core-set selection weighted by uncertainty."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from .._specs import check_block_size
from ..index import check_metric
from ..index.farthest_on_workers import farthest_first
from .algorithms.predictions import UNCERTAINTIES, check_uncertainty, uncertainty_of
from .coreset import pick_while_positive
from .pool import Pool
from .strategy import METRIC, Selection, Strategy, strategies, top_k

__all__ = ["Coral"]


@strategies.register("coral")
class Coral(Strategy):
    """Items that are both uncertain and far from every labelled item.

    Each pick is the item with the largest uncertainty · distance, where the distance is measured to
    the nearest labelled or picked item. When all products are 0, picks use the distance alone, as
    in ``coreset``. When all distances are 0, picks use the uncertainty alone. Ties go to the lowest
    row.

    Parameters
    ----------
    uncertainty
        ``"margin"``, ``"least_confidence"`` or ``"entropy"``.
    metric
        ``"cosine"`` (rows scaled to unit length) or ``"euclidean"``.
    block_size
        Items per block. The block size changes speed and memory, never the picks.

    Notes
    -----
    The maximum is exact in float64.

    Scores: the product of each pick when it was chosen. Diagnostics: ``uncertainty`` and
    ``distance``, the two factors of the product, both (n,) float32.

    Time: a fraction of O(u·d) per pick, for u unlabelled items and vectors of length d. Extra
    memory besides the predictions: at most 120 bytes per unlabelled item, 24 per labelled item,
    14,336 vectors and 144 MB.

    References
    ----------
    Sener, Savarese (2018), "Active learning for convolutional neural networks: a core-set
    approach", arXiv:1708.00489, for the distance. The product with a score is the CORAL method
    of the Lightly platform.
    """

    name: ClassVar[str] = "coral"
    needs_labels: ClassVar[bool] = True
    distinct: ClassVar[bool] = True

    def __init__(
        self,
        *,
        uncertainty: str = "margin",
        metric: str = METRIC,
        block_size: int | None = None,
    ) -> None:
        self.uncertainty = check_uncertainty(uncertainty)
        self.metric = check_metric(metric)
        self.block_size = check_block_size(block_size)

    def choose(self, pool: Pool, n: int, rng: np.random.Generator) -> Selection:
        """Pick by the largest product, then the largest distance, then the largest uncertainty."""
        items = pool.unlabelled  # (u,)
        scores = uncertainty_of(pool, UNCERTAINTIES[self.uncertainty])  # (u,)
        search = farthest_first(
            pool.vectors, items, pool.labelled, weights=scores, block_size=self.block_size
        )
        left = np.ones(items.size, dtype=np.bool_)
        picks = pick_while_positive(search, left, n)
        search.reweigh(None)
        picks += pick_while_positive(search, left, n - len(picks))
        at = np.array([pick.position for pick in picks], dtype=np.int64)
        distances = np.zeros(n)
        distances[: len(picks)] = [math.sqrt(pick.squared_distance) for pick in picks]
        if at.size < n:
            covered = np.flatnonzero(left)
            at = np.concatenate([at, covered[top_k(scores[covered], n - at.size)]])  # (n,)
        return Selection(
            items[at],
            (scores[at] * distances).astype(np.float32),
            {
                "uncertainty": scores[at].astype(np.float32),
                "distance": distances.astype(np.float32),
            },
        )
