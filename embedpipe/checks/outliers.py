"""Outliers by distance and by residual, on a robust scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..index import Index
from ..index.distances import safe_frame

__all__ = ["NEIGHBOUR", "Outliers", "RobustScale", "find_outliers"]

NEIGHBOUR = 10
"""Rank of the neighbour whose distance is used, so that nine copies do not hide an outlier."""

FAR, UNLIKE = 3.0, 2.5
"""Limits of log distances and log residuals for outliers, in spreads above the median."""

SPREAD = 0.02
"""Minimum spread of log values."""

ITEMS_EACH = 100
"""Distinct vectors per principal direction: p vectors have p / 100 directions, at least 1."""

TINY = 1e-30
"""Minimum distance, so that it has a logarithm."""

FEWEST = 20
"""Minimum number of distinct vectors for an estimate of limits."""

QUARTILE = 0.6744897501960817
"""Upper quartile of the standard normal distribution."""


@dataclass(frozen=True)
class RobustScale:
    """The median of values, and their standard deviation estimated from one quartile."""

    middle: float
    spread: float  # negative for the lower side

    @classmethod
    def above(cls, values: NDArray[np.float64], least: float = 0.0) -> RobustScale:
        """Return the scale above the median of finite values; the spread is at least `least`."""
        middle, upper = np.quantile(values, [0.5, 0.75])
        return cls(float(middle), max(float(upper - middle) / QUARTILE, least))

    @classmethod
    def below(cls, values: NDArray[np.float64], least: float = 0.0) -> RobustScale:
        """Return the scale below the median; see `above`."""
        other = cls.above(-values, least)
        return cls(-other.middle, -other.spread)

    def limit(self, spreads: float) -> float:
        """Return the value at a number of spreads beyond the median."""
        return self.middle + spreads * self.spread

    def beyond(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how far values are beyond the median, in spreads; at least 0."""
        found: NDArray[np.float64] = np.maximum((values - self.middle) / self.spread, 0)
        return found


@dataclass(frozen=True)
class Outliers:
    """Unusual items.

    Attributes
    ----------
    rows
        Rows of the outliers as int64, the largest score first; ties are sorted by row.
    scores
        Scores of these rows as float64: the number of spreads above the median, divided by the
        limit of this number. Outliers have scores of at least 1.
    threshold
        Minimum score of an outlier, 1; None with fewer than 20 distinct vectors.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float64]
    threshold: float | None


def find_outliers(index: Index) -> Outliers:
    """Return items with an unusual distance or residual; equal vectors have equal scores.

    The distance to the tenth neighbour finds rare objects. The residual outside at most
    128 principal directions finds images of another kind, such as blurred images or drawings, even
    if they are near each other. The limits are 3 spreads (distance) and 2.5 spreads (residual)
    above the median of the logarithms. For normally distributed logarithms, one item in 740 would
    be an outlier by distance, and one in 160 by residual.

    Notes
    -----
    O(n·d) time for n items of d dimensions, and 80 bytes of extra memory per item, after the search
    for neighbours. Vectors of up to 128 dimensions have no residual.

    References
    ----------
    Distance: Ramaswamy, Rastogi and Shim (2000), "Efficient algorithms for mining outliers from
    large data sets". Residual: Jackson and Mudholkar (1979), "Control procedures for residuals
    associated with principal component analysis".

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> matrix = rng.standard_normal((200, 8)).astype(np.float32)
    >>> matrix[7] += 30
    >>> find_outliers(Index(matrix)).rows.tolist()
    [7]
    """
    if index.rows.size < FEWEST:
        return Outliers(np.empty(0, np.int64), np.empty(0), None)
    # p is the number of distinct vectors.
    distances = index.neighbours(NEIGHBOUR).distances[:, -1].astype(np.float64)  # (p,)
    scores = _spreads_above(distances) / FAR
    shares = _residual_shares(index)
    if shares is not None:
        scores = np.maximum(scores, _spreads_above(shares) / UNLIKE)
    item_scores = scores[index.copy_of]  # (items,)
    rows = np.flatnonzero(item_scores >= 1)
    rows = rows[np.lexsort((rows, -item_scores[rows]))]
    return Outliers(index.candidates[rows], item_scores[rows], 1.0)


def _spreads_above(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far the logarithms of values are above their median, in spreads."""
    logs = np.log(np.maximum(values, TINY))
    return RobustScale.above(logs, SPREAD).beyond(logs)


def _residual_shares(index: Index) -> NDArray[np.float64] | None:
    """Return the share of each distinct vector's length outside the principal directions.

    The result is None if the vectors have at most 128 dimensions.
    """
    sketch = index.sketch  # (p, m): p distinct vectors, m directions
    if sketch.shape[1] == index.matrix.shape[1]:
        return None
    some = sketch[:, : max(1, index.rows.size // ITEMS_EACH)]
    _, norms = safe_frame(index.matrix, index.rows)  # (p,) squared lengths, in the same frame
    inside = np.einsum("pm,pm->p", some, some, dtype=np.float64)
    residuals = np.maximum(norms - inside, 0)
    shares: NDArray[np.float64] = np.sqrt(residuals / np.maximum(norms, TINY))
    return shares
