"""The FAISS index of a matrix and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .clusters import Clusters, kmeans
from .copies import distinct_rows
from .frame import Frame

__all__ = ["Balls", "Index", "Neighbours"]


@dataclass(frozen=True)
class Neighbours:
    """The nearest points of each of p points, itself left out.

    Attributes
    ----------
    positions
        (p, k) int32 positions of points, nearest first, ties by lowest position.
    distances
        (p, k) float32 Euclidean distances.
    """

    positions: NDArray[np.int32]
    distances: NDArray[np.float32]


@dataclass(frozen=True)
class Balls:
    """The points within a radius of each of p points, itself included.

    Attributes
    ----------
    starts
        (p + 1,) int64: the members of point i are ``members[starts[i]:starts[i + 1]]``.
    members
        (e,) int32 positions of points, ascending within each ball.
    """

    starts: NDArray[np.int64]
    members: NDArray[np.int32]


class Index:
    """What is known of where the vectors of a matrix lie; worked out once, when first asked for.

    It speaks of *points*: the distinct vectors among `candidates`, numbered by their lowest row.

    Parameters
    ----------
    matrix
        (n, d) finite float32 array or memory map.
    candidates
        (m,) int64 rows, ascending; no other row is looked at. Default: every row.

    Attributes
    ----------
    rows
        (p,) int64 ascending, the lowest row of each distinct vector: the points.
    copy_of
        (m,) int32, the point of each candidate.
    sizes
        (p,) int64, how many candidates each point stands for.
    """

    def __init__(
        self, matrix: NDArray[np.float32], candidates: NDArray[np.int64] | None = None
    ) -> None:
        self.matrix = matrix
        self.candidates = (
            np.arange(len(matrix), dtype=np.int64) if candidates is None else candidates
        )

    @cached_property
    def _distinct(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        return distinct_rows(self.matrix, self.candidates)

    @property
    def rows(self) -> NDArray[np.int64]:
        return self._distinct[0]

    @property
    def copy_of(self) -> NDArray[np.int32]:
        return self._distinct[1]

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        return np.bincount(self.copy_of, minlength=self.rows.size)

    def find(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the point that has the vector of each row of the matrix, or -1: (k,) int64."""
        at = np.searchsorted(self.candidates, rows)
        at[at == self.candidates.size] = 0
        known = self.candidates[at] == rows
        found = np.where(known, self.copy_of[at], -1).astype(np.int64)
        for place in np.flatnonzero(~known):
            same = (self.matrix[self.rows] == self.matrix[rows[place]]).all(axis=1)
            if same.any():
                found[place] = int(same.argmax())
        return found

    def neighbours(self, k: int) -> Neighbours:
        """Return the `k` nearest points of each point; fewer if there are fewer."""
        import faiss

        k = min(k, self.rows.size - 1)
        moved = Frame.around(self.matrix, self.rows).rows(self.rows).vectors
        squared, found = faiss.knn(moved, moved, k + 1)
        own = found == np.arange(self.rows.size)[:, None]
        own[~own.any(axis=1), -1] = True
        shape = (self.rows.size, k)
        return Neighbours(
            found[~own].reshape(shape).astype(np.int32),
            np.sqrt(np.maximum(squared[~own].reshape(shape), 0)),
        )

    def within(self, radius: float) -> Balls:
        """Return the points at most `radius` away from each point, itself included."""
        import faiss

        moved = Frame.around(self.matrix, self.rows).rows(self.rows).vectors
        flat = faiss.IndexFlatL2(moved.shape[1])
        flat.add(moved)
        starts, _, members = flat.range_search(moved, float(np.nextafter(radius**2, np.inf)))
        starts = starts.astype(np.int64)
        for i in range(self.rows.size):
            members[starts[i] : starts[i + 1]].sort()
        return Balls(starts, members.astype(np.int32))

    @cached_property
    def sketch(self) -> NDArray[np.float32]:
        """The points in at most 128 dimensions that keep most of their spread: (p, m) float32."""
        moved = Frame.around(self.matrix, self.rows).rows(self.rows).vectors
        if moved.shape[1] <= 128:
            return moved
        _, vectors = np.linalg.eigh(moved.T @ moved)
        return np.ascontiguousarray(moved @ vectors[:, -128:])

    def clusters(self, k: int, seed: int = 0) -> Clusters:
        """Return a partition of the points into min(k, p) clusters by k-means on `sketch`."""
        return kmeans(self.sketch, min(k, self.rows.size), seed)
