"""Frames in which nothing overflows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._threads import map_blocks
from .blocks import Vectors, block_rows
from .frame import Frame

__all__ = ["safe_frame"]

BLOCK_BYTES = 4 << 20
"""How many bytes of vectors are moved at once."""


def safe_frame(matrix: Vectors, rows: NDArray[np.int64]) -> tuple[Frame, NDArray[np.float64]]:
    """Return a frame in which the squared norms of all `rows` stay in range, and these norms.

    Parameters
    ----------
    matrix
        (n, d) finite float32 array or memory map, or `UnitRows` of one.
    rows
        (m,) int64, at least one.

    Returns
    -------
    frame
        `Frame.around` the rows, or the first coarser one in which no squared norm comes near
        the largest float32.
    norms
        (m,) float64 squared norms of the moved rows.

    Notes
    -----
    O(m·d) time in one pass, seldom two; 8 bytes of extra memory per row and 4 MB per thread.

    Examples
    --------
    >>> frame, norms = safe_frame(np.array([[1000], [1002]], dtype=np.float32), np.arange(2))
    >>> norms.tolist()
    [1.0, 1.0]
    """
    frame = Frame.around(matrix, rows)
    norms = np.empty(rows.size)
    while True:

        def work(part: slice, frame: Frame = frame) -> None:
            norms[part] = frame.rows(rows[part]).norms

        map_blocks(work, rows.size, block_rows(matrix.shape[1], BLOCK_BYTES))
        if norms.max() < frame.overflow:
            return frame, norms
        frame = frame.coarser()
