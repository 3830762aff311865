"""The pool of a round: what the loop knows of it beyond what is labelled."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..strategies import Pool

__all__ = ["RoundPool"]


class RoundPool(Pool):
    """A pool from which some rows are gone, although they have no label.

    To strategies that choose points, a point is taken if one of its rows is gone, as it is if
    one of them is labelled: asking about a copy would be asking again.

    Parameters
    ----------
    embeddings, **options
        As of `Pool`.
    gone
        (g,) int64 rows that the labeller has passed over.
    checked
        Whether a pool of the same rows was found to be finite before; this one is not looked
        through again.

    Examples
    --------
    >>> pool = RoundPool(np.eye(4, dtype=np.float32), labelled=[0], gone=np.array([2]))
    >>> pool.unlabelled.tolist()
    [1, 3]
    """

    def __init__(
        self,
        embeddings: NDArray[np.float32],
        *,
        gone: NDArray[np.int64],
        checked: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(embeddings, **options)
        self._gone, self._checked = gone, checked
        if gone.size:
            left = np.setdiff1d(self.unlabelled, gone, assume_unique=True)
            left.flags.writeable = False
            self.unlabelled = left

    def check_finite(self) -> None:
        """Refuse NaN and infinity, unless it is known that there are none."""
        if not self._checked:
            super().check_finite()

    @cached_property
    def points_labelled(self) -> NDArray[np.bool_]:
        """Which points of `index` are labelled or gone, or are copies of what is: (p,)."""
        mask = super().points_labelled
        if self._gone.size:
            mask = mask.copy()
            found = self.index.find(self._gone)
            mask[found[found >= 0]] = True
            mask.flags.writeable = False
        return mask
