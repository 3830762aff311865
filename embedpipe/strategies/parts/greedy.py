"""Picking the best item over and over while each pick changes what the others are worth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...index import Farthest, FarthestFirst

__all__ = ["pick_while_positive"]


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
