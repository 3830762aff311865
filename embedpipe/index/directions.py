"""Where vectors point, in fewer dimensions: their lengths do not count."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._threads import map_blocks
from .blocks import block_rows, take_rows
from .sketch import BLOCK_BYTES, SAMPLE, SKETCH_DIMENSIONS, principal_directions

__all__ = ["directions_of", "unit_length"]


def directions_of(matrix: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return `rows`, scaled to unit length, in the at most 128 dimensions of most spread.

    Parameters
    ----------
    matrix
        (n, d) finite float32 array or memory map.
    rows
        (p,) int64.

    Returns
    -------
    (p, m) float32
        As `sketch_of` the scaled rows: m is at most 128, d and p, and distances are at most those
        of the scaled rows, hence at most 2. A row of zeros stays one. The same bits on any number
        of threads.

    Notes
    -----
    Time and memory are those of `sketch_of`.

    Examples
    --------
    >>> matrix = np.array([[3, 0], [0, 2], [9, 0]], dtype=np.float32)
    >>> found = directions_of(matrix, np.arange(3))
    >>> [round(float(np.linalg.norm(found[0] - other)), 3) for other in found]
    [0.0, 1.414, 0.0]
    """
    d = matrix.shape[1]
    if not rows.size:
        return np.empty((0, min(d, SKETCH_DIMENSIONS)), dtype=np.float32)
    sample = unit_length(take_rows(matrix, rows[:: -(-rows.size // SAMPLE)]))  # (s, d)
    centre = sample.mean(axis=0, dtype=np.float64).astype(np.float32)  # (d,)
    axes = principal_directions(sample) if d > SKETCH_DIMENSIONS else None  # (d, m)
    found = np.empty((rows.size, d if axes is None else axes.shape[1]), dtype=np.float32)

    def work(part: slice) -> None:
        moved = unit_length(take_rows(matrix, rows[part])) - centre  # (b, d)
        found[part] = moved if axes is None else moved @ axes

    map_blocks(work, rows.size, block_rows(d, BLOCK_BYTES))
    return found


def unit_length(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a copy of (b, d) vectors scaled to unit length; zeros stay zeros.

    Examples
    --------
    >>> unit_length(np.array([[3e30, 4e30], [0, 0]], dtype=np.float32)).round(6).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    largest = np.abs(vectors).max(axis=1, keepdims=True)  # (b, 1); squares of more would overflow
    scaled = np.divide(vectors, np.where(largest > 0, largest, 1), dtype=np.float32)  # (b, d)
    norms = np.sqrt(np.einsum("ij,ij->i", scaled, scaled))[:, None]  # (b, 1)
    scaled /= np.where(norms > 0, norms, 1)
    return scaled
