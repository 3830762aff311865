"""From pairs of rows to groups of rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Rows", "groups_of", "joined"]

Rows = NDArray[np.int64]


def groups_of(names: NDArray[np.integer]) -> tuple[Rows, ...]:
    """Return the rows that share a name with another row, group by group.

    Parameters
    ----------
    names
        (n,) integers: rows of a group have the same.

    Returns
    -------
    tuple of (m,) int64
        Rows of each group of two or more, ascending; groups by their first row.

    Notes
    -----
    O(n log n) time; 40 bytes of extra memory per row.

    Examples
    --------
    >>> [group.tolist() for group in groups_of(np.array([7, 3, 7, 1, 3, 7]))]
    [[0, 2, 5], [1, 4]]
    """
    order = names.argsort(kind="stable").astype(np.int64)
    bounds = np.flatnonzero(np.diff(names[order])) + 1
    starts, stops = np.append(0, bounds), np.append(bounds, names.size)
    crowds = np.flatnonzero(stops - starts > 1)
    found = [order[starts[at] : stops[at]] for at in crowds]
    return tuple(sorted(found, key=lambda rows: int(rows[0])))


def joined(names: NDArray[np.integer], left: Rows, right: Rows) -> NDArray[np.integer]:
    """Return names that are the same for rows that are joined by a chain of pairs.

    Parameters
    ----------
    names
        (n,) integers from 0 to n - 1: rows with the same name are joined already.
    left, right
        (e,) int64 rows: matching entries are joined.

    Returns
    -------
    (n,) integers

    Notes
    -----
    O(n + e) time; 30 bytes of extra memory per row and per pair.

    Examples
    --------
    >>> names = joined(np.array([0, 1, 2, 1, 4]), np.array([0]), np.array([3]))
    >>> [group.tolist() for group in groups_of(names)]
    [[0, 1, 3]]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = names.size
    ends = (names[left], names[right])
    table = coo_array((np.ones(left.size, np.int8), ends), shape=(n, n))
    _, component = connected_components(table, directed=False)
    found: NDArray[np.integer] = component[names]
    return found
