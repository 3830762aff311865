"""Candidates for neighbours from the lists of an inverted file, by matrix products."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .clusters import Clusters
from .faiss_files import one_faiss_thread
from .vectors import row_blocks

__all__ = ["ListSearch"]

COLUMNS = 2048
"""Maximum vectors of a list per matrix product."""


class ListSearch:
    """Searches the lists whose centres are nearest to each vector.

    Vectors of nearby lists are searched together: a list is read once for all of them, and one
    matrix product gives the distances. FAISS keeps the nearest of each vector in a heap.

    Parameters
    ----------
    sketch
        (p, m) float32 array or memory map.
    lists
        A partition of the p vectors, with centres in the space of the sketch.
    """

    def __init__(self, sketch: NDArray[np.float32], lists: Clusters) -> None:
        self.sketch, self.labels, self.centres = sketch, lists.labels, lists.centres
        self._order = lists.labels.argsort(kind="stable")  # (p,), list by list
        self._starts = np.concatenate(
            [[0], np.bincount(lists.labels, minlength=len(lists.centres))]
        )
        self._starts = self._starts.cumsum()  # (c + 1,)

    def candidates(self, points: NDArray[np.int64], count: int, probes: int) -> NDArray[np.int64]:
        """Return the `count` nearest of each of b points in `probes` lists; -1 is padding."""
        return self.nearest(self.sketch[points], count, probes)

    def nearest(self, queries: NDArray[np.float32], count: int, probes: int) -> NDArray[np.int64]:
        """Return the positions of the vectors nearest to (b, m) queries: (b, count)."""
        import faiss

        with one_faiss_thread():
            queries = np.ascontiguousarray(queries)
            lists = faiss.knn(queries, self.centres, min(probes, len(self.centres)))[1]
            wide = np.hstack([queries, np.ones((len(queries), 1), np.float32)])  # (b, m + 1)
            asked = lists.ravel().argsort(kind="stable")  # (b·probes,), list by list
            ends = lists.ravel()[asked].searchsorted(np.arange(len(self.centres) + 1))
            asked //= lists.shape[1]  # queries
            heap = faiss.ResultHeap(len(queries), count)
            for at in np.flatnonzero(np.diff(ends)).tolist():
                some = np.ascontiguousarray(asked[ends[at] : ends[at + 1]])  # (q,)
                members = self._order[self._starts[at] : self._starts[at + 1]]
                for part in row_blocks(members.size, COLUMNS):
                    columns = self._columns(members[part])  # (b, m + 1)
                    heap.add_result_subset(some, wide[some] @ columns.T, members[part])
            heap.finalize()
        found: NDArray[np.int64] = heap.I
        return found

    def _columns(self, members: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return columns whose product with (x, 1) is |y|² − 2·x·y: (b, m + 1)."""
        vectors = self.sketch[members]  # (b, m)
        columns = np.empty((len(vectors), vectors.shape[1] + 1), np.float32)
        np.multiply(vectors, np.float32(-2), out=columns[:, :-1])
        columns[:, -1] = np.einsum("ij,ij->i", vectors, vectors)
        return columns
