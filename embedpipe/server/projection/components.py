"""The plane in which vectors spread most."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..._threads import one_blas_thread
from ...index import UnitRows
from ...index.sketch import sketch_of

__all__ = ["FULL", "on_the_map", "plane_of"]

BLOCK_ROWS = 8192

FULL = 65535
"""Where the map ends: the largest uint16."""


def plane_of(matrix: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return `rows` along the two principal components of the vectors scaled to unit length.

    Parameters
    ----------
    matrix
        (n, d) finite float32 array or memory map.
    rows
        (p,) int64.

    Returns
    -------
    (p, 2) float32
        The most spread first; zeros where there is no such direction. The same bits on any number
        of threads.

    Notes
    -----
    O(p·d·m) for m at most 128, and 512 bytes a row meanwhile.

    Examples
    --------
    >>> matrix = np.array([[3, 0], [0, 2], [9, 0]], dtype=np.float32)
    >>> (9 * plane_of(matrix, np.arange(3)) ** 2).round(3).tolist()
    [[2.0, 0.0], [8.0, 0.0], [2.0, 0.0]]
    """
    found = sketch_of(UnitRows(matrix), rows)  # (p, m)
    plane = np.zeros((rows.size, 2), dtype=np.float32)
    if not rows.size:
        return plane
    centre = found.mean(axis=0, dtype=np.float64).astype(np.float32)
    found -= centre
    products = np.zeros((found.shape[1], found.shape[1]))
    with one_blas_thread():
        for start in range(0, len(found), BLOCK_ROWS):
            block = found[start : start + BLOCK_ROWS].astype(np.float64)  # (b, m)
            products += block.T @ block
        _, axes = np.linalg.eigh(products)  # (m, m), the most spread last
        top = axes[:, ::-1][:, :2].astype(np.float32)  # (m, at most 2)
        plane[:, : top.shape[1]] = found @ top
    return plane


def on_the_map(plane: NDArray[np.floating]) -> NDArray[np.uint16]:
    """Return (p, 2) little-endian uint16: a plane stretched so that each axis is 0 to 65,535.

    An axis on which all are equal is 0.

    Examples
    --------
    >>> on_the_map(np.array([[-1.0, 5.0], [1.0, 5.0], [0.0, 5.0]])).tolist()
    [[0, 0], [65535, 0], [32768, 0]]
    """
    low = plane.min(axis=0, initial=np.inf)
    width = np.maximum(plane.max(axis=0, initial=-np.inf) - low, 1e-9)
    return np.asarray(np.rint((plane - low) / width * FULL), dtype="<u2")
