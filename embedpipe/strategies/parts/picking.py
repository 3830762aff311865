"""How to pick once every item has a score."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["top_k"]


def top_k(scores: NDArray[Any], k: int) -> NDArray[np.int64]:
    """Return the positions of the `k` largest scores, best first, ties by lowest position.

    Parameters
    ----------
    scores
        (m,) finite numbers.
    k
        How many, at most m.

    Returns
    -------
    (k,) int64
        Positions in `scores`.

    Notes
    -----
    O(m + k log k) time, 9 bytes of extra memory per score.

    Examples
    --------
    >>> top_k(np.array([0.5, 1.0, 0.5, 0.5]), 3).tolist()
    [1, 0, 2]
    """
    last = np.partition(scores, scores.size - k)[scores.size - k]  # the k-th largest value
    above = np.flatnonzero(scores > last)
    tied = np.flatnonzero(scores == last)[: k - above.size]  # lowest positions
    chosen = np.sort(np.concatenate([above, tied]))  # (k,), ascending: a stable sort breaks ties
    return chosen[np.argsort(-scores[chosen], kind="stable")].astype(np.int64)
