"""The data of a logistic regression: centred rows, classes and counts."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ..._threads import one_blas_thread
from .._arrays import (
    BLOCK_ROWS,
    Array,
    Codes,
    Float64,
    in_blocks,
    losses_and_residuals,
    row_digests,
    row_norms,
)
from .._labelled import Distinct, Labelled

ORDINARY = (1e-8, 1e8)
"""Range of absolute values in which float32 sums of squares are precise."""

SMALL_PRODUCT = 1_000_000
"""Number of multiplications up to which OpenBLAS does not copy its operands."""

TILE_ROWS = 256
"""Rows in one product above `SMALL_PRODUCT`: few enough to stay in a core's cache."""


class CentredRows(NamedTuple):
    """Rows and their mean, which is subtracted from products, not from the rows."""

    values: Array
    """(n, d) float32 or float64."""
    mean: Array
    """(d,) mean, of the same type."""

    @classmethod
    def of(cls, values: Array) -> Self:
        """Compute the mean, in float64 and block by block."""

        def work(part: slice) -> Float64:
            return np.asarray(values[part].sum(axis=0, dtype=np.float64))

        sums = in_blocks(work, len(values), 16 * values.shape[1])
        return cls(values, np.asarray(sum(sums[1:], sums[0]) / len(values), dtype=values.dtype))

    def products(self, directions: Array) -> Array:
        """Return the (k, n) products of (k, d) directions with the centred rows."""
        values = self.values
        products = np.empty((len(directions), len(values)), dtype=values.dtype)

        def work(part: slice) -> None:
            for tile in _tiles(part, directions.size):
                np.matmul(directions, values[tile].T, out=products[:, tile])

        in_blocks(work, len(values), values.shape[1] * len(directions))
        with one_blas_thread():
            products -= (directions @ self.mean)[:, None]
        return products

    def weighted_sums(self, weights: Array) -> Array:
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


class Problem(NamedTuple):
    """The data of a multinomial logistic regression."""

    rows: CentredRows
    codes: Codes
    """(n,) class numbers, ascending."""
    n_classes: int
    counts: Float64 | None
    """(n,) weights of the rows; None for weights of 1."""

    @classmethod
    def of(cls, labelled: Labelled) -> Self:
        """Return the problem of labelled rows, with all their classes."""
        counts = None if (labelled.weights == 1.0).all() else labelled.weights
        rows = CentredRows.of(labelled.rows)
        return cls(rows, labelled.codes, len(labelled.classes), counts)

    def mean_loss(self, weights: Array, intercepts: Array) -> float:
        """Return the mean log-loss of (K, d) weights and (K,) intercepts for centred rows."""
        dtype = self.rows.values.dtype
        logits = self.rows.products(weights.astype(dtype)) + intercepts.astype(dtype)[:, None]
        counts = None if self.counts is None else self.counts.astype(dtype)
        losses = losses_and_residuals(logits, self.codes, counts)  # (n,)
        total = float(len(self.codes)) if self.counts is None else float(self.counts.sum())
        return float(losses.sum(dtype=np.float64)) / total

    def energy(self) -> float:
        """Return the total weight times the variance of the rows; 0 if it is a rounding error."""
        values, mean = self.rows
        counts = np.ones(len(values)) if self.counts is None else self.counts
        squares = np.einsum("nd,nd->n", values, values).astype(np.float64)
        raw = float((counts * squares).sum())
        sums = self.rows.weighted_sums(counts[None].astype(values.dtype))  # (1, d)
        shift = sums[0].astype(np.float64)  # (d,)
        average = shift / counts.sum() + mean
        energy = raw - float(counts.sum()) * float((average * average).sum())
        return energy if energy > 1e-6 * raw else 0.0


def prepare_rows(
    values: NDArray[Any],
    classes: NDArray[Any],
    codes: Codes,
    weights: Float64,
    *,
    normalize: bool,
    precise: bool,
) -> Labelled:
    """Return finite rows sorted, scaled and distinct, with the digests of the unscaled rows."""
    if values.dtype.kind != "f" or values.dtype.itemsize < 4:
        values = values.astype(np.float64)
    distinct = Distinct.of(row_digests(values), codes, weights)
    single = not precise and (normalize or _ordinary(values))
    rows: Array = np.empty(
        (len(distinct.at), values.shape[1]), np.float32 if single else np.float64
    )
    scale = row_norms(values) if normalize else None  # (n,)
    wide = np.promote_types(values.dtype, rows.dtype)

    def work(part: slice) -> None:
        at = distinct.at[part]
        if scale is None:
            rows[part] = values[at]
        else:
            by = scale[at].astype(wide)[:, None]
            np.divide(values[at], by, out=rows[part], casting="same_kind")

    in_blocks(work, len(rows), 16 * values.shape[1])
    return Labelled(classes, rows, distinct.codes, distinct.weights, distinct.digests)


def _tiles(part: slice, size: int) -> list[slice]:
    """Divide a block into tiles for products with an array of `size` numbers."""
    fits = SMALL_PRODUCT // max(size, 1) // 8 * 8
    rows = min(fits, BLOCK_ROWS) if fits >= 24 else TILE_ROWS
    return [slice(s, min(s + rows, part.stop)) for s in range(part.start, part.stop, rows)]


def _ordinary(values: NDArray[Any]) -> bool:
    low, high = ORDINARY
    largest = float(np.abs(values).max(initial=0.0))
    return largest == 0.0 or low < largest < high
