"""Growing sets of centres, bounds on the distances to them, and the nearest centre of a set."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .distances import Frame, FrameRows, between
from .vectors import Vectors, block_rows, row_blocks

__all__ = ["Bounds", "Centres", "Places", "nearest_in_set", "nearest_of_set"]

Float64s: TypeAlias = NDArray[np.float64]
Places: TypeAlias = "NDArray[np.int64] | NDArray[np.intp] | slice"

CHUNK = 256
"""Centres per matrix product."""

SET_ROWS = 4096
"""Maximum centres of a set per block."""

KEPT_BYTES = 64 << 20
"""Maximum bytes of frame vectors in memory."""


@dataclass
class _Chunk:
    vectors: NDArray[np.float32]  # (CHUNK, d)
    norms: NDArray[np.float64]  # (CHUNK,)
    filled: int = 0


class Centres:
    """Rows of a matrix, numbered in the order they were added.

    Their vectors in the frame are computed in chunks of 256. At most 64 MB of chunks are kept in
    memory.
    """

    def __init__(self, frame: Frame, rows: NDArray[np.int64]) -> None:
        self._frame = frame
        self._rows = np.array(rows, dtype=np.int64)
        self._count = self._rows.size
        self._chunks: OrderedDict[int, _Chunk] = OrderedDict()
        self._kept = max(2, block_rows(frame.matrix.shape[1], KEPT_BYTES) // CHUNK)

    def __len__(self) -> int:
        return self._count

    @property
    def rows(self) -> NDArray[np.int64]:
        """The (m,) rows of the centres, in the order they were added."""
        return self._rows[: self._count]

    def append(self, row: int) -> None:
        """Add a centre."""
        if self._count == self._rows.size:
            self._rows = np.concatenate([self._rows, np.empty_like(self._rows)])
        self._rows[self._count] = row
        self._count += 1

    def spans(self, start: int, stop: int) -> Iterator[tuple[int, FrameRows]]:
        """Yield blocks of the centres from `start` to `stop`: number of the first, and vectors."""
        while start < stop:
            number, first = divmod(start, CHUNK)
            last = min(CHUNK, stop - number * CHUNK)
            chunk = self._chunk(number, last)
            yield start, FrameRows(chunk.vectors[first:last], chunk.norms[first:last])
            start += last - first

    def _chunk(self, number: int, wanted: int) -> _Chunk:
        """Return a chunk with at least `wanted` computed centres."""
        chunk = self._chunks.pop(number, None)
        if chunk is None:
            shape = (CHUNK, self._frame.matrix.shape[1])
            chunk = _Chunk(np.empty(shape, dtype=np.float32), np.empty(CHUNK))
        if chunk.filled < wanted:
            new = slice(chunk.filled, wanted)
            shifted = self._frame.rows(self.rows[number * CHUNK :][new])
            # A centre that overflows in the frame is never the nearest.
            is_far = np.isinf(shifted.norms)
            chunk.vectors[new] = np.where(is_far[:, None], 0, shifted.vectors)
            chunk.norms[new] = shifted.norms
            chunk.filled = wanted
        self._chunks[number] = chunk  # the most recent is last
        while len(self._chunks) > self._kept:
            self._chunks.popitem(last=False)
        return chunk


@dataclass
class Bounds:
    """Bounds on the squared distances of m items to the nearest centre they were compared with.

    If `upper` equals `lower`, both are the true squared distance. Otherwise `near` is certainly the
    nearest of these centres, and its squared distance is between `lower` and `upper`. An item takes
    32 bytes.
    """

    norms: Float64s  # (m,) squared norms in the frame of the estimates
    upper: Float64s  # (m,)
    lower: Float64s  # (m,)
    near: NDArray[np.int32]  # (m,) numbers of centres
    seen: NDArray[np.int32]  # (m,) number of centres compared, from the first centre on

    @classmethod
    def unknown(cls, m: int) -> Bounds:
        """Return the bounds of `m` items before any comparison."""
        far = np.full(m, np.inf)
        none = np.zeros(m, dtype=np.int32)
        return cls(np.zeros(m), far, far.copy(), none, none.copy())

    @property
    def known(self) -> NDArray[np.bool_]:
        """(m,) mask of the items whose true squared distance is known."""
        return self.lower >= self.upper

    def take(self, at: Places) -> Bounds:
        """Return the bounds of the items `at`."""
        return Bounds(*(values[at] for values in self._arrays()))

    def put(self, at: Places, bounds: Bounds) -> None:
        """Overwrite the bounds of the items `at`."""
        for values, new in zip(self._arrays(), bounds._arrays(), strict=True):
            values[at] = new

    def settle(self, at: Places | int, values: Float64s | float) -> None:
        """Record the true values of the items `at`."""
        self.upper[at] = self.lower[at] = values

    def lower_to(self, upper: Float64s, lower: Float64s, near: NDArray[Any] | int) -> None:
        """Replace the bounds and the nearest centre of the items whose new `upper` is smaller.

        If the new centre is not certainly nearer to an item, call `settle` for the item afterwards.
        """
        closer = upper < self.upper
        self.upper = np.where(closer, upper, self.upper)
        self.lower = np.where(closer, lower, self.lower)
        self.near = np.where(closer, near, self.near).astype(np.int32)

    def _arrays(self) -> list[NDArray[Any]]:
        return [self.norms, self.upper, self.lower, self.near, self.seen]


def nearest_of_set(
    matrix: Vectors, rows: NDArray[np.int64], centres: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the nearest of `centres` (p,) to each of `rows` (m,), and its distance: (m,), (m,).

    See `nearest_in_set`.

    Examples
    --------
    >>> matrix = np.array([[0], [1], [5], [3]], dtype=np.float32)
    >>> nearest, distances = nearest_of_set(matrix, np.array([1, 3]), np.array([0, 2]))
    >>> nearest.tolist(), distances.tolist()
    ([0, 2], [1.0, 2.0])
    """
    nearest, distances = nearest_in_set(matrix, rows, centres, 1)
    return nearest[:, 0], distances[:, 0]


