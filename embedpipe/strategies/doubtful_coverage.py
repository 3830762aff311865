"""Coverage of what the head doubts."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .._specs import check_above, check_share
from .._threads import map_blocks
from ..index import check_metric
from .algorithms.coverage import KernelCoverage, References, spread_of
from .algorithms.lazy_greedy import lazy_greedy
from .algorithms.predictions import margin, uncertainty_of
from .pool import Pool
from .strategy import METRIC, DiverseStrategy, UniquePicks, strategies

__all__ = ["DoubtfulCoverage"]

NARROWEST = 1e-3
"""The kernel is at least so wide, as a share of the spread of all items."""

BLOCK = 256
"""How many references are compared with the labelled points at once."""


@strategies.register("doubtful_coverage")
class DoubtfulCoverage(DiverseStrategy):
    """Items that stand for many others that the head doubts and that no label is near to.

    Each item is covered by the most similar labelled or picked item, by exp(−(d/w)²) at distance
    d. Its doubt is 1 − (p₁ − p₂), with p₁ and p₂ the two largest
    probabilities. Each pick raises the most the mean coverage of unlabelled items, each counting
    by its doubt plus `floor`. Ties go to the lowest row.

    The kernel width w is `width` times the median distance of items to the nearest labelled one;
    so it is wide while labels are few, and narrows as they come. Before there are labels it is
    `width` times the spread of all items, and all items count the same: the picks are typical
    of the whole pool.

    Parameters
    ----------
    width
        By what the median distance is multiplied.
    floor
        How much an item counts that the head is sure of, from 0 to 1: heads are wrong about some.
    doubt
        False: the head is not asked, and all items count the same.
    metric
        ``"cosine"``: distances are between vectors scaled to unit length, as most heads see them;
        ``"euclidean"``: between vectors as they are.

    Raises
    ------
    UsageError
        If `width` is not a number above 0, or `floor` not one from 0 to 1; or if there is
        no such metric.

    Notes
    -----
    The objective is that of ``uncertainty_herding``. Two things differ: the floor, and the median
    distance. Its authors take the smallest distance between two labelled points, which soon is so
    small that a label covers nothing but itself.

    Distances are those in the index's sketch of at most 128 dimensions. Coverage is judged by at
    most 2,048 evenly spaced items. Where no item is in doubt all count the same. Gains that agree
    to 12 decimals are equal. Labelled rows outside the candidates do not count. The width is
    never below a thousandth of the spread, nor above it, times `width`.

    `Selection.scores` holds by how much each pick raised the weighted mean.

    Diagnostics: ``coverage`` (n,) float32, the weighted mean after each pick; ``doubt`` (n,)
    float32, that of each pick, 1 where the head was not asked; ``width``, that of the kernel.

    O(p·2048·128) time to start, with p points, and up to a tenth of that per pick. Extra memory
    beside the pool's predictions: 40 bytes per point, and at most 20 MB a thread.

    References
    ----------
    Bae, Oliveira, Sutherland (2024), "Uncertainty herding: one active learning method for all
    label budgets", arXiv:2412.20644.

    Examples
    --------
    >>> angles = np.array([0.0, 0.1, 0.8, 1.4, 1.5])
    >>> matrix = np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)
    >>> sure = np.array([1, 0.9, 0.5, 0.9, 1])
    >>> predictions = np.column_stack([sure, 1 - sure])
    >>> pool = Pool(matrix, labelled=[0, 4], labels=["hat", "shoe"],
    ...             probabilities=lambda rows: predictions[rows])
    >>> selection = DoubtfulCoverage().select(pool, 1, np.random.default_rng(0))
    >>> selection.rows.tolist(), selection.diagnostics["doubt"].tolist()
    ([2], [1.0])
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
        index, labelled = pool.index, pool.unique_labelled
        sketch = index.sketch  # (p, m)
        taken, references = np.flatnonzero(labelled), References.of(index, ~labelled)
        width = self._width(sketch, references.points, taken)
        weights = references.items * (self.floor + self._doubt(pool, references.points))  # (r,)
        coverage = KernelCoverage(
            sketch,
            width,
            references.points,
            weights if weights.any() else references.items,
            taken,
        )
        start = coverage.value
        found = lazy_greedy(coverage, np.flatnonzero(~labelled), n)
        return UniquePicks(
            found.points,
            found.gains,
            {
                "coverage": (start + found.gains.cumsum()).astype(np.float32),
                "doubt": self._doubt(pool, found.points).astype(np.float32),
                "width": width,
            },
        )

    def _doubt(self, pool: Pool, points: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return how much the head doubts each of (k,) points: (k,), 1 where it is not asked."""
        if not (self.doubt and pool.has_labels and pool.has_predictions):
            return np.ones(points.size)
        return uncertainty_of(pool, margin, pool.index.rows[points])

    def _width(
        self,
        sketch: NDArray[np.float32],
        references: NDArray[np.int64],
        taken: NDArray[np.int64],
    ) -> float:
        spread = spread_of(sketch)
        typical = spread
        if taken.size:
            nearest = _nearest_distances(sketch[references], sketch[taken])  # (r,)
            typical = min(max(float(np.median(nearest)), NARROWEST * spread), spread)
        return self.width * typical


def _nearest_distances(
    vectors: NDArray[np.float32], others: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return how far each of (r, m) vectors is from the nearest of (c, m) others: (r,)."""
    norms = np.square(others).sum(axis=1)  # (c,)
    squared = np.empty(len(vectors))

    def work(part: slice) -> None:
        own = vectors[part]  # (b, m)
        gaps = norms - 2 * own @ others.T  # (b, c)
        squared[part] = gaps.min(axis=1) + np.square(own).sum(axis=1)

    map_blocks(work, len(vectors), BLOCK)
    return np.sqrt(np.maximum(squared, 0))
