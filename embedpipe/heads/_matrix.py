"""Labelled rows as the solvers multiply them: scaled, in one block of memory, by many threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from .._threads import map_blocks, one_blas_thread

Array = NDArray[np.floating[Any]]
T = TypeVar("T")

BLOCK_ROWS = 1024
"""Rows that one thread multiplies at a time. Sums are formed block by block, in order."""

SMALL_PRODUCT = 1_000_000
"""OpenBLAS multiplies without first copying its operands when there are no more multiplications."""

TILE_ROWS = 256
"""Rows that are multiplied at a time where that is out of reach: they stay in a core's cache."""

WORTH_THREADS = 1 << 24
"""Products of fewer multiplications than this are over before a second thread has begun."""


class Rows(NamedTuple):
    """Rows and their mean, which is subtracted in products and never from the rows.

    Attributes
    ----------
    values
        (n, d) float32 or float64.
    mean
        (d,) of the same kind.
    """

    values: Array
    mean: Array

    def times(self, directions: Array) -> Array:
        """Return the (k, n) products of (k, d) directions with the centred rows."""
        values = self.values
        found = np.empty((len(directions), len(values)), dtype=values.dtype)

        def work(part: slice) -> None:
            for tile in _tiles(part, directions.size):
                np.matmul(directions, values[tile].T, out=found[:, tile])

        in_blocks(work, len(values), values.shape[1] * len(directions))
        with one_blas_thread():
            found -= (directions @ self.mean)[:, None]
        return found

    def pull(self, weights: Array) -> Array:
        """Return the (k, d) sums of the centred rows, weighted by (k, n) numbers."""
        values = self.values

        def work(part: slice) -> Array:
            total = np.zeros((len(weights), values.shape[1]), dtype=values.dtype)
            one = np.empty_like(total)
            for tile in _tiles(part, total.size):
                np.matmul(weights[:, tile], values[tile], out=one)
                np.add(total, one, out=total)
            return total

        parts = in_blocks(work, len(values), values.shape[1] * len(weights))
        return np.asarray(sum(parts[1:], parts[0]) - np.outer(weights.sum(axis=1), self.mean))


def _tiles(part: slice, size: int) -> list[slice]:
    """Cut a block into tiles that suit a product with `size` numbers."""
    fits = SMALL_PRODUCT // max(size, 1) // 8 * 8
    rows = min(fits, BLOCK_ROWS) if fits >= 24 else TILE_ROWS
    return [slice(s, min(s + rows, part.stop)) for s in range(part.start, part.stop, rows)]


def in_blocks(work: Callable[[slice], T], n: int, cost: int, size: int = BLOCK_ROWS) -> list[T]:
    """Call `work` on blocks of rows, by several threads where that pays; same bits either way.

    Parameters
    ----------
    work
        Takes a slice of ``range(n)``.
    n
        How many rows.
    cost
        Multiplications for each row.
    size
        Rows of a block.
    """
    if n * cost >= WORTH_THREADS:
        return map_blocks(work, n, size)
    with one_blas_thread():
        return [work(slice(start, min(start + size, n))) for start in range(0, n, size)]


def gathered(
    values: NDArray[Any], order: NDArray[np.intp], scale: Array | None, dtype: type
) -> Rows:
    """Return rows in another order, divided by their lengths, and their mean.

    Parameters
    ----------
    values
        (n, d) floating-point numbers, memory-mapped or not.
    order
        (m,) intp, rows of `values`.
    scale
        (n,) lengths, in the order of `values`; None leaves the rows as long as they are.
    dtype
        Of the answer.
    """
    found: Array = np.empty((len(order), values.shape[1]), dtype=dtype)
    wide = np.promote_types(values.dtype, dtype)

    def work(part: slice) -> Array:
        rows = order[part]
        if scale is None:
            found[part] = values[rows]
        else:
            lengths = scale[rows].astype(wide)[:, None]
            np.divide(values[rows], lengths, out=found[part], casting="same_kind")
        return np.asarray(found[part].sum(axis=0, dtype=np.float64))

    sums = in_blocks(work, len(order), 16 * values.shape[1])
    mean = sum(sums[1:], sums[0]) / len(order)
    return Rows(found, np.asarray(mean, dtype=dtype))
