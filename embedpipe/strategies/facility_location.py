"""Facility location: items that are similar to many other items."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .._specs import check_count
from ..index import Neighbours, check_metric
from .algorithms.coverage import References, SparseCoverage, nearest_of
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

    With a target, the mean is over its items, or over 2,048 evenly spaced ones. Each is similar to
    the nearest unique vector and to its next `neighbours`, in the sketch of the index. The squared
    distance to the nearest is subtracted from all squared distances, so its similarity is 1.

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
    uses_target: ClassVar[bool] = True

    def __init__(self, *, neighbours: int = 32, metric: str = METRIC) -> None:
        self.neighbours = check_count("neighbours", neighbours)
        self.metric = check_metric(metric)

    def choose_unique(self, pool: Pool, n: int, rng: np.random.Generator) -> UniquePicks:
        """Maximise the mean similarity greedily."""
        if pool.target is None:
            coverage = _coverage(pool.index.neighbours(self.neighbours), pool.index.sizes)
        else:
            coverage = _coverage_of_target(pool, self.neighbours)
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
    p, k = near.positions.shape
    distances = np.zeros((p, k + 1), dtype=np.float32)
    distances[:, 1:] = near.distances
    members = np.empty((p, k + 1), dtype=np.int32)
    members[:, 0], members[:, 1:] = np.arange(p), near.positions
    return _by_similarity(members, distances, near.distances, sizes, p)


def _coverage_of_target(pool: Pool, neighbours: int) -> SparseCoverage:
    """Return the coverage in which a vector covers the target vectors that it is near to."""
    references, sketch = References.of(pool), pool.index.sketch
    near, squared = nearest_of(references.sketch, sketch, neighbours + 1)  # (r, k), (r, k)
    beyond = np.sqrt(np.maximum(squared - references.apart[:, None], 0)).astype(np.float32)
    return _by_similarity(near, beyond, beyond[:, 1:], references.items, len(sketch))


def _by_similarity(
    members: NDArray[np.integer],
    distances: NDArray[np.float32],
    scaling: NDArray[np.float32],
    sizes: NDArray[np.int64],
    p: int,
) -> SparseCoverage:
    """Return the coverage of r vectors by their (r, k) `members`, the positions of p points.

    The median of `scaling` is the unit of the (r, k) distances.
    """
    from scipy.sparse import csr_array

    r, k = members.shape
    scale = np.float32(np.median(scaling)) if scaling.size else np.float32(1)
    similarity = distances / (scale or np.float32(1))  # (r, k)
    np.exp(np.negative(np.square(similarity, out=similarity), out=similarity), out=similarity)
    starts = np.arange(r + 1) * k
    by_row = csr_array((similarity.ravel(), members.ravel(), starts), shape=(r, p))
    turned = by_row.tocsc()  # column j: the vectors that have j among their members
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
