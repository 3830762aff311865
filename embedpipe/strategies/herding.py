"""MaxHerding and uncertainty herding: greedy maximisation of kernel coverage."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .._specs import check_above
from ..index import check_metric
from .algorithms.coverage import References, cover_greedily, nearest_pair, spread_of
from .algorithms.predictions import UNCERTAINTIES, check_uncertainty
from .pool import Pool
from .strategy import METRIC, DiverseStrategy, UniquePicks, strategies

__all__ = ["MaxHerding", "UncertaintyHerding"]


@strategies.register("max_herding")
class MaxHerding(DiverseStrategy):
    """Items that maximise the kernel coverage of the pool, for the first labels.

    An item is covered by exp(−(d/w)²), where d is the distance to the nearest labelled or picked
    item. Each pick maximises the mean coverage of the unlabelled items. Ties go to the lowest row.
    Pools of more than 2,048 unique vectors use 2,048 evenly spaced reference items.

    With a target, the picks maximise the mean coverage of its items, or of 2,048 evenly spaced
    ones. An item of the target is covered by exp(−(d² − a²)/w²), where a is its distance to the
    nearest item of the pool, labelled or not.

    Parameters
    ----------
    width
        Kernel width w, as a multiple of the root mean square distance of items to their mean. The
        default agrees with the paper for unit vectors with mean 0.
    metric
        ``"cosine"`` (rows scaled to unit length) or ``"euclidean"``.

    Notes
    -----
    Distances use the index's sketch of at most 128 dimensions. Gains are compared to 12 decimals.
    Labelled rows outside the candidates are ignored.

    Scores: increase of the mean. Diagnostics: ``coverage`` (n,) float32, the mean after each pick;
    ``width``, the kernel width.

    Time: O(p·2048·128) to start with p unique vectors, then about 1 % of this per pick. Extra
    memory: 40 bytes per unique vector and 20 MB per thread.

    References
    ----------
    Bae, Noh, Sutherland (2024), "Generalized coverage for more robust low-budget active
    learning", arXiv:2407.12212.
    """

    name: ClassVar[str] = "max_herding"
    uses_target: ClassVar[bool] = True

    def __init__(self, *, width: float = 1.0, metric: str = METRIC) -> None:
        self.width = check_above("width", width)
        self.metric = check_metric(metric)

    def choose_unique(self, pool: Pool, n: int, rng: np.random.Generator) -> UniquePicks:
        """Maximise the mean coverage greedily."""
        width = self.width * spread_of(pool.index.sketch)
        references = References.of(pool)
        equal = np.ones(references.items.size)
        found, coverage = cover_greedily(pool, references, equal, width, n)
        return UniquePicks(found.points, found.gains, {"coverage": coverage, "width": width})


NARROWEST = 1e-3
"""Minimum kernel width, before multiplication by `width`, as a share of the spread."""


@strategies.register("uncertainty_herding")
class UncertaintyHerding(DiverseStrategy):
    """Items that maximise the kernel coverage of uncertain items, for any number of labels.

    Each pick maximises the mean coverage as in ``max_herding``, with each item weighted by its
    uncertainty. The kernel width w is the smallest distance between two labelled items. So w
    shrinks as labels are added, and picks change from typical to uncertain items. With a target,
    its items are covered as in ``max_herding``, weighted by the uncertainty of the head about them.

    Parameters
    ----------
    uncertainty
        ``"margin"``, ``"least_confidence"`` or ``"entropy"``.
    width
        Factor of the kernel width.
    metric
        ``"cosine"`` (rows scaled to unit length) or ``"euclidean"``.

    Notes
    -----
    Before multiplication by `width`, the kernel width is limited to between 0.1 % and 100 % of the
    root mean square distance of items to their mean. Without labels, or if no reference item is
    uncertain, all items have the same weight. The paper also calibrates the predictions with
    held-out labels. Distances, gains and references: see ``max_herding``.

    Scores: increase of the weighted mean. Diagnostics: ``coverage`` (n,) float32, the weighted mean
    after each pick; ``uncertainty`` (n,) float32 of each pick, 1 without labels; ``width``, the
    kernel width.

    Time: O(p·2048·128) to start with p unique vectors, then at most a tenth of this per pick;
    O(m²·128) for the width with m labelled items. Extra memory besides the predictions: 40 bytes
    per unique vector, 1,024 per labelled item, and 20 MB per thread.

    References
    ----------
    Bae, Oliveira, Sutherland (2024), "Uncertainty herding: one active learning method for all
    label budgets", arXiv:2412.20644.
    """

    name: ClassVar[str] = "uncertainty_herding"
    uses_target: ClassVar[bool] = True

    def __init__(
        self, *, uncertainty: str = "margin", width: float = 1.0, metric: str = METRIC
    ) -> None:
        self.uncertainty = check_uncertainty(uncertainty)
        self.width = check_above("width", width)
        self.metric = check_metric(metric)

    def choose_unique(self, pool: Pool, n: int, rng: np.random.Generator) -> UniquePicks:
        """Maximise the weighted mean coverage greedily."""
        references = References.of(pool)
        measure = UNCERTAINTIES[self.uncertainty]
        weights = np.ones(references.items.size)  # (r,)
        if pool.has_labels:
            weights = references.uncertainty(pool, measure)
        width = self._kernel_width(pool.index.sketch, pool.unique_labelled)
        found, coverage = cover_greedily(pool, references, weights, width, n)
        uncertainty = self._uncertainties(pool, found.points)  # (n,)
        return UniquePicks(
            found.points,
            found.gains,
            {
                "coverage": coverage,
                "uncertainty": uncertainty.astype(np.float32),
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
