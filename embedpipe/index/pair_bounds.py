"""Bounds on the distances of pairs of vectors, in float32."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .distances import EQUAL, ROUNDING
from .faiss_files import one_faiss_thread
from .vectors import UnitRows, Vectors, take_plain

__all__ = ["pair_bounds"]

ORDINARY = 1e10
"""Lengths above this number, or below its inverse, are not used in products of float32."""


def pair_bounds(
    vectors: Vectors,
    rows: NDArray[np.int64],
    points: NDArray[np.integer],
    others: NDArray[np.integer],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return lower and upper bounds on the squared distances of (e,) pairs of points."""
    # FAISS reads the rows of an array where they are, without a copy, and computes in float32.
    import faiss

    unit = isinstance(vectors, UnitRows)
    source = vectors.matrix if isinstance(vectors, UnitRows) else vectors
    pairs = np.stack([rows[points], rows[others]])  # (2, e)
    if isinstance(source, np.ndarray) and source.flags.c_contiguous:
        matrix = np.asarray(source)
    else:
        some, places = np.unique(pairs, return_inverse=True)
        matrix = np.ascontiguousarray(take_plain(source, some))
        pairs = np.ascontiguousarray(places.reshape(2, -1))
    name = "pairwise_indexed_inner_product" if unit else "pairwise_indexed_L2sqr"
    compute: Any = getattr(faiss, name)  # missing in the type stubs
    values = np.empty(points.size, dtype=np.float32)
    data, left, right = (faiss.swig_ptr(each) for each in (matrix, *pairs))
    d = matrix.shape[1]
    with one_faiss_thread():
        compute(d, points.size, data, left, data, right, faiss.swig_ptr(values))
    if isinstance(vectors, UnitRows):
        return _of_unit_rows(vectors, rows[points], rows[others], values)
    # A sum of squared float32 differences has a relative error below (d + 20) units.
    error, slack = (2 * d + 40) * ROUNDING, d * 1e-37
    wide = values.astype(np.float64)
    lower, upper = wide * (1 - error) - slack, wide * (1 + error) + slack
    lower[np.isinf(wide)] = 0  # the sum overflowed
    return lower, upper


def _of_unit_rows(
    vectors: UnitRows,
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    products: NDArray[np.float32],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return bounds on |x/|x| − y/|y||² from products x·y in float32."""
    # The error of x·y is at most (d + 1)·u·|x|·|y| for any order of summation, besides underflow,
    # which is negligible for ordinary lengths.
    mine, theirs = vectors.known_lengths(left), vectors.known_lengths(right)
    error = 2.1 * (vectors.shape[1] + 20) * ROUNDING + 2 * EQUAL
    with np.errstate(all="ignore"):
        estimates = 2 - 2 * (products / (mine * theirs))  # (e,)
    usual = (mine < ORDINARY) & (mine > 1 / ORDINARY) & (theirs < ORDINARY)
    usual &= (theirs > 1 / ORDINARY) & (products != 0)  # the product of a row of zeros is 0
    return np.where(usual, estimates - error, 0.0), np.where(usual, estimates, 4.0) + error
