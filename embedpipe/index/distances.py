"""Reference distances in float64, and float32 estimates with proven error bounds."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .._threads import map_blocks
from .vectors import (
    UnitRows,
    Vectors,
    block_rows,
    on_parts,
    row_blocks,
    take_plain,
    take_rows,
    take_weighted,
    take_wide,
)

__all__ = [
    "PART",
    "Frame",
    "FrameRows",
    "Rounding",
    "between",
    "mean_vector",
    "nearest_to_mean",
    "rounded",
    "rounding_of",
    "safe_frame",
    "squared_distances",
    "step_of",
]

ROUNDING = 2.0**-24
"""Unit roundoff of float32."""

SMALLEST = 2.0**-149
"""Smallest positive float32."""

UNDERFLOW = 1e-37
"""Upper bound of the loss of one product by underflow."""

SAMPLE = 1024
"""Approximate number of rows that determine the centre and the scale."""

OVERFLOW = 1e30
"""Squared norm above which a coarser frame is used, to avoid float32 overflow."""

ORDINARY = 20
"""Binary exponent: values between 2**-20 and 2**20 are not scaled."""

COARSER = 2.0**-24
"""Scale of the next coarser frame, relative to a frame."""

BLOCK_BYTES = 4 << 20
"""Bytes of vectors per block."""

PAIRS = 512
"""Pairs of rows per block of the float64 reference."""


EQUAL = 2.0**-40
"""Squared distances between rows of unit length are rounded to multiples of this number."""


@dataclass(frozen=True)
class Rounding:
    """The additional error of a squared distance if rows are rounded to float32."""

    share: float  # in unit roundoffs times |x|² + |y|², for x and y in a frame
    constant: float  # in the squared unit of the rows


def rounding_of(vectors: Vectors) -> Rounding:
    """Return the error that rounding of rows to float32 adds to an estimate of `between`."""
    # Rows of unit length are rounded by at most twice the unit roundoff u. So a distance z changes
    # by at most 4u, and its square by at most 8uz + 16u² ≤ 2u + 8uz² + 16u², where
    # z² ≤ 2(|x|² + |y|²). `between` also rounds to a multiple of `EQUAL`.
    if not isinstance(vectors, UnitRows):
        return Rounding(0.0, 0.0)
    return Rounding(16.0, 2.02 * ROUNDING + EQUAL)


def between(
    vectors: Vectors, left: NDArray[np.int64], right: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return squared distances between matching rows, the reference for all comparisons.

    Differences, squares and sums are in float64, and depend on the pair alone. Between rows of unit
    length, squared distances are rounded to multiples of 2**-40, so vectors of equal direction have
    distance 0.

    Parameters
    ----------
    vectors
        (n, d) float32 array or memory map, or `UnitRows` of one.
    left
        (m,) rows.
    right
        (m,) rows, or one row that every left row is compared with.

    Examples
    --------
    >>> matrix = np.array([[0, 0], [3, 4]], dtype=np.float32)
    >>> between(matrix, np.array([0, 1]), np.array([1])).tolist()
    [25.0, 0.0]
    """
    found = np.empty(left.size)
    one = take_wide(vectors, right)[0] if right.size == 1 else None  # (d,)
    for part in row_blocks(left.size, PAIRS):
        other = take_wide(vectors, right[part]) if one is None else one
        found[part] = squared_distances(take_wide(vectors, left[part]), other)
    return rounded(vectors, found)


def step_of(vectors: Vectors) -> float:
    """Return the unit of squared distances, see `rounded`; 0 if they are not rounded."""
    return EQUAL if isinstance(vectors, UnitRows) else 0.0


