"""The nearest of a few candidates of each vector, by exact distance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .neighbours import Neighbours, measured
from .pair_bounds import pair_bounds
from .vectors import Vectors

__all__ = ["nearest_of"]


def nearest_of(
    vectors: Vectors,
    rows: NDArray[np.int64],
    points: NDArray[np.int64],
    found: NDArray[np.int64],
    k: int,
) -> Neighbours:
    """Return the `k` nearest of (b, c) candidates of b points; -1 is no candidate."""
    # Candidates that proven bounds exclude are not measured in float64.
    if not found.size:
        empty = np.zeros((points.size, k))
        return Neighbours(empty.astype(np.int32), empty.astype(np.float32))
    at, column = np.nonzero(found >= 0)
    bounds = np.full((2, *found.shape), np.inf)
    bounds[:, at, column] = pair_bounds(vectors, rows, points[at], found[at, column])
    lower, upper = bounds  # (b, c), (b, c)
    limit = np.partition(upper, k - 1, axis=1)[:, k - 1, None]  # (b, 1)
    at, column = np.nonzero((lower <= limit) & (found >= 0))
    others = found[at, column]  # (e,)
    squared = measured(vectors, rows, points[at], others)
    order = np.lexsort((others, squared, at))
    best = order[at.searchsorted(np.arange(len(points)))[:, None] + np.arange(k)]  # (b, k)
    with np.errstate(over="ignore"):
        away = np.sqrt(squared[best]).astype(np.float32)
    return Neighbours(others[best].astype(np.int32), away)
