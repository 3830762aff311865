"""Greedy k-center and its like: the best item over and over, while each pick changes the rest."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ...index import Farthest, FarthestFirst
from ...index.vectors import Vectors

__all__ = ["pick_while_positive", "spread"]


def pick_while_positive(search: FarthestFirst, left: NDArray[np.bool_], n: int) -> list[Farthest]:
    """Pick up to `n` items until none is left or the best is worth 0; `left` (u,) is updated."""
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
    """Choose `n` of (u,) `items`, each the farthest from (c,) `centres` and those chosen before.

    Returns their (n,) positions, and the (n + 1,) largest distances from an item to the nearest
    centre or pick, before the first pick and after each. Copies of centres and picks come last.
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
