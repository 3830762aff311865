"""The item in the middle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .frame import Frame, rounded, squared_distances
from .vectors import Vectors, row_blocks, take_wide

__all__ = ["mean_vector", "nearest_to_mean"]

ROWS = 512
"""How many rows are added up at once; part of the definition of the mean."""


def mean_vector(matrix: Vectors, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean of `rows`, summed in float64 over 512 rows at a time.

    Parameters
    ----------
    matrix
        (n, d) float32 array or memory map, or `UnitRows` of one.
    rows
        (m,) int64, at least one.

    Returns
    -------
    (d,) float64
        The same to the last bit whatever the number of threads.

    Examples
    --------
    >>> mean_vector(np.array([[0, 2], [4, 4]], dtype=np.float32), np.array([0, 1])).tolist()
    [2.0, 3.0]
    """
    total = np.zeros(matrix.shape[1])
    for part in row_blocks(rows.size, ROWS):
        total += take_wide(matrix, rows[part]).sum(axis=0)  # (d,)
    return total / rows.size


def nearest_to_mean(matrix: Vectors, rows: NDArray[np.int64]) -> int:
    """Return the position in `rows` of the item nearest to their mean, the first of several.

    Parameters
    ----------
    matrix
        (n, d) finite float32 array or memory map, or `UnitRows` of one.
    rows
        (m,) int64, at least one.

    Returns
    -------
    int
        The position with the smallest `squared_distances` to `mean_vector`; between rows of unit
        length, rounded as in `between`.

    Notes
    -----
    O(m·d) time in two passes; 16 bytes of extra memory per row and a block of 512 rows.

    Examples
    --------
    >>> nearest_to_mean(np.array([[0], [1], [5]], dtype=np.float32), np.arange(3))
    1
    """
    mean = mean_vector(matrix, rows)  # (d,)
    lower, upper = _distance_bounds(matrix, rows, mean)  # (m,), (m,)
    rivals = np.flatnonzero(lower <= upper.min())
    found = np.empty(rivals.size)
    for part in row_blocks(rivals.size, ROWS):
        found[part] = squared_distances(take_wide(matrix, rows[rivals[part]]), mean)
    found = rounded(matrix, found)
    return int(rivals[found.argmin()])


def _distance_bounds(
    matrix: Vectors, rows: NDArray[np.int64], mean: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bound the distances to `mean` by float32 distances to `mean` rounded to float32."""
    frame = Frame.around(matrix, rows)
    with np.errstate(over="ignore"):
        frame = replace(frame, shift=(mean * frame.scale).astype(np.float32))
    if not np.isfinite(frame.shift).all():
        return np.zeros(rows.size), np.full(rows.size, np.inf)
    norms = np.empty(rows.size)
    for part in row_blocks(rows.size, ROWS):
        norms[part] = frame.rows(rows[part]).norms
    rounded = float(np.linalg.norm(frame.shift - mean * frame.scale)) * (1 + 1e-9)
    lower = np.sqrt(np.maximum(norms * (1 - frame.error) - frame.slack, 0)) - rounded
    upper = np.sqrt(norms * (1 + frame.error) + frame.slack) + rounded
    lower[np.isinf(norms)] = 0  # overflowed: could be anything
    return lower * (1 - 1e-9), upper * (1 + 1e-9)
