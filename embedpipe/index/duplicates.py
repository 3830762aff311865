"""Exact duplicates: rows with equal vectors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._threads import map_blocks
from .vectors import Vectors, block_rows, on_parts, row_blocks, take_rows

__all__ = ["distinct_rows", "find_rows", "row_hashes"]

BLOCK_BYTES = 1 << 20
"""Bytes of vectors per block; a block fits in the processor's cache."""

BLOCKS = 16
"""Blocks per task of a thread; they share buffers."""

MIXER = np.uint64(0xFF51AFD7ED558CCD)
"""An odd constant without pattern (from MurmurHash3)."""


def row_hashes(matrix: Vectors, rows: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return a hash of each vector of ascending rows; equal vectors have equal hashes."""
    return np.concatenate([np.empty(0, np.uint64), *on_parts(matrix, rows, hashes_here)])


def hashes_here(matrix: Vectors, rows: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return `row_hashes` of any rows, computed by this process."""
    # Minus zero becomes zero. Two float32 values are read as one 64-bit number, and its bits are
    # mixed, because many values have few set bits. The numbers are summed with random odd factors
    # modulo 2**64 (multilinear hashing; Lemire and Kaser 2014, arXiv:1202.4961). Time for m rows of
    # length d: O(m·d) in one pass. Memory: 8 bytes per row and 2 MB per thread.
    d = matrix.shape[1]
    width = -(-d // 2)  # 64-bit numbers
    factors = np.random.default_rng(0).integers(0, 1 << 63, size=width, dtype=np.uint64)
    factors = factors * np.uint64(2) + np.uint64(1)  # odd: (w,)
    hashes = np.empty(rows.size, dtype=np.uint64)

    size = block_rows(d, BLOCK_BYTES)

    def work(part: slice) -> None:
        buffer = np.empty((size, 2 * width), dtype=np.float32)
        spare = np.empty((size, width), dtype=np.uint64)
        for block in row_blocks(part.stop - part.start, size):
            taken = take_rows(matrix, rows[part][block])  # (b, d)
            buffer[:, d:] = 0
            np.add(taken, np.float32(0), out=buffer[: len(taken), :d])  # minus zero becomes zero
            words, high = buffer.view(np.uint64)[: len(taken)], spare[: len(taken)]  # (b, w)
            words ^= np.right_shift(words, np.uint64(32), out=high)
            words *= MIXER
            words ^= np.right_shift(words, np.uint64(29), out=high)
            hashes[part][block] = words @ factors

    map_blocks(work, rows.size, BLOCKS * size)
    return hashes


def distinct_rows(
    matrix: Vectors, rows: NDArray[np.int64], hashes: NDArray[np.uint64] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return the first row of each unique vector, (p,), and the unique vector of each row, (m,).

    A unique vector is given as its position among the first rows. `rows` must be ascending. Rows
    with equal hashes are compared, so collisions are harmless. `hashes` are the known results of
    `row_hashes`. Time: O(m·d) for m rows of length d. Memory: 40 bytes per row and 2 MB per thread.

    Examples
    --------
    >>> matrix = np.array([[1], [2], [1], [3], [2]], dtype=np.float32)
    >>> distinct, copy_of = distinct_rows(matrix, np.arange(5))
    >>> distinct.tolist(), copy_of.tolist()
    ([0, 1, 3], [0, 1, 0, 2, 1])
    """
    if hashes is None:
        hashes = row_hashes(matrix, rows)
    _, first, group = np.unique(hashes, return_index=True, return_inverse=True)
    leader = first[group]  # (m,) position of the first row with this hash
    own = leader == np.arange(rows.size)
    copies = np.flatnonzero(~own)
    differs = ~_same(matrix, rows[copies], rows[leader[copies]])
    firsts: dict[bytes, int] = {}
    for at in copies[differs].tolist():  # a hash collision
        leader[at] = firsts.setdefault(
            (take_rows(matrix, rows[[at]]) + np.float32(0)).tobytes(), at
        )
        own[at] = leader[at] == at
    numbers = np.cumsum(own, dtype=np.int32) - np.int32(1)
    return rows[own], numbers[leader]


def find_rows(
    matrix: Vectors,
    points: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    rows: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Return the position in `points` of the vector of each row; -1 if no point has this vector."""
    order = hashes.argsort(kind="stable")
    ordered, wanted = hashes[order], hashes_here(matrix, rows)
    at, stop = np.searchsorted(ordered, wanted), np.searchsorted(ordered, wanted, side="right")
    found = np.full(rows.size, -1, dtype=np.int64)
    pending = np.flatnonzero(at < stop)
    while pending.size:  # once, unless hashes collide
        rival = order[at[pending]]
        same = _same(matrix, rows[pending], points[rival])
        found[pending[same]] = rival[same]
        at[pending] += 1
        pending = pending[~same & (at[pending] < stop[pending])]
    return found


def _same(matrix: Vectors, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether the vectors of matching rows are equal: (m,)."""
    same = np.empty(left.size, dtype=np.bool_)

    def work(part: slice) -> None:
        pairs = take_rows(matrix, left[part]), take_rows(matrix, right[part])
        same[part] = np.equal(*pairs).all(axis=1)

    map_blocks(work, left.size, block_rows(matrix.shape[1], BLOCK_BYTES))
    return same
