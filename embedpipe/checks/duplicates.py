"""Exact duplicates, groups of rows, and groups that cross splits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..datasets.dataset import SPLITS

__all__ = ["Rows", "exact_duplicates", "first_of_content", "groups_of", "joined", "leaking"]

Rows = NDArray[np.int64]


def first_of_content(content_ids: Sequence[bytes]) -> NDArray[np.int64]:
    """Return, for each row, the first row whose file has the same bytes."""
    first: dict[bytes, int] = {}
    rows = (first.setdefault(content, row) for row, content in enumerate(content_ids))
    return np.fromiter(rows, dtype=np.int64, count=len(content_ids))


def exact_duplicates(content_ids: Sequence[bytes]) -> tuple[Rows, ...]:
    """Return groups of rows whose files have the same bytes, ascending, by their first row."""
    return groups_of(first_of_content(content_ids))


def leaking(groups: Iterable[Rows], splits: Sequence[str | None]) -> tuple[Rows, ...]:
    """Return groups of duplicates in more than one split, without their rows that have no split."""
    found = []
    for rows in groups:
        inside = rows[[splits[row] in SPLITS for row in rows.tolist()]]
        if len({splits[row] for row in inside.tolist()}) > 1:
            found.append(inside)
    return tuple(found)


def groups_of(names: NDArray[np.integer]) -> tuple[Rows, ...]:
    """Return groups of two or more rows with the same name, ascending, by their first row."""
    order = names.argsort(kind="stable").astype(np.int64)
    bounds = np.flatnonzero(np.diff(names[order])) + 1
    starts, stops = np.append(0, bounds), np.append(bounds, names.size)
    crowds = np.flatnonzero(stops - starts > 1)
    found = [order[starts[at] : stops[at]] for at in crowds]
    return tuple(sorted(found, key=lambda rows: int(rows[0])))


def joined(names: NDArray[np.integer], left: Rows, right: Rows) -> NDArray[np.integer]:
    """Return names that are equal for rows joined by names (0 to n - 1) or chains of pairs."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = names.size
    ends = (names[left], names[right])
    table = coo_array((np.ones(left.size, np.int8), ends), shape=(n, n))
    _, component = connected_components(table, directed=False)
    found: NDArray[np.integer] = component[names]
    return found
