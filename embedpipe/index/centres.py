"""A growing list of centres whose moved vectors are kept at hand."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .blocks import block_rows
from .frame import Frame, Moved

__all__ = ["Centres"]

CHUNK = 256
"""How many centres one matrix product takes."""

KEPT_BYTES = 64 << 20
"""How many bytes of moved vectors are kept; the rest is moved again when it is needed."""


@dataclass
class _Chunk:
    vectors: NDArray[np.float32]  # (CHUNK, d)
    norms: NDArray[np.float64]  # (CHUNK,)
    filled: int = 0


class Centres:
    """Rows of a matrix that are numbered in the order they came, by 256 at a time.

    Parameters
    ----------
    frame
        What moves them.
    rows
        (m,) int64 rows to start from.

    Notes
    -----
    Extra memory: 8 to 16 bytes per centre, and 64 MB of moved vectors at most.

    Examples
    --------
    >>> matrix = np.array([[0], [2], [4]], dtype=np.float32)
    >>> centres = Centres(Frame.around(matrix, np.arange(3)), np.array([0]))
    >>> centres.append(2)
    >>> [(start, moved.vectors.ravel().tolist()) for start, moved in centres.spans(0, 2)]
    [(0, [-2.0, 2.0])]
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
        """The (m,) rows, by number."""
        return self._rows[: self._count]

    def append(self, row: int) -> None:
        """Add a centre; its number is the length before."""
        if self._count == self._rows.size:
            self._rows = np.concatenate([self._rows, np.empty_like(self._rows)])
        self._rows[self._count] = row
        self._count += 1

    def spans(self, start: int, stop: int) -> Iterator[tuple[int, Moved]]:
        """Yield the centres from `start` to before `stop` in runs with their first number."""
        while start < stop:
            number, first = divmod(start, CHUNK)
            last = min(CHUNK, stop - number * CHUNK)
            chunk = self._chunk(number, last)
            yield start, Moved(chunk.vectors[first:last], chunk.norms[first:last])
            start += last - first

    def _chunk(self, number: int, wanted: int) -> _Chunk:
        """Return a chunk in which at least `wanted` centres are filled in."""
        chunk = self._chunks.pop(number, None)
        if chunk is None:
            shape = (CHUNK, self._frame.matrix.shape[1])
            chunk = _Chunk(np.empty(shape, dtype=np.float32), np.empty(CHUNK))
        if chunk.filled < wanted:
            new = slice(chunk.filled, wanted)
            moved = self._frame.rows(self.rows[number * CHUNK :][new])
            chunk.vectors[new], chunk.norms[new] = moved.vectors, moved.norms
            chunk.filled = wanted
        self._chunks[number] = chunk  # the most recent last
        while len(self._chunks) > self._kept:
            self._chunks.popitem(last=False)
        return chunk
