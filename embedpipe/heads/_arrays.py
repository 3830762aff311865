"""Array types, and functions of rows and logits that the heads share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .._threads import map_blocks, one_blas_thread
from ..errors import LabelError

Array = NDArray[np.floating[Any]]
Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Codes = NDArray[np.intp]
"""Class of each row, as a position in `classes_`."""

T = TypeVar("T")

SAFE_SQUARES = (1e-20, 1e30)
"""Range of squared norms in which float32 neither underflows nor overflows."""

BLOCK_ROWS = 1024
"""Rows in a block; sums are computed block by block, in order."""

MIN_PARALLEL_COST = 1 << 24
"""Minimum number of multiplications for which several threads are used."""

DIGEST_SEED = 20_120_215
"""Seed of the random factors in `row_digests`; another seed gives other folds."""

DIGEST_ROWS = 64
"""Rows hashed together: few enough to stay in the processor's cache."""

NEVER_SCORED = -1
"""Fold number of rows whose class has only one distinct row: all fits use these rows."""


def in_blocks(work: Callable[[slice], T], n: int, cost: int, size: int = BLOCK_ROWS) -> list[T]:
    """Call `work` on slices of ``range(n)``, with several threads if the work is large.

    `cost` is the number of multiplications for one of the n rows.
    """
    if n * cost >= MIN_PARALLEL_COST:
        return map_blocks(work, n, size)
    with one_blas_thread():
        return [work(slice(start, min(start + size, n))) for start in range(0, n, size)]


def row_norms(rows: NDArray[Any]) -> Float64:
    """Return the (n,) Euclidean norms; 1 for a row of zeros."""
    if rows.dtype != np.float32:
        squares = np.einsum("nd,nd->n", rows, rows, dtype=np.float64)
    else:
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            squares = np.einsum("nd,nd->n", rows, rows).astype(np.float64)
        low, high = SAFE_SQUARES
        odd = np.flatnonzero(~((squares > low) & (squares < high)))
        if odd.size:  # float32 is not precise enough
            squares[odd] = np.einsum("nd,nd->n", rows[odd], rows[odd], dtype=np.float64)
    return np.where(squares > 0.0, np.sqrt(squares), 1.0)


def check_finite(rows: NDArray[Any], offset: int) -> None:
    """Refuse rows with NaN or infinity; `offset` is the number of the first row."""
    with np.errstate(over="ignore", invalid="ignore"):
        if rows.dtype.kind == "f" and np.isfinite(np.einsum("nd->n", rows)).all():
            return  # a sum is finite only if all its terms are
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(bad):
        count = f" ({len(bad)} such rows here)" if len(bad) > 1 else ""
        raise LabelError(
            f"row {offset + int(bad[0])} of X holds NaN or infinity{count}: "
            "embed the item again or leave it out."
        )


def row_digests(X: Array) -> NDArray[np.uint64]:
    """Return the (n,) 64-bit digests of (n, d) rows; equal rows have equal digests.

    A multilinear hash of the 32-bit words with fixed random factors (Lemire, Kaser 2014,
    arXiv:1202.4961). Two different rows share a digest with probability 2^-64, or 2^-49 if only
    the upper bits of their words differ.
    """
    words = X.shape[1] * X.dtype.itemsize // 4
    generator = np.random.Generator(np.random.PCG64(DIGEST_SEED))
    factors = generator.integers((1 << 64) - 1, size=words, dtype=np.uint64, endpoint=True)
    digests = np.empty(len(X), dtype=np.uint64)

    def work(part: slice) -> None:
        for start in range(part.start, part.stop, DIGEST_ROWS):
            tile = slice(start, min(start + DIGEST_ROWS, part.stop))
            rows = np.ascontiguousarray(X[tile]) + X.dtype.type(0.0)  # -0.0 and 0.0 are equal
            bits = rows.view(np.uint32)  # (b, words)
            bits ^= bits >> np.uint32(16)  # a difference in high bits also changes low bits
            np.einsum("nw,w->n", bits.astype(np.uint64), factors, out=digests[tile])

    in_blocks(work, len(X), 16 * words)
    return digests


def assign_folds(digests: NDArray[np.uint64], codes: Codes, n_folds: int) -> Codes:
    """Return the stratified fold of each row, 0 to `n_folds` - 1, or `NEVER_SCORED`.

    Folds depend on the content of the rows, not on their order. Equal rows of a class share a
    fold. A class with one distinct row is never scored.
    """
    folds = np.full(len(codes), NEVER_SCORED, dtype=np.intp)
    next_fold = 0  # classes do not all start at fold 0, so that folds have similar sizes
    for code in range(int(codes.max()) + 1):
        members = np.flatnonzero(codes == code)
        distinct, group = np.unique(digests[members], return_inverse=True)
        if len(distinct) > 1:
            folds[members] = (next_fold + group) % n_folds
            next_fold += len(distinct)
    return folds


# The functions below are fastest if the logits of each class are contiguous in memory, as in a
# C-ordered (K, n) array or its transposed view.


def softmax(logits: Array, axis: int = -1) -> Array:
    """Turn logits into probabilities along an axis, in place, and return them."""
    _normalise(logits, axis)
    return logits


def _normalise(logits: Array, axis: int) -> tuple[Array, Array]:
    """Apply the softmax in place; return the maxima and the sums of shifted exponentials."""
    top = logits.max(axis=axis, keepdims=True)
    logits -= top
    np.exp(logits, out=logits)
    total = logits.sum(axis=axis, keepdims=True)
    logits /= total
    return top, total


def log_losses(logits: Array, codes: NDArray[np.integer[Any]]) -> Array:
    """Return the (n,) log-losses of (n, K) logits."""
    above = logits - logits.max(axis=1, keepdims=True)
    own = above[np.arange(len(codes)), codes]
    losses: Array = np.log(np.exp(above).sum(axis=1)) - own
    return losses


def losses_and_residuals(logits: Array, codes: Codes, counts: Array | None = None) -> Array:
    """Return the (..., n) log-losses of (..., K, n) logits, multiplied by `counts`.

    The gradients of these losses replace the logits.
    """
    columns = np.arange(len(codes))
    own = logits[..., codes, columns]  # (..., n)
    top, total = _normalise(logits, axis=-2)  # (..., 1, n)
    logits[..., codes, columns] -= 1.0
    losses: Array = np.log(total[..., 0, :])
    losses += top[..., 0, :]
    losses -= own
    if counts is not None:
        logits *= counts[..., None, :]
        losses *= counts
    return losses


def mean_curvature(probabilities: Array) -> float:
    """Return the mean of p (1 - p), an estimate of the curvature that one row adds to the loss."""
    return float((probabilities - probabilities * probabilities).mean(dtype=np.float64))
