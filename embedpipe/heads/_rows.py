"""Rows of embeddings: array types, blocks for threads, lengths, checks, digests and folds."""

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
"""Class numbers of rows: positions in `classes_`."""

T = TypeVar("T")

ORDINARY_SQUARES = (1e-20, 1e30)
"""Squared lengths between these neither underflow nor overflow float32 in any relevant term."""

BLOCK_ROWS = 1024
"""Rows that one thread works on at a time. Sums are formed block by block, in order."""

WORTH_THREADS = 1 << 24
"""Number of multiplications below which a second thread does not pay."""

DIGEST_SEED = 20_120_215
"""Seed of the factors of `row_digests`. It fixes the folds."""

DIGEST_ROWS = 64
"""Rows that are hashed at a time, so that they stay in the cache."""

NEVER_SCORED = -1
"""The fold of rows that every fit learns from, because they cannot be scored fairly."""


def in_blocks(work: Callable[[slice], T], n: int, cost: int, size: int = BLOCK_ROWS) -> list[T]:
    """Call `work` on slices of ``range(n)``; with threads if `n` times `cost` operations pay."""
    if n * cost >= WORTH_THREADS:
        return map_blocks(work, n, size)
    with one_blas_thread():
        return [work(slice(start, min(start + size, n))) for start in range(0, n, size)]


def lengths(rows: NDArray[Any]) -> Float64:
    """Return the (n,) Euclidean lengths; 1 for a row of zeros."""
    if rows.dtype != np.float32:
        squares = np.einsum("nd,nd->n", rows, rows, dtype=np.float64)
    else:
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            squares = np.einsum("nd,nd->n", rows, rows).astype(np.float64)
        low, high = ORDINARY_SQUARES
        odd = np.flatnonzero(~((squares > low) & (squares < high)))
        if odd.size:  # float32 would not do
            squares[odd] = np.einsum("nd,nd->n", rows[odd], rows[odd], dtype=np.float64)
    return np.where(squares > 0.0, np.sqrt(squares), 1.0)


def refuse_non_finite(rows: NDArray[Any], offset: int) -> None:
    """Raise `LabelError` if a row holds NaN or infinity; `offset` is the number of the first."""
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
    """Return a 64-bit digest of each of (n, d) rows; equal rows have equal digests.

    A multilinear hash of the 32-bit words with fixed random factors (Lemire, Kaser 2014,
    arXiv:1202.4961): a cryptographic digest of each row takes twenty times as long. Two different
    rows share a digest with a probability of 2^-64 as a rule, and of 2^-49 if they differ in the
    upper bits of their words only.
    """
    words = X.shape[1] * X.dtype.itemsize // 4
    generator = np.random.Generator(np.random.PCG64(DIGEST_SEED))
    factors = generator.integers((1 << 64) - 1, size=words, dtype=np.uint64, endpoint=True)
    found = np.empty(len(X), dtype=np.uint64)

    def work(part: slice) -> None:
        for start in range(part.start, part.stop, DIGEST_ROWS):
            tile = slice(start, min(start + DIGEST_ROWS, part.stop))
            rows = np.ascontiguousarray(X[tile]) + X.dtype.type(0.0)  # -0.0 and 0.0 are equal
            bits = rows.view(np.uint32)  # (b, words)
            bits ^= bits >> np.uint32(16)  # so that low bits differ too
            np.einsum("nw,w->n", bits.astype(np.uint64), factors, out=found[tile])

    in_blocks(work, len(X), 16 * words)
    return found


def assign_folds(digests: NDArray[np.uint64], codes: Codes, n_folds: int) -> Codes:
    """Return the stratified fold of each row, 0 to `n_folds` - 1, or `NEVER_SCORED`.

    Folds follow from the content of the rows, not from their order. Equal rows of a class share a
    fold. A class with one distinct row cannot be learned without it: that row is never scored.
    """
    folds = np.full(len(codes), NEVER_SCORED, dtype=np.intp)
    turn = 0  # each class begins where the one before stopped: folds stay even
    for code in range(int(codes.max()) + 1):
        members = np.flatnonzero(codes == code)
        distinct, group = np.unique(digests[members], return_inverse=True)
        if len(distinct) > 1:
            folds[members] = (turn + group) % n_folds
            turn += len(distinct)
    return folds
