"""Greedy k-center from given centres."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ...index import FarthestFirst
from ...index.blocks import Vectors
from .greedy import pick_while_positive

__all__ = ["spread"]


def spread(
    vectors: Vectors,
    items: NDArray[np.int64],
    centres: NDArray[np.int64],
    n: int,
    block_size: int | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Choose `n` items, each the farthest from all centres and from those chosen before.

    Parameters
    ----------
    vectors
        (m, d) finite float32 array or memory map, or `UnitRows` of one.
    items
        (u,) int64 ascending rows, u ≥ `n`.
    centres
        (c,) int64 rows, at least one, none of them an item.
    n
        How many, at least 0. When only copies of centres and picks are left, the first of these.
    block_size
        Of `FarthestFirst`.

    Returns
    -------
    positions
        (n,) int64 in `items`.
    reach
        (n + 1,) float64: before the first pick and after each, the largest distance from an item
        to the nearest centre or pick; 0 where no item is left.

    Examples
    --------
    >>> matrix = np.array([[0], [1], [9], [5]], dtype=np.float32)
    >>> positions, reach = spread(matrix, np.array([1, 2, 3]), np.array([0]), 2)
    >>> positions.tolist(), reach.tolist()
    ([1, 2], [9.0, 4.0, 1.0])
    """
    reach = np.zeros(n + 1)
    left = np.ones(items.size, dtype=np.bool_)
    chosen: list[int] = []
    if items.size:
        search = FarthestFirst(vectors, items, centres, block_size=block_size)
        picks = pick_while_positive(search, left, n)
        chosen = [pick.position for pick in picks]
        reach[: len(picks)] = [math.sqrt(pick.squared_distance) for pick in picks]
        if len(picks) == n and left.any():
            reach[n] = math.sqrt(search.farthest().squared_distance)
    covered = np.flatnonzero(left)[: n - len(chosen)]
    return np.concatenate([np.array(chosen, dtype=np.int64), covered]), reach
