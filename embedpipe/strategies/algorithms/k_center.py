"""Greedy k-center and its like: the best item over and over, while each pick changes the rest."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ...index import Farthest, FarthestFirst
from ...index.blocks import Vectors

__all__ = ["pick_while_positive", "spread"]


def pick_while_positive(search: FarthestFirst, left: NDArray[np.bool_], n: int) -> list[Farthest]:
    """Pick the best item up to `n` times, until nothing is left or the best is worth 0.

    Parameters
    ----------
    search
        What finds the best item; each pick is added to it.
    left
        (u,) which items may still be picked; updated.
    n
        At most so many.

    Returns
    -------
    list of Farthest
        The picks with what they were worth, in order.

    Examples
    --------
    >>> matrix = np.array([[0], [0], [5], [3]], dtype=np.float32)
    >>> search = FarthestFirst(matrix, np.array([1, 2, 3]), np.array([0]))
    >>> left = np.ones(3, dtype=bool)
    >>> [pick.position for pick in pick_while_positive(search, left, 3)], left.tolist()
    ([1, 2], [True, False, False])
    """
    picks: list[Farthest] = []
    remaining = int(left.sum())
    while len(picks) < min(n, remaining + len(picks)):
        best = search.farthest()
        if best.key <= 0:
            break
        search.add(best.position)
        left[best.position] = False
        remaining -= 1
        picks.append(best)
    return picks


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
