"""Short vectors whose distances are proven lower bounds of the distances of long vectors."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .._threads import map_blocks, one_blas_thread
from .distances import ROUNDING, step_of
from .sketch import principal_directions
from .vectors import Vectors, row_blocks, take_rows, take_wide

__all__ = ["Contraction", "contraction_of"]

SAMPLE = 4096
"""Maximum rows from which directions are computed."""

WIDTHS = (64, 128, 256, 512)
"""Numbers of directions that are considered."""

BLOCK = 512
"""Rows per block in float64."""

ERROR = 3e-6
"""Maximum error of a short vector, as a share of the largest norm."""

ORDINARY = (1e-25, 1e25)
"""Norms outside these limits are not used in float32."""


@dataclass(frozen=True)
class Contraction:
    """Maps a vector x to (V·x, |x − VᵀV·x|): coordinates in orthonormal directions, and the rest.

    The exact map never increases a distance, because of the reverse triangle inequality for the
    rest. So ``|short(x) − short(y)| ≤ |x − y| + 2·error``.

    The products are in float64, with a relative error below 1e-12 of |x|². The norm of the rest is
    a square root, so its error is below 2e-6·|x|. Rounding to float32 adds 6e-8·|x|.
    """

    vectors: Vectors
    centre: NDArray[np.float64]  # (d,)
    directions: NDArray[np.float64]  # (d, m), orthonormal
    error: float

    def narrowed(self, m: int) -> Contraction:
        """Return the contraction to the first `m` directions."""
        return replace(self, directions=np.ascontiguousarray(self.directions[:, :m]))

    def short(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the short vectors of rows: (b, m + 1) float32."""
        found = np.empty((rows.size, self.directions.shape[1] + 1), np.float32)

        def work(part: slice) -> None:
            wide = take_wide(self.vectors, rows[part]) - self.centre  # (b, d)
            inside = wide @ self.directions  # (b, m)
            rest = np.square(wide).sum(axis=1) - np.square(inside).sum(axis=1)  # (b,)
            found[part, :-1] = inside
            found[part, -1] = np.sqrt(np.maximum(rest, 0))

        map_blocks(work, rows.size, BLOCK)
        return found

    def bound(self, distances: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return a limit of the squared short distance of pairs within true `distances`."""
        wide = distances.astype(np.float64) * (1 + 4 * ROUNDING) + 2 * self.error
        limit: NDArray[np.float64] = np.square(wide) * (1 + 4 * ROUNDING)
        return limit + 2 * step_of(self.vectors)


def contraction_of(vectors: Vectors, rows: NDArray[np.int64], m: int) -> Contraction | None:
    """Return a contraction to `m` principal directions; None for extreme norms."""
    sample = np.array(take_rows(vectors, rows[:: -(-rows.size // SAMPLE)]))  # (s, d)
    with np.errstate(over="ignore", invalid="ignore"):
        centre = sample.mean(axis=0, dtype=np.float64)  # (d,)
        largest = _largest_norm(vectors, rows, centre)
    if not ORDINARY[0] < largest < ORDINARY[1]:
        return None
    scaled = (sample - centre) / largest
    with one_blas_thread():
        first = principal_directions(scaled.astype(np.float32), m).astype(np.float64)  # (d, m)
        directions, _ = np.linalg.qr(first)
        apart = np.abs(directions.T @ directions - np.eye(directions.shape[1])).sum()
    if not apart < 1e-12 * directions.shape[1] ** 2:
        return None
    return Contraction(vectors, centre, np.ascontiguousarray(directions), ERROR * largest)


def _largest_norm(vectors: Vectors, rows: NDArray[np.int64], centre: NDArray[np.float64]) -> float:
    """Return the largest distance of rows to `centre`."""

    def work(part: slice) -> float:
        found = 0.0
        for block in row_blocks(part.stop - part.start, BLOCK):
            wide = take_wide(vectors, rows[part][block]) - centre  # (b, d)
            found = max(found, float(np.square(wide).sum(axis=1).max()))
        return found

    return float(np.sqrt(max(map_blocks(work, rows.size, 16 * BLOCK)))) * (1 + 1e-9)
