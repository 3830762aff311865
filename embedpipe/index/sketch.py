"""Vectors in fewer dimensions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._threads import map_blocks, one_blas_thread
from .distances import safe_frame
from .vectors import Vectors, block_rows

__all__ = ["SKETCH_DIMENSIONS", "principal_directions", "sketch_of"]

SKETCH_DIMENSIONS = 128
"""The most dimensions of a sketch."""

SAMPLE = 5_000
"""The most rows that principal directions are taken from."""

BLOCK_BYTES = 4 << 20
"""How many bytes of vectors are projected at once."""

SPARE = 32
"""How many more directions are followed than are wanted."""

ROUNDS = 2
"""How often they are multiplied with the covariance, twice each time."""

COLUMNS = 640
"""How many columns of the covariance one product gives."""


def sketch_of(matrix: Vectors, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return `rows` in the at most 128 dimensions that keep most of their spread."""
    # Principal component analysis, the last directions nearly: O(s·d·min(s, d)) for a sample of s
    # rows, then O(p·d·m). Extra memory: the result, of at most 512 bytes a row, 8 bytes a row,
    # the sample (4·s·d bytes), two matrices of 4·min(s, d)² bytes, and 4 MB a thread.
    d = matrix.shape[1]
    if not rows.size:
        return np.empty((0, min(d, SKETCH_DIMENSIONS)), dtype=np.float32)
    frame, _ = safe_frame(matrix, rows)
    directions = None
    if d > SKETCH_DIMENSIONS:
        directions = principal_directions(
            frame.rows(rows[:: -(-rows.size // SAMPLE)]).vectors
        )  # (d, m)
    found = np.empty((rows.size, d if directions is None else directions.shape[1]), np.float32)

    def work(part: slice) -> None:
        moved = frame.rows(rows[part]).vectors  # (b, d)
        found[part] = moved if directions is None else moved @ directions

    map_blocks(work, rows.size, block_rows(d, BLOCK_BYTES))
    return found


def principal_directions(sample: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return orthonormal columns along which the (s, d) sample spreads most: (d, m)."""
    # The sample is centred in place.
    s, d = sample.shape
    sample -= sample.mean(axis=0, dtype=np.float64).astype(np.float32)
    factor = sample if d <= s else sample.T  # (·, f), f the smaller of the two
    products = np.empty((factor.shape[1], factor.shape[1]), dtype=np.float32)

    def work(part: slice) -> None:
        products[:, part] = factor.T @ factor[:, part]

    map_blocks(work, len(products), COLUMNS)
    top = min(SKETCH_DIMENSIONS, len(products))
    with one_blas_thread():
        vectors = _leading(products, top)  # (f, m)
        if d > s:  # from directions among the rows to directions in space
            vectors, _ = np.linalg.qr(sample.T @ vectors)  # (d, m)
    return np.ascontiguousarray(vectors, dtype=np.float32)


def _leading(products: NDArray[np.float32], m: int) -> NDArray[np.float32]:
    """Return the (f, m) eigenvectors of the largest eigenvalues, nearly, the largest first."""
    # Subspace iteration from a fixed start (Halko, Martinsson, Tropp 2011, arXiv:0909.4061): the
    # span keeps all but a thousandth of the spread that the true one keeps, in a third of the
    # time.
    f = len(products)
    products = products / (products.diagonal().max() or np.float32(1))  # no power overflows
    start = np.random.default_rng(0).standard_normal((f, min(f, m + SPARE)), dtype=np.float32)
    basis, _ = np.linalg.qr(products @ start)  # (f, m + spare)
    for _ in range(ROUNDS):
        basis, _ = np.linalg.qr(products @ (products @ basis))
    _, turn = np.linalg.eigh(basis.T @ (products @ basis))
    return np.asarray(basis @ turn[:, ::-1][:, :m])
