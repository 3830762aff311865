"""The rows of a matrix that are most similar to a vector, by cosine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._threads import map_blocks

__all__ = ["cosines_to", "nearest_rows"]

BLOCK_ROWS = 4096
"""Number of rows that a thread processes at once."""


def cosines_to(matrix: NDArray[np.float32], vector: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the (m,) cosines of the rows of an (m, d) matrix with a (d,) vector; 0 for zeros."""
    # O(m·d) time; 4 bytes for each row.
    cosines = np.empty(len(matrix), dtype=np.float32)
    length = float(np.linalg.norm(vector.astype(np.float64)))
    unit = (vector / (length or 1.0)).astype(np.float32)

    def work(part: slice) -> None:
        rows = matrix[part]
        lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))
        np.divide(rows @ unit, np.where(lengths > 0.0, lengths, 1.0), out=cosines[part])

    map_blocks(work, len(matrix), BLOCK_ROWS)
    return cosines


def nearest_rows(cosines: NDArray[np.float32], n: int) -> NDArray[np.int64]:
    """Return the `n` rows of the largest cosines, in order; equal cosines in ascending order."""
    n = min(n, len(cosines))
    lowest = -np.partition(-cosines, n - 1)[n - 1] if n else np.inf
    near = np.flatnonzero(cosines >= lowest)
    near = near[np.argsort(-cosines[near], kind="stable")]
    return np.asarray(near[:n], dtype=np.int64)
