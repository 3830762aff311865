"""The rows of a matrix scaled to unit length, a block at a time: cosine distance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from .blocks import Vectors, take_plain

__all__ = ["METRICS", "UnitRows", "check_metric", "lengths_of", "unit_length", "vectors_of"]

METRICS = ("cosine", "euclidean")
"""How the distance between two rows is measured."""


class UnitRows:
    """The rows of a matrix, scaled to unit length whenever they are read.

    The Euclidean distance between two such rows is √(2 − 2·cos) of the angle between them, from
    0 to 2. A row of zeros has no direction: it stays zero, at distance 1 from every other row.
    The heads treat it likewise.

    Parameters
    ----------
    matrix
        (n, d) finite float32 array or memory map. It is never copied or written to.

    Notes
    -----
    Lengths are worked out in float64 when a row is first read, and kept: 8 bytes per row of the
    matrix. Quotients are formed in float64. Factors that are powers of two change no bit.

    Examples
    --------
    >>> rows = UnitRows(np.array([[3, 4], [0, 0], [0, 2]], dtype=np.float32))
    >>> rows.narrow(np.array([0, 1, 2])).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0], [0.0, 1.0]]
    """

    def __init__(self, matrix: NDArray[np.float32]) -> None:
        self.matrix = matrix
        self._lengths = np.full(len(matrix), np.nan)  # (n,), NaN where not known yet

    def __len__(self) -> int:
        return len(self.matrix)

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of the matrix."""
        n, d = self.matrix.shape
        return n, d

    def lengths(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return by what (m,) rows are divided: their lengths, 1 for zeros."""
        return self._taken(rows)[1][:, 0]

    def narrow(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return (m, d) new float32 rows: the float64 quotients, rounded once."""
        taken, lengths = self._taken(rows)
        found = np.empty(taken.shape, dtype=np.float32)
        np.divide(taken, lengths, out=found, dtype=np.float64, casting="same_kind")
        return found

    def wide(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return (m, d) new float64 rows: what distances are defined by."""
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
    """Return a copy of (b, d) vectors scaled to unit length; zeros stay zeros.

    Examples
    --------
    >>> unit_length(np.array([[3e30, 4e30], [0, 0]], dtype=np.float32)).round(6).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    return UnitRows(vectors).narrow(np.arange(len(vectors)))


def lengths_of(vectors: Vectors, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return (m,) float32: by what rows of a matrix were divided, 1 where they were not."""
    if isinstance(vectors, np.ndarray):
        return np.ones(rows.size, dtype=np.float32)
    return vectors.lengths(rows).astype(np.float32)


def vectors_of(matrix: NDArray[np.float32], metric: str) -> Vectors:
    """Return what to measure Euclidean distances on, so that they are those of a metric.

    Examples
    --------
    >>> matrix = np.eye(2, dtype=np.float32)
    >>> vectors_of(matrix, "euclidean") is matrix, type(vectors_of(matrix, "cosine")).__name__
    (True, 'UnitRows')
    """
    return UnitRows(matrix) if check_metric(metric) == "cosine" else matrix


def check_metric(metric: str) -> str:
    """Return `metric` if there is such a metric.

    Raises
    ------
    UsageError
        If it is neither ``"cosine"`` nor ``"euclidean"``.

    Examples
    --------
    >>> check_metric("manhattan")
    Traceback (most recent call last):
    embedpipe.errors.UsageError: metric is 'manhattan': give 'cosine' or 'euclidean'.
    """
    if metric not in METRICS:
        raise UsageError(f"metric is {metric!r}: give 'cosine' or 'euclidean'.")
    return metric


def _lengths(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the lengths of (b, d) vectors, 1 for zeros; each depends on its vector alone."""
    lengths = np.sqrt(np.square(vectors, dtype=np.float64, order="C").sum(axis=1))  # (b,)
    return np.where(lengths > 0, lengths, 1.0)
