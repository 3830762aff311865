"""Rows for the measurement of distances, unchanged or scaled to unit length."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Concatenate, ParamSpec, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from .sharded_matrix import ShardedMatrix, Workers

__all__ = [
    "METRICS",
    "Matrix",
    "UnitRows",
    "Vectors",
    "block_rows",
    "check_metric",
    "first_non_finite",
    "lengths_of",
    "metric_of",
    "on_parts",
    "row_blocks",
    "take_plain",
    "take_rows",
    "take_weighted",
    "take_wide",
    "unit_length",
    "vectors_of",
    "workers_of",
]

Matrix: TypeAlias = "NDArray[np.float32] | ShardedMatrix"
"""A matrix in memory or on disk."""

Vectors: TypeAlias = "NDArray[np.float32] | ShardedMatrix | UnitRows"
"""A matrix, or its rows scaled to unit length on reading."""

P = ParamSpec("P")
T = TypeVar("T")

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
    return vectors.narrow(rows) if isinstance(vectors, UnitRows) else take_plain(vectors, rows)


def take_wide(vectors: Vectors, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (m,) rows as a new (m, d) float64 array, from which true distances are computed."""
    if isinstance(vectors, UnitRows):
        return vectors.wide(rows)
    return take_plain(vectors, rows).astype(np.float64)


def take_weighted(
    vectors: Vectors, rows: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return (m, d) rows and (m,) factors: rows times factors are the vectors, rounded twice.

    For a vector of extreme length, the factor is NaN.
    """
    if not isinstance(vectors, UnitRows):
        return take_plain(vectors, rows), np.ones(rows.size, dtype=np.float32)
    lengths = vectors.lengths(rows)
    least, most = ORDINARY_LENGTHS
    factors = np.where((lengths > least) & (lengths < most), 1 / lengths, np.nan)
    return take_plain(vectors.matrix, rows), factors.astype(np.float32)


def take_plain(matrix: Matrix, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return ``matrix[rows]`` as a plain array, a view if the rows are consecutive."""
    if isinstance(matrix, ShardedMatrix):
        return matrix.take(rows)
    plain = np.asarray(matrix)
    if rows.size > 1 and rows[-1] - rows[0] == rows.size - 1 and (np.diff(rows) == 1).all():
        return plain[rows[0] : rows[-1] + 1]  # (m, d), no copy
    return plain.take(rows, axis=0)  # (m, d)


def first_non_finite(matrix: Matrix, rows: NDArray[np.int64]) -> int | None:
    """Return the first of ascending `rows` that contains NaN or infinity, or None."""
    found = on_parts(matrix, rows, _first_non_finite)
    return next((row for row in found if row is not None), None)


def _first_non_finite(matrix: Vectors, rows: NDArray[np.int64]) -> int | None:
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


LENGTH_BYTES = 256 << 10
"""Bytes of vectors per block when lengths are computed; a block fits in the processor's cache."""

ORDINARY_LENGTHS = 1e-30, 1e30
"""Lengths with an accurate float32 reciprocal."""

METRICS = ("cosine", "euclidean")
"""Names of the metrics."""


class UnitRows:
    """The rows of a matrix, scaled to unit length on reading.

    The Euclidean distance between two such rows is √(2 − 2·cos), from 0 to 2. A row of zeros is
    not changed, as in the heads. Its distance to every unit vector is 1.

    Parameters
    ----------
    matrix
        (n, d) finite float32 array, memory map or `ShardedMatrix`; never copied or written to.

    Notes
    -----
    Lengths are computed in float64 on the first read and kept: 8 bytes per row.

    Examples
    --------
    >>> rows = UnitRows(np.array([[3, 4], [0, 0], [0, 2]], dtype=np.float32))
    >>> rows.narrow(np.array([0, 1, 2])).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0], [0.0, 1.0]]
    """

    def __init__(self, matrix: Matrix) -> None:
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

    def known_lengths(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the divisors of (m,) rows in any order; rows are read only once."""
        lengths = self._lengths[rows]  # (m,)
        new = np.unique(rows[np.isnan(lengths)])
        if new.size:
            self.lengths(new)
            lengths = self._lengths[rows]
        return lengths

    def narrow(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return (m, d) new float32 rows, rounded once from float64."""
        taken, lengths = self._taken(rows)
        found = np.empty(taken.shape, dtype=np.float32)
        np.divide(taken, lengths, out=found, dtype=np.float64, casting="same_kind")
        return found

    def rough(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return (m, d) new float32 rows, rounded twice; faster than `narrow`."""
        taken, lengths = self._taken(rows)
        least, most = ORDINARY_LENGTHS
        if not ((lengths > least) & (lengths < most)).all():  # the reciprocal may overflow
            return self.narrow(rows)
        return np.multiply(taken, np.reciprocal(lengths).astype(np.float32))

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
    if not isinstance(vectors, UnitRows):
        return np.ones(rows.size, dtype=np.float32)
    return vectors.lengths(rows).astype(np.float32)


def vectors_of(matrix: Matrix, metric: str) -> Vectors:
    """Return the rows whose Euclidean distances equal the distances of a metric.

    Examples
    --------
    >>> matrix = np.eye(2, dtype=np.float32)
    >>> vectors_of(matrix, "euclidean") is matrix, type(vectors_of(matrix, "cosine")).__name__
    (True, 'UnitRows')
    """
    return UnitRows(matrix) if check_metric(metric) == "cosine" else matrix


def workers_of(vectors: Vectors) -> Workers | None:
    """Return the workers that compute on parts of the rows; None: this process does."""
    matrix = vectors.matrix if isinstance(vectors, UnitRows) else vectors
    return matrix.workers if isinstance(matrix, ShardedMatrix) else None


def on_parts(
    vectors: Vectors,
    rows: NDArray[np.int64],
    function: Callable[Concatenate[Any, NDArray[np.int64], P], T],
    *arguments: P.args,
    **none: P.kwargs,
) -> list[T]:
    """Return ``function(vectors, part, *arguments)`` of the parts of ascending `rows`, in order.

    Workers compute one part each. Without workers, one call computes all rows. The function must be
    importable by the workers.
    """
    workers = workers_of(vectors)
    if workers is None:
        return [function(vectors, rows, *arguments, **none)]
    return workers.map(function, metric_of(vectors), rows, arguments)


def metric_of(vectors: Vectors) -> str:
    """Return the metric of `vectors_of`."""
    return "cosine" if isinstance(vectors, UnitRows) else "euclidean"


def check_metric(metric: str) -> str:
    """Return `metric`, or raise `UsageError` if it is unknown."""
    if metric not in METRICS:
        raise UsageError(f"metric is {metric!r}: give 'cosine' or 'euclidean'.")
    return metric


def _lengths(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the lengths of (b, d) vectors, 1 for zeros; each depends on its vector alone."""
    lengths = np.empty(len(vectors))
    for part in row_blocks(len(vectors), block_rows(vectors.shape[1], LENGTH_BYTES)):
        squares = np.square(vectors[part], dtype=np.float64, order="C")  # (b, d)
        lengths[part] = np.sqrt(squares.sum(axis=1))
    return np.where(lengths > 0, lengths, 1.0)
