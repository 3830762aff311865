"""Exact duplicates, groups of rows, and groups that cross splits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..datasets.item import SPLITS

__all__ = ["Rows", "exact_duplicates", "first_of_content", "groups_of", "joined", "leaking"]

Rows = NDArray[np.int64]


def first_of_content(content_ids: Sequence[bytes]) -> NDArray[np.int64]:
    """Return, for each row, the first row whose file has the same bytes.

    Parameters
    ----------
    content_ids
        (n,) digests of the files.

    Returns
    -------
    (n,) int64

    Notes
    -----
    O(n) time; about 100 bytes of extra memory per item.

    Examples
    --------
    >>> first_of_content([b"x", b"y", b"x"]).tolist()
    [0, 1, 0]
    """
    first: dict[bytes, int] = {}
    rows = (first.setdefault(content, row) for row, content in enumerate(content_ids))
    return np.fromiter(rows, dtype=np.int64, count=len(content_ids))


def exact_duplicates(content_ids: Sequence[bytes]) -> tuple[Rows, ...]:
    """Return the groups of rows whose files have the same bytes.

    Parameters
    ----------
    content_ids
        (n,) digests of the files.

    Returns
    -------
    tuple of (m,) int64
        Rows of each group, ascending; groups by their first row.

    Examples
    --------
    >>> [group.tolist() for group in exact_duplicates([b"x", b"y", b"x", b"z", b"y"])]
    [[0, 2], [1, 4]]
    """
    return groups_of(first_of_content(content_ids))


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
