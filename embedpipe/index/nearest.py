"""How far items are from the nearest of a set."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .blocks import Vectors, block_rows, row_blocks
from .frame import Frame, between

__all__ = ["nearest_of_set"]

CENTRES = 4096
"""How many members of the set are searched at once."""


def nearest_of_set(
    matrix: Vectors, rows: NDArray[np.int64], centres: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return, for each of `rows`, the nearest of `centres` and the distance to it.

    Parameters
    ----------
    matrix
        (n, d) finite float32 array or memory map, or `UnitRows` of one.
    rows
        (m,) int64.
    centres
        (p,) int64, at least one.

    Returns
    -------
    nearest
        (m,) int64 rows of the matrix. Where two centres are equally far to float32 precision,
        either may be given.
    distances
        (m,) float64 Euclidean distances to them.

    Notes
    -----
    Every pair is searched by FAISS on moved and scaled float32 rows, and the distance to the one
    found is worked out in float64. O(m·p·d) time; extra memory: 16 bytes per row, a 16 MB block
    and 4096 centres at a time.

    Examples
    --------
    >>> matrix = np.array([[0], [1], [5], [3]], dtype=np.float32)
    >>> nearest, distances = nearest_of_set(matrix, np.array([1, 3]), np.array([0, 2]))
    >>> nearest.tolist(), distances.tolist()
    ([0, 2], [1.0, 2.0])
    """
    import faiss

    frame = Frame.around(matrix, centres)
    nearest = np.zeros(rows.size, dtype=np.int64)
    squared = np.full(rows.size, np.inf)
    for some in row_blocks(centres.size, CENTRES):
        members = frame.rows(centres[some]).vectors  # (p, d)
        for part in row_blocks(rows.size, block_rows(matrix.shape[1])):
            _, found = faiss.knn(frame.rows(rows[part]).vectors, members, 1)  # (b, 1)
            rival = centres[some][found[:, 0]]  # (b,)
            away = between(matrix, rows[part], rival)  # (b,)
            closer = away < squared[part]
            nearest[part] = np.where(closer, rival, nearest[part])
            squared[part] = np.minimum(squared[part], away)
    return nearest, np.sqrt(squared)
