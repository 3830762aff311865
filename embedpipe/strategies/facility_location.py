"""Facility location: items that are similar to many other items."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .._specs import check_count
from ..index import Neighbours, check_metric
from .algorithms.coverage import SparseCoverage
from .algorithms.lazy_greedy import Greedy, lazy_greedy
from .pool import Pool
from .strategy import METRIC, DiverseStrategy, UniquePicks, strategies

__all__ = ["FacilityLocation"]


@strategies.register("facility_location")
class FacilityLocation(DiverseStrategy):
    """Items that maximise the mean similarity of all items to their most similar pick.

    The similarity of an item to itself is 1. Its similarity to each of its `neighbours` nearest
    unique vectors is exp(−(d/s)²), and to all other vectors 0. Here d is the distance, and s is the
    median of these distances for all items. Each pick maximises the mean similarity of all items to
    the most similar labelled or picked item. Ties go to the lowest row. Duplicates count as
    separate items.

    Parameters
    ----------
    neighbours
        Number of neighbours per item.
    metric
        ``"cosine"`` (rows scaled to unit length) or ``"euclidean"``.

    Notes
    -----
    Similarity is not symmetric: an item that is among the neighbours of many others represents
    all of them. Labelled rows outside the candidates are ignored.

    Scores: increase of the mean. Diagnostics: ``objective`` (n,) float32, the mean after each pick;
    ``bound``, an upper bound of the mean for any n picks; ``share_of_optimum``, the last mean
    divided by the bound.

    Time: O(p·k) for p unique vectors with k known neighbours, and little per pick. Extra memory:
    12·k + 100 bytes per unique vector to start, of which 8·k remain in use during the search.

    References
    ----------
    Nemhauser, Wolsey, Fisher (1978), "An analysis of approximations for maximizing submodular set
    functions", for the bounds. Minoux (1978), "Accelerated greedy algorithms for maximizing
    submodular set functions". Mirzasoleiman, Bilmes, Leskovec (2020), "Coresets for data-efficient
    training of machine learning models", arXiv:1906.01827.
    """

    name: ClassVar[str] = "facility_location"

    def __init__(self, *, neighbours: int = 32, metric: str = METRIC) -> None:
        self.neighbours = check_count("neighbours", neighbours)
        self.metric = check_metric(metric)

    def choose_unique(self, pool: Pool, n: int, rng: np.random.Generator) -> UniquePicks:
        """Maximise the mean similarity greedily."""
        coverage = _coverage(pool.index.neighbours(self.neighbours), pool.index.sizes)
        for point in np.flatnonzero(pool.unique_labelled):
            coverage.add(int(point))
        free = np.flatnonzero(~pool.unique_labelled)  # (f,)
        start, first = coverage.value, _largest(coverage.gains(free), n)
        found = lazy_greedy(coverage, free, n)
        left = np.setdiff1d(free, found.points, assume_unique=True)
        last = _largest(coverage.gains(left), n)
        bound = _bound(start, coverage.value, first, last)
        return UniquePicks(
            found.points,
            found.gains,
            {
                "objective": _values(start, found),
                "bound": bound,
                "share_of_optimum": coverage.value / bound,
            },
        )


def _coverage(near: Neighbours, sizes: NDArray[np.int64]) -> SparseCoverage:
    """Return the coverage in which each vector covers those that have it as a neighbour."""
    from scipy.sparse import csr_array

    p, k = near.positions.shape
    scale = np.float32(np.median(near.distances)) if near.distances.size else np.float32(1)
    similarity = np.zeros((p, k + 1), dtype=np.float32)
    np.divide(near.distances, scale or np.float32(1), out=similarity[:, 1:])
    np.exp(np.negative(np.square(similarity, out=similarity), out=similarity), out=similarity)
    members = np.empty((p, k + 1), dtype=np.int32)
    members[:, 0], members[:, 1:] = np.arange(p), near.positions
    starts = np.arange(p + 1) * (k + 1)
    by_row = csr_array((similarity.ravel(), members.ravel(), starts), shape=(p, p))
    turned = by_row.tocsc()  # column j: the points that have j among their nearest
    return SparseCoverage(turned.indptr, turned.indices, turned.data, sizes)


def _largest(gains: NDArray[np.float64], n: int) -> float:
    """Return the sum of the `n` largest gains."""
    if gains.size <= n:
        return float(gains.sum())
    return float(np.partition(gains, gains.size - n)[gains.size - n :].sum())


def _bound(start: float, value: float, first: float, last: float) -> float:
    """Return an upper bound of the objective for any n picks."""
    greedy = start + (value - start) / (1 - 1 / math.e)
    return max(value, min(1.0, start + first, value + last, greedy))


def _values(start: float, found: Greedy) -> NDArray[np.float32]:
    return (start + found.gains.cumsum()).astype(np.float32)
