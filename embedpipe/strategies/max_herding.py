"""MaxHerding: picks that leave every item close to one of them, softly."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from .._specs import check_above
from ..index import check_metric
from .algorithms.herding import KernelCoverage, References, spread_of
from .algorithms.lazy_greedy import lazy_greedy
from .pool import Pool
from .strategy import METRIC, DiverseStrategy, PointPicks, strategies

__all__ = ["MaxHerding"]


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

    def choose_points(self, pool: Pool, n: int, rng: np.random.Generator) -> PointPicks:
        """Maximise the mean coverage greedily."""
        labelled, sketch = pool.points_labelled, pool.index.sketch
        references = References.of(pool.index, ~labelled)
        width = self.width * spread_of(sketch)
        coverage = KernelCoverage(
            sketch, width, references.points, references.items, np.flatnonzero(labelled)
        )
        start = coverage.value
        found = lazy_greedy(coverage, np.flatnonzero(~labelled), n)
        means = (start + found.gains.cumsum()).astype(np.float32)  # (n,)
        return PointPicks(found.points, found.gains, {"coverage": means, "width": width})
