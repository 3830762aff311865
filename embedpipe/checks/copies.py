"""Exact duplicates: items whose files have the same bytes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .groups import Rows, groups_of

__all__ = ["exact_duplicates", "first_of_content"]


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
