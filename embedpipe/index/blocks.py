"""Walking over many rows of a matrix without copying it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .unit_rows import UnitRows

__all__ = [
    "Vectors",
    "block_rows",
    "first_non_finite",
    "row_blocks",
    "take_plain",
    "take_rows",
    "take_wide",
]

Vectors: TypeAlias = "NDArray[np.float32] | UnitRows"
"""What distances are measured on: a matrix, or its rows scaled to unit length when read."""

BLOCK_BYTES = 16 << 20
"""How many bytes of float32 vectors one block holds, unless a caller says otherwise."""


def block_rows(dim: int, block_bytes: int = BLOCK_BYTES) -> int:
    """Return how many rows of `dim` float32 values fit in `block_bytes`, at least 1.

    Examples
    --------
    >>> block_rows(1024, 1 << 20)
    256
    """
    return max(1, block_bytes // (4 * max(1, dim)))


def row_blocks(n: int, size: int) -> Iterator[slice]:
    """Yield slices of at most `size` that cover ``range(n)`` in order.

    Examples
    --------
    >>> [(part.start, part.stop) for part in row_blocks(5, 2)]
    [(0, 2), (2, 4), (4, 5)]
    """
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def take_rows(vectors: Vectors, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return some rows as a plain float32 array; of a matrix as a view where they are consecutive.

    Parameters
    ----------
    vectors
        (n, d) float32 array or memory map, or `UnitRows` of one.
    rows
        (m,) int64 rows.

    Returns
    -------
    (m, d) float32
        Not to be written to: it may be the matrix itself.

    Examples
    --------
    >>> take_rows(np.eye(3, dtype=np.float32), np.array([2, 0])).tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    return take_plain(vectors, rows) if isinstance(vectors, np.ndarray) else vectors.narrow(rows)


def take_wide(vectors: Vectors, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return some rows as a new (m, d) float64 array: what distances are defined by.

    Examples
    --------
    >>> take_wide(np.eye(2, dtype=np.float32), np.array([1])).tolist()
    [[0.0, 1.0]]
    """
    if isinstance(vectors, np.ndarray):
        return take_plain(vectors, rows).astype(np.float64)
    return vectors.wide(rows)


def take_plain(matrix: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return ``matrix[rows]`` as a plain array, as a view where the rows are consecutive."""
    plain = np.asarray(matrix)
    if rows.size > 1 and rows[-1] - rows[0] == rows.size - 1 and (np.diff(rows) == 1).all():
        return plain[rows[0] : rows[-1] + 1]  # (m, d), no copy
    return plain.take(rows, axis=0)  # (m, d)


def first_non_finite(matrix: NDArray[np.float32], rows: NDArray[np.int64]) -> int | None:
    """Return the first of `rows` whose vector holds NaN or infinity, or None.

    Parameters
    ----------
    matrix
        (n, d) float32 array or memory map.
    rows
        (m,) int64 rows to look at.

    Notes
    -----
    O(m·d) time; extra memory: one block of at most 16 MB.

    Examples
    --------
    >>> matrix = np.array([[1, 2], [np.inf, 0], [np.nan, 1]], dtype=np.float32)
    >>> first_non_finite(matrix, np.array([0, 2, 1]))
    2
    """
    ones = np.ones(matrix.shape[1], dtype=np.float32)
    for part in row_blocks(rows.size, block_rows(matrix.shape[1])):
        block = take_rows(matrix, rows[part])  # (b, d)
        with np.errstate(all="ignore"):
            sums = block @ ones  # (b,), finite only if every term is
        doubtful = np.flatnonzero(~np.isfinite(sums))
        bad = doubtful[~np.isfinite(block[doubtful]).all(axis=1)]
        if bad.size:
            return int(rows[part][bad[0]])
    return None
