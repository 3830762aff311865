"""Approximate neighbours among millions of vectors: FAISS searches their sketches."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._threads import map_blocks, one_blas_thread
from .clusters import kmeans
from .distances import ROUNDING, between, rounding_of
from .neighbours import RANKED, Neighbours, Progress, nearest_neighbours
from .vectors import Vectors, row_blocks, take_rows

__all__ = ["KINDS", "Approximate", "nearest_candidates"]

KINDS = ("ivf", "hnsw")
"""Kinds of approximate index."""

LISTS = 4
"""Lists of an inverted file, as a multiple of the square root of the number of vectors."""

PROBES = 64
"""Lists that are searched for each vector."""

LINKS = 16
"""Links of each vector in a graph; the lowest layer has twice this number."""

BUILDING = 64
"""Candidates that are examined when a vector is added to the graph."""

BLOCK = 1 << 16
"""Maximum vectors that are added at once, and maximum vectors of the training sample."""

CANDIDATES = 4
"""Candidates for each requested neighbour."""

MEASURED = 1 << 14
"""Maximum vectors whose candidates are in memory at once."""

QUERIES = 1024
"""Maximum vectors in one call of FAISS."""


class Approximate:
    """A FAISS index of the (p, m) sketches of vectors, with 8 bits per dimension.

    `kind` is ``"ivf"``, an inverted file (at most 140 bytes per vector), or ``"hnsw"``, a
    hierarchical graph (290 bytes). Results do not depend on the number of threads: the lists come
    from `kmeans`, one thread adds the vectors in order, and each call of FAISS searches for a fixed
    number of vectors.

    References
    ----------
    Malkov and Yashunin (2016), "Efficient and robust approximate nearest neighbor search using
    hierarchical navigable small world graphs", arXiv:1603.09320. Douze et al. (2024), "The Faiss
    library", arXiv:2401.08281.
    """

    def __init__(self, kind: str, sketch: NDArray[np.float32], index: Any) -> None:
        self.kind, self.sketch, self.index = kind, sketch, index

    @classmethod
    def build(cls, kind: str, sketch: NDArray[np.float32]) -> Approximate:
        """Index the sketches; a graph of a million vectors takes about ten minutes."""
        index = _inverted_file(sketch) if kind == "ivf" else _graph(sketch)
        return cls(kind, sketch, index)

    @classmethod
    def read(cls, kind: str, sketch: NDArray[np.float32], path: Path) -> Approximate:
        """Read an index written by `write`."""
        import faiss

        return cls(kind, sketch, faiss.read_index(str(path)))

    def write(self, path: Path) -> None:
        """Write the index."""
        import faiss

        try:
            faiss.write_index(self.index, str(path))
        except RuntimeError as error:  # FAISS raises no other type
            raise OSError(str(error)) from error

    def candidates(self, points: NDArray[np.int64], count: int) -> NDArray[np.int64]:
        """Return up to `count` vectors near each of s `points`: (s, count) int64; -1 is padding."""
        if self.kind == "ivf":
            self.index.nprobe = min(PROBES, self.index.nlist)
        else:
            self.index.hnsw.efSearch = count
        found = np.empty((points.size, count), dtype=np.int64)

        def work(part: slice) -> None:
            queries = np.ascontiguousarray(self.sketch[points[part]])  # (b, m)
            with _one_faiss_thread():
                found[part] = self.index.search(queries, count)[1]

        map_blocks(work, points.size, QUERIES)
        return found


def nearest_candidates(
    matrix: Vectors,
    rows: NDArray[np.int64],
    search: Approximate,
    points: NDArray[np.int64],
    k: int,
    progress: Progress | None = None,
) -> Neighbours:
    """Return the `k` nearest candidates of each of `points`, by exact distance."""
    # Time for s points of length d: O(s·k·d) besides the searches. Memory: 32·k bytes for each of
    # 16,384 vectors, and 16·k·d bytes per thread.
    count = min(CANDIDATES * k + 1, rows.size)  # a search also finds the vector itself
    positions = np.zeros((points.size, k), dtype=np.int32)
    distances = np.zeros((points.size, k), dtype=np.float32)
    for part in row_blocks(points.size, MEASURED):
        some = points[part]  # (b,)
        found = search.candidates(some, count)  # (b, count)
        nearest, lengths = positions[part], distances[part]  # views
        short = _rank(matrix, rows, some, found, nearest, lengths)
        if short.size:
            exact = nearest_neighbours(matrix, rows, k, some=some[short])
            nearest[short], lengths[short] = exact.positions, exact.distances
        if progress:
            progress(part.stop, points.size)
    return Neighbours(positions, distances)


def _rank(
    matrix: Vectors,
    rows: NDArray[np.int64],
    points: NDArray[np.int64],
    found: NDArray[np.int64],
    nearest: NDArray[np.int32],
    lengths: NDArray[np.float32],
) -> NDArray[np.int64]:
    """Write the nearest candidates and distances; return the (t,) points with fewer than k."""
    # A sum of squared float32 differences has a relative error of at most `error`. Underflow adds
    # at most `slack`. Candidates that these bounds exclude are not measured in float64.
    k, d = nearest.shape[1], matrix.shape[1]
    more = rounding_of(matrix)
    error, slack = (2 * d + 40 + more.share) * ROUNDING, d * 1e-37 + more.constant
    short = np.zeros(points.size, dtype=np.bool_)

    def work(part: slice) -> None:
        for at in range(part.start, part.stop):
            others = found[at][(found[at] >= 0) & (found[at] != points[at])]  # (c,)
            if others.size < k:
                short[at] = True
                continue
            own = rows[points[[at]]]  # (1,)
            mine, theirs = take_rows(matrix, own), take_rows(matrix, rows[others])  # (c, d)
            with np.errstate(over="ignore", under="ignore"):
                gaps = theirs - mine
                estimates = np.einsum("ij,ij->i", gaps, gaps)  # (c,)
                limit = np.partition(estimates, k - 1)[k - 1] * (1 + 3 * error) + 3 * slack
            some = np.flatnonzero(~(estimates > limit))
            squared = between(matrix, rows[others[some]], own)
            best = np.lexsort((others[some], squared))[:k]
            nearest[at] = others[some[best]]
            with np.errstate(over="ignore"):
                lengths[at] = np.sqrt(squared[best])

    map_blocks(work, points.size, RANKED)
    return np.flatnonzero(short)


def _inverted_file(sketch: NDArray[np.float32]) -> Any:
    import faiss

    p, m = sketch.shape
    lists = int(np.clip(LISTS * p**0.5, 1, max(1, p // 8)))
    clusters = kmeans(sketch, lists, seed=0)
    quantizer = faiss.IndexFlatL2(m)
    quantizer.add(clusters.centres)
    index = faiss.IndexIVFScalarQuantizer(quantizer, m, lists, faiss.ScalarQuantizer.QT_8bit)
    _fill(index, sketch)
    return index


def _graph(sketch: NDArray[np.float32]) -> Any:
    import faiss

    index: Any = faiss.index_factory(sketch.shape[1], f"HNSW{LINKS}_SQ8")
    index.hnsw.efConstruction = BUILDING
    _fill(index, sketch)
    return index


def _fill(index: Any, sketch: NDArray[np.float32]) -> None:
    with one_blas_thread(), _one_faiss_thread():
        index.train(np.ascontiguousarray(sketch[:: -(-len(sketch) // BLOCK)]))
        for part in row_blocks(len(sketch), BLOCK):
            index.add(np.ascontiguousarray(sketch[part]))


@contextlib.contextmanager
def _one_faiss_thread() -> Iterator[None]:
    """Limit FAISS to one thread in the calling thread."""
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