def rounded(vectors: Vectors, squared: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return squared distances, rounded to multiples of 2**-40 if rows have unit length."""
    if not isinstance(vectors, UnitRows):
        return squared
    return np.asarray(np.rint(squared / EQUAL) * EQUAL)


def squared_distances(
    left: NDArray[np.float32] | NDArray[np.float64],
    right: NDArray[np.float32] | NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return squared distances of (m, d) vectors to (m, d) vectors or one (d,) vector: (m,).

    Examples
    --------
    >>> squared_distances(np.zeros((2, 2), np.float32), np.array([3, 4], np.float32)).tolist()
    [25.0, 25.0]
    """
    found = np.empty(len(left))
    for part in row_blocks(len(left), PAIRS):
        other = right if right.ndim == 1 else right[part]
        gap = np.subtract(left[part], other, dtype=np.float64, order="C")  # (b, d)
        found[part] = np.square(gap, out=gap).sum(axis=1)  # (b,)
    return found


@dataclass(frozen=True)
class FrameRows:
    """Rows in a frame: (m, d) float32 `vectors` and (m,) float64 squared `norms`."""

    vectors: NDArray[np.float32]
    norms: NDArray[np.float64]


@dataclass(frozen=True)
class Frame:
    """A shift and a power-of-two scale that keep float32 products accurate.

    ``|x − c|² = |x|² + |c|² − 2·x·c`` loses digits if norms are large compared with distances, and
    overflows for extreme values. So rows are shifted by about their mean and, if necessary, scaled
    to values of about 1. Blocks are shifted and scaled one by one; the matrix is never copied.
    """

    matrix: Vectors  # (n, d)
    shift: NDArray[np.float32]  # (d,), already scaled
    scale: float  # a power of two

    @classmethod
    def around(cls, matrix: Vectors, rows: NDArray[np.int64]) -> Frame:
        """Return a frame for `rows`, from an evenly spaced sample of them."""
        sample = take_rows(matrix, rows[:: -(-rows.size // SAMPLE)])  # (s, d)
        centre = sample.mean(axis=0, dtype=np.float64)  # (d,)
        size = float(np.abs(sample - centre).max())
        exponent = float(np.clip(-np.floor(np.log2(size)), -126, 126)) if size else 0.0
        scale = 2.0**exponent if abs(exponent) > ORDINARY else 1.0
        bound = float(np.finfo(np.float32).max)
        return cls(matrix, np.clip(centre * scale, -bound, bound).astype(np.float32), scale)

    def coarser(self) -> Frame:
        """Return the frame in which all values are 2**24 times smaller."""
        return Frame(self.matrix, self.shift * np.float32(COARSER), self.scale * COARSER)

    @property
    def overflow(self) -> float:
        """Upper limit of squared norms; above it, use `coarser`."""
        return OVERFLOW

    @property
    def error(self) -> float:
        """Maximum error of a float32 estimate, as a share of ``|x|² + |c|²``."""
        # With u the unit roundoff, the product and the norms add at most 2·d·u for any order of
        # summation. Shifting, adding and the float64 reference add less than 40·u.
        more = 40 + rounding_of(self.matrix).share
        return float(2 * self.matrix.shape[1] + more) * ROUNDING * 1.01

    @property
    def slack(self) -> float:
        """Maximum additional error from underflow and rounding of rows."""
        rounding = rounding_of(self.matrix).constant * self.scale**2
        return float(self.matrix.shape[1]) * UNDERFLOW + rounding

    @property
    def unit(self) -> float:
        """Factor from squared lengths in the frame to those in the matrix; a power of two."""
        return self.scale**-2

    def rows(self, rows: NDArray[np.int64]) -> FrameRows:
        """Return a shifted and scaled copy of `rows` with squared norms."""
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            if isinstance(self.matrix, UnitRows):
                vectors = self.matrix.rough(rows)  # (m, d)
            else:
                vectors = take_plain(self.matrix, rows)
            if self.scale != 1:
                vectors = vectors * np.float32(self.scale)
            own = vectors if vectors.base is None else None  # a view is not written to
            vectors = np.subtract(vectors, self.shift, out=own)
            norms = np.einsum("ij,ij->i", vectors, vectors).astype(np.float64)  # (m,)
        norms[np.isnan(norms)] = np.inf
        return FrameRows(vectors, norms)


def safe_frame(matrix: Vectors, rows: NDArray[np.int64]) -> tuple[Frame, NDArray[np.float64]]:
    """Return a frame in which no squared norm of `rows` reaches `overflow`, and these norms."""
    # Time for m rows of length d: O(m·d) in one pass, rarely two. Memory: 8 bytes per row and 4 MB
    # per thread.
    frame = Frame.around(matrix, rows)
    while True:
        norms = np.concatenate(on_parts(matrix, rows, _norms, frame.shift, frame.scale))
        if norms.max() < frame.overflow:
            return frame, norms
        frame = frame.coarser()


def _norms(
    matrix: Vectors, rows: NDArray[np.int64], shift: NDArray[np.float32], scale: float
) -> NDArray[np.float64]:
    """Return the squared norms of `rows` in a frame."""
    frame, norms = Frame(matrix, shift, scale), np.empty(rows.size)
    size = block_rows(matrix.shape[1], CACHED_BYTES)

    def work(part: slice) -> None:
        for some in row_blocks(part.stop - part.start, size):
            norms[part][some] = frame.rows(rows[part][some]).norms

    map_blocks(work, rows.size, PART)
    return norms


ROWS = 64
"""Rows per partial sum; changing it changes the last bits of the mean."""

PART = 4096
"""Rows of the matrix per sum of partial sums; changing it changes the last bits of the mean."""

CACHED_BYTES = 256 << 10
"""Bytes of vectors per block that is read once; a block fits in the processor's cache."""


def mean_vector(matrix: Vectors, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean of ascending `rows`, summed in float64: (d,).

    The bits are the same for any number of threads and workers.

    Examples
    --------
    >>> mean_vector(np.array([[0, 2], [4, 4]], dtype=np.float32), np.array([0, 1])).tolist()
    [2.0, 3.0]
    """
    total = np.zeros(matrix.shape[1])
    for sums in on_parts(matrix, rows, _sums):
        for one in sums:
            total += one
    return total / rows.size


def _sums(matrix: Vectors, rows: NDArray[np.int64]) -> list[NDArray[np.float64]]:
    """Return the sum of the rows of each block of `PART` rows of the matrix, in order."""
    ends = np.flatnonzero(np.diff(rows // PART, append=-1)) + 1  # after each block
    starts = np.append(0, ends[:-1])

    def work(part: slice) -> NDArray[np.float64]:
        own, total = rows[starts[part.start] : ends[part.start]], np.zeros(matrix.shape[1])
        for some in row_blocks(own.size, ROWS):
            total += take_wide(matrix, own[some]).sum(axis=0)  # (d,)
        return total

    return map_blocks(work, ends.size, 1)


def nearest_to_mean(matrix: Vectors, rows: NDArray[np.int64]) -> int:
    """Return the position in `rows` of the row nearest to their mean; ties go to the first.

    Time for m rows of length d: O(m·d) in two passes, rarely three. Memory: 16 bytes per row and
    1 MB per thread.

    Examples
    --------
    >>> nearest_to_mean(np.array([[0], [1], [5]], dtype=np.float32), np.arange(3))
    1
    """
    rough = on_parts(matrix, rows, _rough_sum)
    about = np.sum([total for total, _ in rough], axis=0) / rows.size  # (d,)
    doubt = ROUGH * sum(size for _, size in rough) / rows.size
    rivals = np.arange(rows.size)
    if np.isfinite(about).all() and np.isfinite(doubt):
        near = on_parts(matrix, rows, _near, about, doubt)
        rivals = np.searchsorted(rows, np.concatenate([own for own, _ in near]))
        away = np.concatenate([away for _, away in near])
        rivals = rivals[away - doubt <= away.min() + doubt]
    if rivals.size > 1:
        mean = mean_vector(matrix, rows)
        rivals = rivals[[rounded(matrix, _distances_to(matrix, rows[rivals], mean)).argmin()]]
    return int(rivals[0])


ROUGH = 2 * (ROWS + 8) * ROUNDING
"""Error of a rough mean, as a share of the mean length of a row; twice what is proven."""


UNDERFLOWING = 1e-28
"""Mean square below which squares of float32 values may underflow."""


def _rough_sum(matrix: Vectors, rows: NDArray[np.int64]) -> tuple[NDArray[np.float64], float]:
    """Return a rough sum of rows, and at least the sum of their lengths; both may overflow."""
    # A float32 sum of b rows has an error of at most b·u·Σ|x|, with u the unit roundoff, and
    # reciprocal lengths add 2·u. With F the Frobenius norm of the block, Σ|x| ≤ √b·F.
    unit = isinstance(matrix, UnitRows)

    def work(part: slice) -> tuple[NDArray[np.float64], float]:
        total, size = np.zeros(matrix.shape[1]), 0.0
        with np.errstate(over="ignore", invalid="ignore"):
            for some in row_blocks(part.stop - part.start, ROWS):
                block, weights = take_weighted(matrix, rows[part][some])
                total += weights @ block  # (d,)
                size += len(block) if unit else _lengths_of(block)
        return total, size

    found = map_blocks(work, rows.size, PART)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.sum([total for total, _ in found], axis=0), sum(size for _, size in found)


def _lengths_of(block: NDArray[np.float32]) -> float:
    """Return about the sum of the lengths of (b, d) vectors, or more; it may overflow."""
    flat = block.ravel()
    squares = float(flat @ flat)
    if squares < UNDERFLOWING * flat.size:  # squares may underflow
        squares = flat.size * float(np.abs(flat).max()) ** 2
    return math.sqrt(len(block)) * math.sqrt(squares)


def _near(
    matrix: Vectors, rows: NDArray[np.int64], about: NDArray[np.float64], doubt: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the rows that may be nearest to a point within `doubt` of `about`, and distances."""
    lower, upper = _distance_bounds(matrix, rows, about)  # (m,), (m,)
    rivals = rows[lower - doubt <= upper.min() + doubt]
    return rivals, np.sqrt(_distances_to(matrix, rivals, about))


def _distances_to(
    matrix: Vectors, rows: NDArray[np.int64], point: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the squared distances of (m,) rows to a point: (m,)."""
    found = np.empty(rows.size)
    for part in row_blocks(rows.size, PAIRS):
        found[part] = squared_distances(take_wide(matrix, rows[part]), point)
    return found


def _distance_bounds(
    matrix: Vectors, rows: NDArray[np.int64], mean: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return lower and upper bounds of the distances to `mean`, from float32 distances."""
    frame = Frame.around(matrix, rows)
    with np.errstate(over="ignore"):
        frame = replace(frame, shift=(mean * frame.scale).astype(np.float32))
    if not np.isfinite(frame.shift).all():
        return np.zeros(rows.size), np.full(rows.size, np.inf)
    norms = _norms(matrix, rows, frame.shift, frame.scale)
    shift_error = float(np.linalg.norm(frame.shift - mean * frame.scale)) * (1 + 1e-9)
    lower = np.sqrt(np.maximum(norms * (1 - frame.error) - frame.slack, 0)) - shift_error
    upper = np.sqrt(norms * (1 + frame.error) + frame.slack) + shift_error
    lower[np.isinf(norms)] = 0  # the norm overflowed, so the distance is unknown
    return lower * (1 - 1e-9) / frame.scale, upper * (1 + 1e-9) / frame.scale
