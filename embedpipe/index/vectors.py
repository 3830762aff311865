"""Rows for the measurement of distances, unchanged or scaled to unit length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError

__all__ = [
    "METRICS",
    "UnitRows",
    "Vectors",
    "block_rows",
    "check_metric",
    "first_non_finite",
    "lengths_of",
    "row_blocks",
    "take_plain",
    "take_rows",
    "take_wide",
    "unit_length",
    "vectors_of",
]

Vectors: TypeAlias = "NDArray[np.float32] | UnitRows"
"""A matrix, or its rows scaled to unit length on reading."""

BLOCK_BYTES = 16 << 20
"""Default bytes of float32 vectors per block."""


def block_rows(dim: int, block_bytes: int = BLOCK_BYTES) -> int:
    """Return the number of rows of `dim` float32 values in `block_bytes`, at least 1."""
    return max(1, block_bytes // (4 * max(1, dim)))


def row_blocks(n: int, size: int) -> Iterator[slice]:
    """Yield slices of at most `size` that cover ``range(n)`` in order."""
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def take_rows(vectors: Vectors, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return (m,) rows as an (m, d) float32 array.

    Consecutive rows of a matrix are returned as a view: do not write to the result.

    Examples
    --------
    >>> take_rows(np.eye(3, dtype=np.float32), np.array([2, 0])).tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    return take_plain(vectors, rows) if isinstance(vectors, np.ndarray) else vectors.narrow(rows)


def take_wide(vectors: Vectors, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (m,) rows as a new (m, d) float64 array, from which true distances are computed."""
    if isinstance(vectors, np.ndarray):
        return take_plain(vectors, rows).astype(np.float64)
    return vectors.wide(rows)


def take_plain(matrix: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return ``matrix[rows]`` as a plain array, a view if the rows are consecutive."""
    plain = np.asarray(matrix)
    if rows.size > 1 and rows[-1] - rows[0] == rows.size - 1 and (np.diff(rows) == 1).all():
        return plain[rows[0] : rows[-1] + 1]  # (m, d), no copy
    return plain.take(rows, axis=0)  # (m, d)


def first_non_finite(matrix: NDArray[np.float32], rows: NDArray[np.int64]) -> int | None:
    """Return the first of `rows` that contains NaN or infinity, or None."""
    ones = np.ones(matrix.shape[1], dtype=np.float32)
    for part in row_blocks(rows.size, block_rows(matrix.shape[1])):
        block = take_rows(matrix, rows[part])  # (b, d)
        with np.errstate(all="ignore"):
            sums = block @ ones  # (b,), finite only if every term is finite
        doubtful = np.flatnonzero(~np.isfinite(sums))
        bad = doubtful[~np.isfinite(block[doubtful]).all(axis=1)]
        if bad.size:
            return int(rows[part][bad[0]])
    return None


METRICS = ("cosine", "euclidean")
"""Names of the metrics."""


class UnitRows:
    """The rows of a matrix, scaled to unit length on reading.

    The Euclidean distance between two such rows is √(2 − 2·cos), from 0 to 2. A row of zeros is
    not changed, as in the heads. Its distance to every unit vector is 1.

    Parameters
    ----------
    matrix
        (n, d) finite float32 array or memory map; never copied or written to.

    Notes
    -----
    Lengths are computed in float64 on the first read and kept: 8 bytes per row.

    Examples
    --------
    >>> rows = UnitRows(np.array([[3, 4], [0, 0], [0, 2]], dtype=np.float32))
    >>> rows.narrow(np.array([0, 1, 2])).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0], [0.0, 1.0]]
    """

    def __init__(self, matrix: NDArray[np.float32]) -> None:
        self.matrix = matrix
        self._lengths = np.full(len(matrix), np.nan)  # (n,), NaN if not yet computed

    def __len__(self) -> int:
        return len(self.matrix)

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of the matrix."""
        n, d = self.matrix.shape
        return n, d

    def lengths(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the divisors of (m,) rows: their lengths, or 1 for a row of zeros."""
        return self._taken(rows)[1][:, 0]

    def narrow(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return (m, d) new float32 rows, rounded once from float64."""
        taken, lengths = self._taken(rows)
        found = np.empty(taken.shape, dtype=np.float32)
        np.divide(taken, lengths, out=found, dtype=np.float64, casting="same_kind")
        return found

    def wide(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return (m, d) new float64 rows, from which true distances are computed."""
        taken, lengths = self._taken(rows)
        found: NDArray[np.float64] = np.divide(taken, lengths, dtype=np.float64)
        return found

    def _taken(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return rows of the matrix, (m, d), and their lengths, (m, 1)."""
        taken = take_plain(self.matrix, rows)  # (m, d)
        lengths = self._lengths[rows]  # (m,)
        new = np.isnan(lengths)
        if new.any():
            lengths[new] = _lengths(taken[new])
            self._lengths[rows] = lengths
        return taken, lengths[:, None]


def unit_length(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a copy of (b, d) vectors scaled to unit length; zeros stay zeros."""
    return UnitRows(vectors).narrow(np.arange(len(vectors)))


def lengths_of(vectors: Vectors, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the divisors of rows, (m,) float32: 1, or lengths with the cosine metric."""
    if isinstance(vectors, np.ndarray):
        return np.ones(rows.size, dtype=np.float32)
    return vectors.lengths(rows).astype(np.float32)


def vectors_of(matrix: NDArray[np.float32], metric: str) -> Vectors:
    """Return the rows whose Euclidean distances equal the distances of a metric.

    Examples
    --------
    >>> matrix = np.eye(2, dtype=np.float32)
    >>> vectors_of(matrix, "euclidean") is matrix, type(vectors_of(matrix, "cosine")).__name__
    (True, 'UnitRows')
    """
    return UnitRows(matrix) if check_metric(metric) == "cosine" else matrix


def check_metric(metric: str) -> str:
    """Return `metric`, or raise `UsageError` if it is unknown."""
    if metric not in METRICS:
        raise UsageError(f"metric is {metric!r}: give 'cosine' or 'euclidean'.")
    return metric


def _lengths(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the lengths of (b, d) vectors, 1 for zeros; each depends on its vector alone."""
    lengths = np.sqrt(np.square(vectors, dtype=np.float64, order="C").sum(axis=1))  # (b,)
    return np.where(lengths > 0, lengths, 1.0)
