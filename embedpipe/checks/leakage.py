"""The same picture in training and in what is judged by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..datasets.item import SPLITS
from .groups import Rows

__all__ = ["leaking"]


def leaking(groups: Iterable[Rows], splits: Sequence[str | None]) -> tuple[Rows, ...]:
    """Return the groups of duplicates whose items are of more than one split.

    Parameters
    ----------
    groups
        Rows of each group.
    splits
        (n,) of each row; rows without a split are nobody's.

    Returns
    -------
    tuple of (m,) int64
        Rows of each such group that have a split.

    Examples
    --------
    >>> import numpy as np
    >>> groups = [np.array([0, 1]), np.array([2, 3, 4])]
    >>> [rows.tolist() for rows in leaking(groups, ["train", "train", "train", None, "test"])]
    [[2, 4]]
    """
    found = []
    for rows in groups:
        inside = rows[[splits[row] in SPLITS for row in rows.tolist()]]
        if len({splits[row] for row in inside.tolist()}) > 1:
            found.append(inside)
    return tuple(found)
