"""Kernel coverage of the items that the head is uncertain about."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .._specs import check_above, check_share
from .._threads import map_blocks
from ..index import check_metric
from .algorithms.coverage import References, cover_greedily, spread_of
from .algorithms.predictions import margin, uncertainty_of
from .pool import Pool
from .strategy import METRIC, DiverseStrategy, UniquePicks, strategies

__all__ = ["DoubtfulCoverage"]

NARROWEST = 1e-3
"""Minimum kernel width, before multiplication by `width`, as a share of the spread."""

BLOCK = 256
"""References per block."""


@strategies.register("doubtful_coverage")
class DoubtfulCoverage(DiverseStrategy):
    """Items similar to many uncertain items that are not close to a labelled item.

    An item is covered by exp(−(d/w)²), where d is the distance to the nearest labelled or picked
    item. Each pick maximises the mean coverage of the unlabelled items, weighted by `floor` plus
    uncertainty. The uncertainty is 1 − (p₁ − p₂), with p₁ and p₂ the two largest probabilities.
    Ties go to the lowest row.

    The kernel width w is `width` times the median distance of items to the nearest labelled item,
    so w shrinks as labels are added. Without labels w is `width` times the spread, which is the
    root mean square distance of all items to their mean. Then all items have the same weight.

    Parameters
    ----------
    width
        Factor of the kernel width.
    floor
        Weight of an item without uncertainty, at least 0 and below 1. Heads predict some of these
        items wrongly.
    doubt
        Whether to use predictions. False: all items have the same weight.
    metric
        ``"cosine"`` (rows scaled to unit length) or ``"euclidean"``.

    Notes
    -----
    The objective is that of ``uncertainty_herding`` with two changes: the floor and the median
    distance. In the paper, the width is the smallest distance between two labelled items. This
    width soon becomes so small that a labelled item covers only itself.

    Distances, gains and references: see ``max_herding``. Before multiplication by `width`, the
    kernel width is limited to between 0.1 % and 100 % of the spread. Time and memory: as for
    ``uncertainty_herding``.

    Scores: increase of the weighted mean. Diagnostics: ``coverage`` (n,) float32, the weighted mean
    after each pick; ``doubt`` (n,) float32, the uncertainty of each pick, 1 without predictions;
    ``width``, the kernel width.

    References
    ----------
    Bae, Oliveira, Sutherland (2024), "Uncertainty herding: one active learning method for all
    label budgets", arXiv:2412.20644.
    """

    name: ClassVar[str] = "doubtful_coverage"

    def __init__(
        self,
        *,
        width: float = 0.75,
        floor: float = 0.25,
        doubt: bool = True,
        metric: str = METRIC,
    ) -> None:
        self.width = check_above("width", width)
        self.floor = check_share("floor", floor, zero=True)
        self.doubt = doubt
        self.metric = check_metric(metric)

    def choose_unique(self, pool: Pool, n: int, rng: np.random.Generator) -> UniquePicks:
        """Maximise the weighted mean coverage greedily."""
        references = References.of(pool)
        labelled = np.flatnonzero(pool.unique_labelled)
        width = self._width(pool.index.sketch, references.points, labelled)
        weights = self.floor + self._doubt(pool, references.points)  # (r,)
        found, coverage = cover_greedily(pool, references, weights, width, n)
        return UniquePicks(
            found.points,
            found.gains,
            {
                "coverage": coverage,
                "doubt": self._doubt(pool, found.points).astype(np.float32),
                "width": width,
            },
        )

    def _doubt(self, pool: Pool, points: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the (k,) uncertainties of k unique vectors; all are 1 without predictions."""
        if not (self.doubt and pool.has_labels and pool.has_predictions):
            return np.ones(points.size)
        return uncertainty_of(pool, margin, pool.index.rows[points])

    def _width(
        self,
        sketch: NDArray[np.float32],
        references: NDArray[np.int64],
        labelled: NDArray[np.int64],
    ) -> float:
        spread = spread_of(sketch)
        typical = spread
        if labelled.size:
            nearest = _nearest_distances(sketch[references], sketch[labelled])  # (r,)
            typical = min(max(float(np.median(nearest)), NARROWEST * spread), spread)
        return self.width * typical


def _nearest_distances(
    vectors: NDArray[np.float32], others: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return the distance of each of (r, m) vectors to the nearest of (c, m) `others`: (r,)."""
    norms = np.square(others).sum(axis=1)  # (c,)
    squared = np.empty(len(vectors))

    def work(part: slice) -> None:
        own = vectors[part]  # (b, m)
        gaps = norms - 2 * own @ others.T  # (b, c)
        squared[part] = gaps.min(axis=1) + np.square(own).sum(axis=1)

    map_blocks(work, len(vectors), BLOCK)
    return np.sqrt(np.maximum(squared, 0))
