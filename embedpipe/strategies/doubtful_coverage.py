"""Kernel coverage of the items that the head is uncertain about."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .._specs import check_above, check_share
from ..index import check_metric
from .algorithms.coverage import References, cover_greedily, nearest_of, spread_of
from .algorithms.predictions import margin, uncertainty_of
from .pool import Pool
from .strategy import METRIC, DiverseStrategy, UniquePicks, strategies

__all__ = ["DoubtfulCoverage"]

NARROWEST = 1e-3
"""Minimum kernel width, before multiplication by `width`, as a share of the spread."""


@strategies.register("doubtful_coverage")
class DoubtfulCoverage(DiverseStrategy):
    """Items similar to many uncertain items that are not close to a labelled item.

    An item is covered by exp(−(d/w)²), where d is the distance to the nearest labelled or picked
    item. Each pick maximises the weighted mean coverage of the unlabelled items. Ties go to the
    lowest row.

    The weight of an item is `floor` + q^`sharpness`. q is the share of items with a smaller
    uncertainty, and 1 without predictions. The uncertainty is 1 − (p₁ − p₂), with p₁ and p₂ the two
    largest probabilities.

    The kernel width w is `width` times the median distance of items to the nearest labelled item,
    so w shrinks as labels are added. Without labels w is `width` times the spread, which is the
    root mean square distance of all items to their mean.

    With a target, its items are covered as in ``max_herding``: d² − a² replaces d², in the width
    too. Their weight depends on the uncertainty of the head about them.

    Parameters
    ----------
    width
        Factor of the kernel width.
    floor
        Weight of the item with the smallest uncertainty, at least 0 and below 1. Heads predict some
        of the certain items wrongly.
    sharpness
        Exponent of q.
    doubt
        Whether to use predictions. False: all items have the same weight.
    metric
        ``"cosine"`` (rows scaled to unit length) or ``"euclidean"``.

    Notes
    -----
    The objective is that of ``uncertainty_herding`` with other weights and another width. In the
    paper, the weight is the uncertainty. A rank does not depend on the calibration of the head. In
    the paper, the width is the smallest distance between two labelled items. This width soon
    becomes so small that a labelled item covers only itself.

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
    uses_target: ClassVar[bool] = True

    def __init__(
        self,
        *,
        width: float = 0.75,
        floor: float = 0.1,
        sharpness: float = 2.0,
        doubt: bool = True,
        metric: str = METRIC,
    ) -> None:
        self.width = check_above("width", width)
        self.floor = check_share("floor", floor, zero=True)
        self.sharpness = check_above("sharpness", sharpness)
        self.doubt = doubt
        self.metric = check_metric(metric)

    def choose_unique(self, pool: Pool, n: int, rng: np.random.Generator) -> UniquePicks:
        """Maximise the weighted mean coverage greedily."""
        references = References.of(pool)
        width = self._width(pool, references, np.flatnonzero(pool.unique_labelled))
        weights = np.ones(references.items.size)  # (r,)
        if self._has_doubt(pool):
            doubt = references.uncertainty(pool, margin)
            smaller = np.sort(doubt).searchsorted(doubt) / doubt.size  # (r,)
            weights = self.floor + smaller**self.sharpness
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
        if not self._has_doubt(pool):
            return np.ones(points.size)
        return uncertainty_of(pool, margin, pool.index.rows[points])

    def _has_doubt(self, pool: Pool) -> bool:
        return self.doubt and pool.has_labels and pool.has_predictions

    def _width(self, pool: Pool, references: References, labelled: NDArray[np.int64]) -> float:
        """Return the kernel width."""
        sketch = pool.index.sketch
        spread = spread_of(sketch)
        typical = spread
        if labelled.size:
            squared = nearest_of(references.sketch, sketch[labelled], 1)[1][:, 0]  # (r,)
            nearest = np.sqrt(np.maximum(squared - references.apart, 0))
            typical = min(max(float(np.median(nearest)), NARROWEST * spread), spread)
        return self.width * typical
