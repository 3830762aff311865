"""Exact copies: rows whose vectors are the same."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._threads import map_blocks
from .blocks import block_rows, take_rows

__all__ = ["distinct_rows", "row_hashes"]


def row_hashes(matrix: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return a number for each vector, the same for equal vectors and seldom otherwise.

    Parameters
    ----------
    matrix
        (n, d) finite float32 array or memory map.
    rows
        (m,) int64.

    Returns
    -------
    (m,) uint64

    Notes
    -----
    Zero and minus zero are the same. O(m·d) time in one pass.

    Examples
    --------
    >>> matrix = np.array([[0.0, 1.0], [1.0, 0.0], [-0.0, 1.0]], dtype=np.float32)
    >>> a, b, c = row_hashes(matrix, np.arange(3))
    >>> bool(a == c), bool(a == b)
    (True, False)
    """
    width = -(-matrix.shape[1] // 2)  # pairs of float32 are read as one number
    factors = np.random.default_rng(0).integers(0, 1 << 63, size=width, dtype=np.uint64)
    factors = factors * np.uint64(2) + np.uint64(1)  # odd: (w,)
    hashes = np.empty(rows.size, dtype=np.uint64)

    def work(part: slice) -> None:
        block = take_rows(matrix, rows[part]) + np.float32(0)  # (b, d), no minus zero
        if block.shape[1] % 2:
            block = np.pad(block, ((0, 0), (0, 1)))
        hashes[part] = np.ascontiguousarray(block).view(np.uint64) @ factors

    map_blocks(work, rows.size, block_rows(matrix.shape[1], 4 << 20))
    return hashes


def distinct_rows(
    matrix: NDArray[np.float32], rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return the first row of each distinct vector, and which of these each row is a copy of.

    Parameters
    ----------
    matrix
        (n, d) finite float32 array or memory map.
    rows
        (m,) int64, ascending.

    Returns
    -------
    distinct
        (p,) int64, ascending.
    copy_of
        (m,) int32: row ``rows[i]`` has the vector of row ``distinct[copy_of[i]]``.

    Notes
    -----
    O(m·d) time; 40 bytes of extra memory per row, and 8 MB.

    Examples
    --------
    >>> matrix = np.array([[1], [2], [1], [3], [2]], dtype=np.float32)
    >>> distinct, copy_of = distinct_rows(matrix, np.arange(5))
    >>> distinct.tolist(), copy_of.tolist()
    ([0, 1, 3], [0, 1, 0, 2, 1])
    """
    _, first, group = np.unique(row_hashes(matrix, rows), return_index=True, return_inverse=True)
    leader = first[group]  # (m,) position of the first row with this hash
    unequal = _unequal(matrix, rows, leader)
    while unequal.size:  # different vectors with one hash: tell them apart one leader at a time
        leader[unequal] = unequal[0]
        still = _unequal(matrix, rows, leader)
        unequal = np.intersect1d(unequal, still, assume_unique=True)
    own = leader == np.arange(rows.size)
    numbers = np.cumsum(own, dtype=np.int32) - 1
    return rows[own], numbers[leader].astype(np.int32)


def _unequal(
    matrix: NDArray[np.float32], rows: NDArray[np.int64], leader: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Return the positions whose vector is not that of their leader, ascending."""
    copies = np.flatnonzero(leader != np.arange(rows.size))
    size = block_rows(matrix.shape[1], 4 << 20)
    differs = np.zeros(copies.size, dtype=np.bool_)

    def work(part: slice) -> None:
        left = take_rows(matrix, rows[copies[part]])  # (b, d)
        right = take_rows(matrix, rows[leader[copies[part]]])  # (b, d)
        differs[part] = (left != right).any(axis=1)

    map_blocks(work, copies.size, size)
    return copies[differs]

