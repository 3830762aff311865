"""Items like a given one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._threads import map_blocks

__all__ = ["most_similar"]

BLOCK_ROWS = 4096


def most_similar(matrix: NDArray[np.float32], row: int, n: int) -> NDArray[np.int64]:
    """Return the rows with the least angle to one row of (m, d) vectors, without itself.

    Returns
    -------
    ndarray
        (min(n, m - 1),) int64, the most similar first, ties by lowest row.

    Notes
    -----
    O(m·d) time; 4 bytes of extra memory per row.

    Examples
    --------
    >>> vectors = np.array([[1, 0], [0, 1], [2, 1], [3, 0]], dtype=np.float32)
    >>> most_similar(vectors, 0, 2).tolist()
    [3, 2]
    """
    wanted = matrix[row]
    found = np.empty(len(matrix), dtype=np.float32)

    def work(part: slice) -> None:
        rows = matrix[part]
        lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))
        np.divide(rows @ wanted, np.where(lengths > 0.0, lengths, 1.0), out=found[part])

    map_blocks(work, len(matrix), BLOCK_ROWS)
    found[row] = -np.inf
    n = min(n, len(matrix) - 1)
    least = -np.partition(-found, n - 1)[n - 1] if n else np.inf
    near = np.flatnonzero(found >= least)
    near = near[np.argsort(-found[near], kind="stable")]
    return np.asarray(near[near != row][:n], dtype=np.int64)
