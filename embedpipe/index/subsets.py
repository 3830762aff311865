"""Neighbours in a subset of the vectors, taken from the neighbours in all vectors."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .neighbours import Neighbours, nearest_neighbours
from .vectors import Vectors, row_blocks

__all__ = ["LEAST_SHARE", "neighbours_in_subset", "width_for_subset"]

LEAST_SHARE = 0.5
"""Minimum share of the vectors in a subset; a direct search of smaller subsets is faster."""


SPARE = 5
"""Standard deviations by which the mean number of neighbours in a subset exceeds `k`."""

BLOCK = 8_192
"""Rows per block."""


def width_for_subset(k: int, share: float) -> int:
    """Return how many neighbours in all vectors contain `k` neighbours in a random subset."""
    # Of w neighbours, a mean of w·share is in the subset, with a standard deviation of
    # √(w·share·(1 - share)). The mean is k plus five standard deviations: with x = √(w·share),
    # x² = k + 5·√(1 - share)·x.
    slope = SPARE * math.sqrt(1 - share)
    root = (slope + math.sqrt(slope**2 + 4 * k)) / 2
    return math.ceil(root**2 / share)


def neighbours_in_subset(
    matrix: Vectors,
    rows: NDArray[np.int64],
    k: int,
    found: Neighbours,
    places: NDArray[np.int64],
) -> Neighbours:
    """Return the `k` nearest other rows of each of p rows, as `nearest_neighbours` does.

    `found` are the neighbours in all P vectors, and `places` are the (p,) positions of the rows
    among these vectors. Vectors with too few neighbours in the subset are searched directly.
    Memory: 8·k + 1 bytes per row, 4 bytes per vector, and a block.
    """
    position = np.full(len(found.positions), -1, dtype=np.int32)  # (P,)
    position[places] = np.arange(rows.size, dtype=np.int32)
    positions = np.empty((rows.size, k), dtype=np.int32)
    distances = np.empty((rows.size, k), dtype=np.float32)
    unsure = np.empty(rows.size, dtype=np.bool_)
    same_order = bool((np.diff(places) > 0).all())
    for part in row_blocks(rows.size, BLOCK):
        kept = position[found.positions[places[part]]]  # (b, w), -1 outside the subset
        away = found.distances[places[part]]  # (b, w)
        inside = kept >= 0
        unsure[part] = inside.sum(axis=1) < k
        # A stable sort moves the neighbours in the subset to the front, nearest first.
        first = np.argsort(~inside, axis=1, kind="stable")[:, :k]
        if not same_order:  # then ties may have another order than in `found`
            cut = first[:, -1] == kept.shape[1] - 1
            unsure[part] |= (np.diff(away, axis=1) == 0).any(axis=1) | cut
        positions[part] = np.take_along_axis(kept, first, axis=1)
        distances[part] = np.take_along_axis(away, first, axis=1)
    again = np.flatnonzero(unsure)
    if again.size:
        direct = nearest_neighbours(matrix, rows, k, some=again)
        positions[again], distances[again] = direct.positions, direct.distances
    return Neighbours(positions, distances)
