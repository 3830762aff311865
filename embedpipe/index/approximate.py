"""Approximate neighbours among millions of vectors: FAISS searches their sketches."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._threads import map_blocks, one_blas_thread
from .clusters import Clusters, kmeans
from .faiss_files import (
    BLOCK,
    filled,
    inner_index,
    lists_of,
    one_faiss_thread,
    projected,
    read_faiss,
    renumber,
    write_faiss,
)
from .list_search import ListSearch
from .nearest import nearest_of
from .neighbours import Neighbours, Progress, nearest_neighbours
from .sketch import Projection
from .vectors import Vectors

__all__ = ["KINDS", "Approximate", "list_count", "nearest_candidates"]

KINDS = ("ivf", "hnsw")
"""Kinds of approximate index."""

LISTS = 4
"""Lists of an inverted file, as a multiple of the square root of the number of vectors."""

PROBES = tuple(8 << step for step in range(7))
"""Numbers of lists that a search may read for each vector, ascending."""

LINKS = 16
"""Links of each vector in a graph; the lowest layer has twice this number."""

BUILDING = 64
"""Candidates that are examined when a vector is added to the graph."""

CANDIDATES = {"ivf": 3, "hnsw": 4}
"""Candidates for each requested neighbour; the sketches in an inverted file are more precise."""

QUERIES = 1024
"""Vectors whose candidates are in memory at once, for each thread."""


class Approximate:
    """A FAISS index of vectors: their (p, m) sketches, with 8 bits per dimension.

    `kind` is ``"ivf"``, an inverted file (at most 140 bytes per vector), or ``"hnsw"``, a
    hierarchical graph (290 bytes). Results do not depend on the number of threads: the lists come
    from `kmeans`, one thread adds the vectors in order, and each search is for a fixed number of
    vectors.

    `file` takes vectors of the matrix, projects them, and returns rows of the matrix.

    References
    ----------
    Malkov and Yashunin (2016), "Efficient and robust approximate nearest neighbor search using
    hierarchical navigable small world graphs", arXiv:1603.09320. Douze et al. (2024), "The Faiss
    library", arXiv:2401.08281.
    """

    def __init__(
        self, kind: str, sketch: NDArray[np.float32], rows: NDArray[np.int64], file: Any
    ) -> None:
        self.kind, self.sketch, self.rows, self.file = kind, sketch, rows, file
        self.index = inner_index(file)

    @classmethod
    def build(
        cls,
        kind: str,
        sketch: NDArray[np.float32],
        rows: NDArray[np.int64],
        projection: Projection,
    ) -> Approximate:
        """Index the sketches; a graph of a million vectors takes about ten minutes."""
        index = _inverted_file(sketch, rows) if kind == "ivf" else _graph(sketch, rows)
        return cls(kind, sketch, rows, projected(index, projection))

    @classmethod
    def read(
        cls, kind: str, sketch: NDArray[np.float32], rows: NDArray[np.int64], path: Path
    ) -> Approximate:
        """Read an index written by `write`."""
        return cls(kind, sketch, rows, read_faiss(path))

    @classmethod
    def grown(
        cls,
        path: Path,
        sketch: NDArray[np.float32],
        rows: NDArray[np.int64],
        kept: NDArray[np.bool_],
        places: NDArray[np.int64],
    ) -> Approximate:
        """Read the inverted file of an earlier matrix, and replace some of its vectors.

        The `kept` vectors are now at the positions `places`; those at other positions are new.
        """
        found = cls("ivf", sketch, rows, read_faiss(path))
        new = np.ones(rows.size, dtype=np.bool_)
        new[places] = False
        with one_blas_thread(), one_faiss_thread():
            renumber(found.index, kept, rows[places])
            found.index.add_with_ids(np.ascontiguousarray(sketch[new]), rows[new])
        found.file.ntotal = found.index.ntotal
        return found

    def write(self, path: Path) -> None:
        """Write the index."""
        write_faiss(self.file, path)

    def candidates(self, points: NDArray[np.int64], count: int) -> NDArray[np.int64]:
        """Return up to `count` vectors near each of s `points`: (s, count) int64; -1 is padding."""
        if self.kind == "ivf":
            return self._lists.candidates(points, count, self.index.nprobe)
        self.index.hnsw.efSearch = count
        with one_faiss_thread():
            found: NDArray[np.int64] = self.index.search(self.sketch[points], count)[1]
        return found

    def in_order(self, points: NDArray[np.int64]) -> NDArray[np.intp]:
        """Return an order of `points` in which nearby vectors follow each other."""
        if self.kind == "ivf":
            return self._lists.labels[points].argsort(kind="stable")
        return np.arange(points.size)

    def settings(self) -> Iterator[None]:
        """Try the numbers of lists that a search may read, the fastest first."""
        if self.kind == "hnsw":
            yield
            return
        for probes in PROBES:
            self.index.nprobe = min(probes, self.index.nlist)
            yield
            if probes >= self.index.nlist:
                return

    def lists(self) -> Clusters:
        """Return the lists of the inverted file as a partition of the vectors."""
        return lists_of(self.index, self.rows)

    @cached_property
    def _lists(self) -> ListSearch:
        return ListSearch(self.sketch, self.lists())


def list_count(p: int) -> int:
    """Return the number of lists of an inverted file of `p` vectors."""
    return int(np.clip(LISTS * p**0.5, 1, max(1, p // 8)))


def nearest_candidates(
    matrix: Vectors,
    rows: NDArray[np.int64],
    search: Approximate,
    points: NDArray[np.int64],
    k: int,
    progress: Progress | None = None,
) -> Neighbours:
    """Return the `k` nearest candidates of each of `points`, by exact distance."""
    # Time for s points of length d: O(s·k·d) besides the searches. Memory: 8·k bytes per point, and
    # for each thread 1024 times 100·k bytes.
    count = min(CANDIDATES[search.kind] * k + 1, rows.size)  # the vector itself is found too
    positions = np.zeros((points.size, k), dtype=np.int32)
    distances = np.zeros((points.size, k), dtype=np.float32)
    short = np.zeros(points.size, dtype=np.bool_)
    order = search.in_order(points)  # (s,)
    done = Counter(points.size, progress)

    def work(part: slice) -> None:
        at = order[part]  # (b,)
        found = search.candidates(points[at], count)  # (b, count)
        found[found == points[at, None]] = -1
        enough = (found >= 0).sum(axis=1) >= k
        short[at[~enough]] = True
        best = nearest_of(matrix, rows, points[at[enough]], found[enough], k)
        positions[at[enough]], distances[at[enough]] = best.positions, best.distances
        done.add(at.size)

    map_blocks(work, points.size, QUERIES)
    again = np.flatnonzero(short)
    if again.size:
        exact = nearest_neighbours(matrix, rows, k, some=points[again])
        positions[again], distances[again] = exact.positions, exact.distances
    return Neighbours(positions, distances)


class Counter:
    """Reports the progress of several threads."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._total, self._progress = total, progress
        self._done, self._lock = 0, threading.Lock()

    def add(self, count: int) -> None:
        """Report that `count` more units of work are finished."""
        with self._lock:
            self._done += count
            if self._progress:
                self._progress(self._done, self._total)


def _inverted_file(sketch: NDArray[np.float32], rows: NDArray[np.int64]) -> Any:
    import faiss

    p, m = sketch.shape
    clusters = kmeans(sketch, list_count(p), seed=0)
    quantizer = faiss.IndexFlatL2(m)
    quantizer.add(clusters.centres)
    lists = len(clusters.centres)
    index = faiss.IndexIVFScalarQuantizer(quantizer, m, lists, faiss.ScalarQuantizer.QT_8bit)
    _train(index, sketch)
    return filled(index, rows, sketch.__getitem__)


def _graph(sketch: NDArray[np.float32], rows: NDArray[np.int64]) -> Any:
    import faiss

    index: Any = faiss.index_factory(sketch.shape[1], f"HNSW{LINKS}_SQ8")
    index.hnsw.efConstruction = BUILDING
    _train(index, sketch)
    return filled(index, rows, sketch.__getitem__)


def _train(index: Any, sketch: NDArray[np.float32]) -> None:
    with one_blas_thread(), one_faiss_thread():
        index.train(np.ascontiguousarray(sketch[:: -(-len(sketch) // BLOCK)]))
