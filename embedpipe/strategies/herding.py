"""MaxHerding: picks that leave every item close to one of them, softly."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .._specs import check_above
from ..errors import UnknownNameError
from ..index import check_metric
from .algorithms.coverage import KernelCoverage, References, nearest_pair, spread_of
from .algorithms.lazy_greedy import lazy_greedy
from .algorithms.predictions import UNCERTAINTIES
from .pool import Pool
from .strategy import METRIC, DiverseStrategy, UniquePicks, strategies

__all__ = ["MaxHerding", "UncertaintyHerding"]


@strategies.register("max_herding")
class MaxHerding(DiverseStrategy):
    """The items that bring most others close to a labelled one: for the first labels.

    An item is covered by the largest kernel value exp(−(d/w)²) that it has with a labelled or
    picked item at distance d, and each pick is the item that raises the mean coverage of the
    unlabelled items the most, ties going to the lowest row. The mean is taken over all unlabelled
    points or, where there are more than 2,048, over those of 2,048 evenly spaced items; copies of
    a vector count as many items.

    Parameters
    ----------
    width
        The kernel width w, as a multiple of the root mean squared distance of items to their
        mean. The authors take 1 for vectors of length 1, whose root mean squared distance to
        their mean is 1 if the mean is 0.
    metric
        ``"cosine"``: distances are between vectors scaled to unit length, as most heads see them;
        ``"euclidean"``: between vectors as they are.

    Raises
    ------
    UsageError
        If `width` is not a number above 0, or there is no such metric.

    Notes
    -----
    Distances are those in the index's sketch of at most 128 dimensions. Gains that agree to 12
    decimals are equal. The authors draw candidates and references at random where there are more
    than 35,000. Labelled rows outside the candidates do not count.

    `Selection.scores` holds by how much each pick raised the mean.

    Diagnostics: ``coverage`` (n,) float32, the mean after each pick; ``width``, that of the
    kernel, in the units of the sketch.

    O(p·2048·128) time to start, with p points, and about a hundredth of that per pick. Extra
    memory: 40 bytes per point and at most 20 MB a thread.

    References
    ----------
    Bae, Noh, Sutherland (2024), "Generalized coverage for more robust low-budget active
    learning", arXiv:2407.12212.

    Examples
    --------
    >>> pool = Pool(np.array([[0], [1], [2], [8], [9]], dtype=np.float32))
    >>> selection = MaxHerding(metric="euclidean").select(pool, 2, np.random.default_rng(0))
    >>> selection.rows.tolist(), [round(float(c), 2) for c in selection.diagnostics["coverage"]]
    ([1, 3], [0.58, 0.96])
    """

    name: ClassVar[str] = "max_herding"

    def __init__(self, *, width: float = 1.0, metric: str = METRIC) -> None:
        self.width = check_above("width", width)
        self.metric = check_metric(metric)

    def choose_unique(self, pool: Pool, n: int, rng: np.random.Generator) -> UniquePicks:
        """Maximise the mean coverage greedily."""
        labelled, sketch = pool.unique_labelled, pool.index.sketch
        references = References.of(pool.index, ~labelled)
        width = self.width * spread_of(sketch)
        coverage = KernelCoverage(
            sketch, width, references.points, references.items, np.flatnonzero(labelled)
        )
        start = coverage.value
        found = lazy_greedy(coverage, np.flatnonzero(~labelled), n)
        means = (start + found.gains.cumsum()).astype(np.float32)  # (n,)
        return UniquePicks(found.points, found.gains, {"coverage": means, "width": width})


NARROWEST = 1e-3
"""The kernel is at least so wide, as a share of the spread of the points."""


@strategies.register("uncertainty_herding")
class UncertaintyHerding(DiverseStrategy):
    """The items that cover what the head is unsure of: few or many labels alike.

    As ``max_herding``, but every item counts by how unsure the head is of it: each pick raises
    the most the mean, over unlabelled items weighted by their uncertainty, of the largest kernel
    value exp(−(d/w)²) with a labelled or picked item at distance d. The width w is the smallest
    distance between two labelled points, so that with more labels it shrinks and the picks go
    from what is typical to what is uncertain. Ties go to the lowest row.

    Parameters
    ----------
    uncertainty
        ``"margin"``, ``"least_confidence"`` or ``"entropy"``.
    width
        By what w is multiplied.
    metric
        ``"cosine"``: distances are between vectors scaled to unit length, as most heads see them;
        ``"euclidean"``: between vectors as they are.

    Raises
    ------
    UnknownNameError
        If there is no such uncertainty.
    UsageError
        If `width` is not a number above 0, or there is no such metric.

    Notes
    -----
    With fewer than two labelled points, and never above that, the width is that of
    ``max_herding``; it is never below a thousandth of that. Before there are labels, and where
    the head is sure of every reference, all items count the same. The authors rescale the
    predictions by a temperature that makes them calibrated on held-out labels; here they are
    taken as the head gives them.

    Distances are those in the index's sketch of at most 128 dimensions. Gains that agree to 12
    decimals are equal. Labelled rows outside the candidates do not count.

    `Selection.scores` holds by how much each pick raised the weighted mean.

    Diagnostics: ``coverage`` (n,) float32, the weighted mean after each pick; ``uncertainty`` (n,)
    float32, that of each pick, before there are labels 1; ``width``, that of the kernel, in the
    units of the sketch.

    O(p·2048·128) time to start, with p points, and up to a tenth of that per pick; O(m²·128) for
    the width, with m labelled points. Extra memory beside the pool's predictions: 40 bytes per
    point, 1,024 per labelled one, and at most 20 MB a thread.

    References
    ----------
    Bae, Oliveira, Sutherland (2024), "Uncertainty herding: one active learning method for all
    label budgets", arXiv:2412.20644.

    Examples
    --------
    >>> predictions = np.array([[1, 0], [0.5, 0.5], [0.9, 0.1], [0.6, 0.4]])
    >>> pool = Pool(
    ...     np.array([[0], [1], [9], [5]], dtype=np.float32),
    ...     labelled=[0], labels=[0], probabilities=lambda rows: predictions[rows],
    ... )
    >>> chooser = UncertaintyHerding(metric="euclidean")
    >>> selection = chooser.select(pool, 2, np.random.default_rng(0))
    >>> selection.rows.tolist(), [round(float(x), 2) for x in selection.diagnostics["uncertainty"]]
    ([3, 2], [0.8, 0.2])
    """

    name: ClassVar[str] = "uncertainty_herding"

    def __init__(
        self, *, uncertainty: str = "margin", width: float = 1.0, metric: str = METRIC
    ) -> None:
        if uncertainty not in UNCERTAINTIES:
            raise UnknownNameError("uncertainty", uncertainty, UNCERTAINTIES)
        self.uncertainty = uncertainty
        self.width = check_above("width", width)
        self.metric = check_metric(metric)

    def choose_unique(self, pool: Pool, n: int, rng: np.random.Generator) -> UniquePicks:
        """Maximise the weighted mean coverage greedily."""
        labelled, sketch = pool.unique_labelled, pool.index.sketch
        references = References.of(pool.index, ~labelled)
        weights = references.items * self._uncertainties(pool, references.points)  # (r,)
        width = self._kernel_width(sketch, labelled)
        coverage = KernelCoverage(
            sketch,
            width,
            references.points,
            weights if weights.any() else references.items,
            np.flatnonzero(labelled),
        )
        start = coverage.value
        found = lazy_greedy(coverage, np.flatnonzero(~labelled), n)
        unsure = self._uncertainties(pool, found.points)  # (n,)
        return UniquePicks(
            found.points,
            found.gains,
            {
                "coverage": (start + found.gains.cumsum()).astype(np.float32),
                "uncertainty": unsure.astype(np.float32),
                "width": width,
            },
        )

    def _uncertainties(self, pool: Pool, points: NDArray[np.int64]) -> NDArray[np.float64]:
        if not pool.has_labels:
            return np.ones(points.size)
        predictions = pool.probabilities(pool.index.rows[points])  # (k, C)
        return UNCERTAINTIES[self.uncertainty](predictions)  # (k,)

    def _kernel_width(self, sketch: NDArray[np.float32], labelled: NDArray[np.bool_]) -> float:
        widest = spread_of(sketch)
        apart = nearest_pair(sketch[labelled])
        return self.width * min(max(apart, NARROWEST * widest), widest)