def nearest_in_set(
    matrix: Vectors, rows: NDArray[np.int64], centres: NDArray[np.int64], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the `k` nearest of `centres` (p,) to each of `rows` (m,), nearest first.

    FAISS compares in float32, so a returned centre may be slightly farther than one that is not
    returned. The returned distances are in float64. Time: O(m·p·d) for vectors of length d. Memory:
    32·k bytes per row, and a 16 MB block.

    Returns
    -------
    tuple of ndarray
        (m, k) int64 rows of the matrix, and (m, k) float64 distances; at most p columns.

    Examples
    --------
    >>> matrix = np.array([[0], [1], [5], [3]], dtype=np.float32)
    >>> nearest, distances = nearest_in_set(matrix, np.array([1, 3]), np.array([0, 2]), 2)
    >>> nearest.tolist(), distances.tolist()
    ([[0, 2], [2, 0]], [[1.0, 4.0], [2.0, 3.0]])
    """
    import faiss

    frame = Frame.around(matrix, centres)
    k = min(k, centres.size)
    nearest = np.zeros((rows.size, k), dtype=np.int64)
    squared = np.full((rows.size, k), np.inf)
    for some in row_blocks(centres.size, SET_ROWS):
        members = frame.rows(centres[some]).vectors  # (p, d)
        for part in row_blocks(rows.size, block_rows(matrix.shape[1])):
            _, found = faiss.knn(frame.rows(rows[part]).vectors, members, min(k, len(members)))
            rivals = centres[some][found]  # (b, at most k)
            own = np.broadcast_to(rows[part, None], rivals.shape)
            away = between(matrix, own.ravel(), rivals.ravel()).reshape(rivals.shape)
            both = np.hstack([squared[part], away])  # (b, at most 2·k)
            best = np.argsort(both, axis=1, kind="stable")[:, :k]
            squared[part] = np.take_along_axis(both, best, axis=1)
            nearest[part] = np.take_along_axis(np.hstack([nearest[part], rivals]), best, axis=1)
    return nearest, np.sqrt(squared)
