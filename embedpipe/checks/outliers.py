"""Outliers: items far from or unlike all others, on a robust scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..index import Index
from ..index.distances import safe_frame

__all__ = ["NEIGHBOUR", "Outliers", "RobustScale", "find_outliers"]

NEIGHBOUR = 10
"""The distance to this neighbour counts: up to nine copies do not hide an outlier."""

FAR, UNLIKE = 3.0, 2.5
"""So many spreads above the median, on a logarithmic scale, is far away or unlike the others."""

SPREAD = 0.02
"""Spreads are at least this: where everything is equally far away, a little is no evidence."""

ITEMS_EACH = 100
"""So many items stand behind each direction in which the data are taken to spread."""

TINY = 1e-30
"""Distances are at least this, so that they have logarithms."""

FEWEST = 20
"""Of fewer distinct items nobody can say what is usual."""

QUARTILE = 0.6744897501960817
"""The upper quartile of a standard normal distribution."""


@dataclass(frozen=True)
class RobustScale:
    """Median of values, and a normal spread from the quartile on one side of it."""

    middle: float
    spread: float  # negative for the lower side

    @classmethod
    def above(cls, values: NDArray[np.float64], least: float = 0.0) -> RobustScale:
        """Return the scale above the median of finite values; the spread is at least `least`."""
        middle, upper = np.quantile(values, [0.5, 0.75])
        return cls(float(middle), max(float(upper - middle) / QUARTILE, least))

    @classmethod
    def below(cls, values: NDArray[np.float64], least: float = 0.0) -> RobustScale:
        """Return the scale below the median, see `above`."""
        other = cls.above(-values, least)
        return cls(-other.middle, -other.spread)

    def limit(self, spreads: float) -> float:
        """Return what lies so many spreads beyond the median."""
        return self.middle + spreads * self.spread

    def beyond(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return by how many spreads values lie beyond the median, at least 0."""
        found: NDArray[np.float64] = np.maximum((values - self.middle) / self.spread, 0)
        return found


@dataclass(frozen=True)
class Outliers:
    """Items that are far from everything else, or unlike everything else.

    Attributes
    ----------
    rows
        (m,) int64, the farthest out first, ties by lowest row.
    scores
        (m,) float64, how far out they are: 1 is where outliers begin, and 2 twice as many spreads
        above the median.
    threshold
        1; None if there are too few items to say what is usual.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float64]
    threshold: float | None


def find_outliers(index: Index) -> Outliers:
    """Return the items that are unusually far from the others, in one of two ways.

    Far is whose tenth neighbour is far away: a thing that is rare. Unlike is what differs from the
    mean mostly off the at most 128 directions in which the data spread most: an image of
    another kind, blurred or drawn, say, though it may be near others of that kind. Unusual is
    three and two and a half spreads above the median of the logarithms; a spread is taken from the
    quarter of the items above the median. If the logarithms were normal, one item in 740 and one
    in 160 would be outliers.

    Parameters
    ----------
    index
        Of all items.

    Returns
    -------
    Outliers
        Items with the same vector are outliers together.

    Notes
    -----
    Beside the search for neighbours and the sketch of the index, O(n·d) time and 80 bytes of extra
    memory per item. Vectors of up to 128 dimensions are judged by their neighbours alone.

    References
    ----------
    Ramaswamy, Rastogi and Shim (2000), "Efficient algorithms for mining outliers from large data
    sets", for the distance to the k-th neighbour. Jackson and Mudholkar (1979), "Control procedures
    for residuals associated with principal component analysis", for what lies off the directions.

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
    scores = _beyond(index.neighbours(NEIGHBOUR).distances[:, -1].astype(np.float64)) / FAR  # (p,)
    shares = _shares_off(index)
    if shares is not None:
        scores = np.maximum(scores, _beyond(shares) / UNLIKE)
    each = scores[index.copy_of]  # (m,)
    rows = np.flatnonzero(each >= 1)
    rows = rows[np.lexsort((rows, -each[rows]))]
    return Outliers(index.candidates[rows], each[rows], 1.0)


def _beyond(values: NDArray[np.float64]) -> NDArray[np.float64]:
    logs = np.log(np.maximum(values, TINY))
    return RobustScale.above(logs, SPREAD).beyond(logs)


def _shares_off(index: Index) -> NDArray[np.float64] | None:
    """Return the share of each point's length off the main directions: (p,); None without any."""
    sketch = index.sketch  # (p, m)
    if sketch.shape[1] == index.matrix.shape[1]:
        return None
    some = sketch[:, : max(1, index.rows.size // ITEMS_EACH)]
    _, norms = safe_frame(index.matrix, index.rows)  # (p,) squared lengths, in the same frame
    inside = np.einsum("pm,pm->p", some, some, dtype=np.float64)
    off = np.maximum(norms - inside, 0)
    shares: NDArray[np.float64] = np.sqrt(off / np.maximum(norms, TINY))
    return shares
