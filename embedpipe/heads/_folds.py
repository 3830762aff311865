"""Folds for cross-validation that depend on the labelled set, not on its order."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._matrix import in_blocks

WORDS_SEED = 20_120_215
"""Of the factors by which digests are formed: part of what fixes the folds."""

DIGEST_ROWS = 64
"""Rows that are hashed at a time, so that they stay in the cache."""

NEVER_SCORED = -1
"""The fold of rows that every regression may see because they cannot be scored fairly."""


def canonical_order(digests: NDArray[np.uint64], codes: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the order of the rows by class, then by content.

    The same labelled set gives the same sequence of rows however it was listed, so everything
    computed from the sequence is the same to the last bit.

    Parameters
    ----------
    digests
        (n,) from `row_digests`.
    codes
        (n,) class numbers.

    Returns
    -------
    ndarray
        (n,) intp: a permutation.

    Examples
    --------
    >>> X = np.array([[3.0], [1.0], [2.0]])
    >>> order = canonical_order(row_digests(X), np.array([0, 1, 0]))
    >>> again = canonical_order(row_digests(X[::-1]), np.array([0, 1, 0]))
    >>> bool((X[order] == X[::-1][again]).all())
    True
    """
    return np.lexsort((digests, codes)).astype(np.intp)


def assign_folds(
    digests: NDArray[np.uint64], codes: NDArray[np.intp], n_folds: int
) -> NDArray[np.intp]:
    """Return the fold of each row: stratified, with equal rows of a class kept together.

    A class with a single distinct row cannot be learned without it, so that row is marked
    `NEVER_SCORED`. Classes take turns where the last one stopped, which keeps the folds even.

    Parameters
    ----------
    digests
        (n,) from `row_digests`.
    codes
        (n,) class numbers, 0, 1, ...
    n_folds
        At least 2.

    Returns
    -------
    ndarray
        (n,) intp: 0 … `n_folds` - 1, or `NEVER_SCORED`.

    Examples
    --------
    >>> digests = row_digests(np.arange(5.0)[:, None])
    >>> folds = assign_folds(digests, np.array([0, 0, 1, 1, 2]), 2)
    >>> sorted(folds[:2].tolist()), sorted(folds[2:4].tolist()), int(folds[4])
    ([0, 1], [0, 1], -1)
    """
    folds = np.full(len(codes), NEVER_SCORED, dtype=np.intp)
    turn = 0
    for code in range(int(codes.max()) + 1):
        members = np.flatnonzero(codes == code)
        distinct, group = np.unique(digests[members], return_inverse=True)
        if len(distinct) > 1:
            folds[members] = (turn + group) % n_folds
            turn += len(distinct)
    return folds


def row_digests(X: NDArray[np.floating[Any]]) -> NDArray[np.uint64]:
    """Return a 64-bit digest of each row of (n, d) numbers; equal rows have equal digests.

    A multilinear hash of the 32-bit words of a row, with fixed random factors: two different rows
    share a digest with a probability of 2^-64 as a rule, and of 2^-49 when they differ in nothing
    but the upper bits of their words. A cryptographic digest of each row takes twenty times as
    long.

    References
    ----------
    Lemire, Kaser (2014), "Strongly universal string hashing is fast", arXiv:1202.4961.
    """
    words = X.shape[1] * X.dtype.itemsize // 4
    generator = np.random.Generator(np.random.PCG64(WORDS_SEED))
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
