"""FAISS indexes whose ids are rows of a matrix, and their files."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._threads import one_blas_thread
from .clusters import Clusters
from .sketch import Projection
from .vectors import Vectors, row_blocks, take_rows

__all__ = [
    "BLOCK",
    "filled",
    "flat_index",
    "inner_index",
    "lists_of",
    "one_faiss_thread",
    "projected",
    "read_faiss",
    "renumber",
    "write_faiss",
]


BLOCK = 1 << 16
"""Maximum vectors that are added at once."""


def flat_index(vectors: Vectors, rows: NDArray[np.int64]) -> Any:
    """Return an index of `rows` of the matrix for exact searches; 4·d bytes per row."""
    import faiss

    d = vectors.shape[1]
    return filled(faiss.IndexFlatL2(d), rows, lambda part: take_rows(vectors, rows[part]))


def filled(
    index: Any, rows: NDArray[np.int64], read: Callable[[slice], NDArray[np.float32]]
) -> Any:
    """Add the vectors of ascending `rows` to an empty index, and return an index of row numbers."""
    import faiss

    plain = not isinstance(index, faiss.IndexIVF)
    ordered = not rows.size or rows[-1] == rows.size - 1  # then ids are rows anyway
    outer = faiss.IndexIDMap(index) if plain and not ordered else index
    with one_blas_thread(), one_faiss_thread():
        for part in row_blocks(rows.size, BLOCK):
            vectors = np.ascontiguousarray(read(part))
            if plain and ordered:
                outer.add(vectors)
            else:
                outer.add_with_ids(vectors, rows[part])
    return outer


def projected(index: Any, projection: Projection) -> Any:
    """Return an index that projects (k, d) vectors before the search of an index of sketches."""
    import faiss

    frame, directions = projection.frame, projection.directions
    d = len(frame.shift)
    if directions is None:
        directions = np.eye(d, dtype=np.float32)
    transform = faiss.LinearTransform(d, directions.shape[1], True)
    turn = np.ascontiguousarray(directions.T * np.float32(frame.scale))  # (m, d)
    faiss.copy_array_to_vector(turn.ravel(), transform.A)
    faiss.copy_array_to_vector(-(frame.shift @ directions), transform.b)
    transform.is_trained = True
    return faiss.IndexPreTransform(transform, index)


def inner_index(index: Any) -> Any:
    """Return the index of sketches within an index made by `filled` and `projected`."""
    import faiss

    inner = faiss.downcast_index(index.index)
    return faiss.downcast_index(inner.index) if isinstance(inner, faiss.IndexIDMap) else inner


def lists_of(index: Any, rows: NDArray[np.int64]) -> Clusters:
    """Return the lists of an inverted file of `rows` as a partition."""
    import faiss

    sizes = np.array([index.invlists.list_size(at) for at in range(index.nlist)])  # (c,)
    labels = np.empty(rows.size, dtype=np.int32)
    for at in np.flatnonzero(sizes).tolist():
        ids = faiss.rev_swig_ptr(index.invlists.get_ids(at), int(sizes[at]))
        labels[rows.searchsorted(ids)] = at
    return Clusters(labels, sizes, index.quantizer.reconstruct_n(0, index.nlist))


def renumber(index: Any, kept: NDArray[np.bool_], rows: NDArray[np.int64]) -> None:
    """Keep some vectors of an inverted file, and replace their row numbers by `rows`."""
    # Both are in the order of the former row numbers.
    import faiss

    def views() -> list[NDArray[np.int64]]:
        lists = index.invlists
        sizes = [lists.list_size(at) for at in range(index.nlist)]
        return [
            faiss.rev_swig_ptr(lists.get_ids(at), size) for at, size in enumerate(sizes) if size
        ]

    before = np.sort(np.concatenate(views()))
    if not kept.all():
        index.remove_ids(before[~kept])
        before = before[kept]
    for ids in views():
        ids[:] = rows[before.searchsorted(ids)]


def read_faiss(path: Path, *, mapped: bool = False) -> Any:
    """Read a file of FAISS; with `mapped`, the vectors of a flat index stay on disk."""
    import faiss

    return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC if mapped else 0)


def write_faiss(index: Any, path: Path) -> None:
    """Write an index; failures are `OSError`."""
    import faiss

    try:
        faiss.write_index(index, str(path))
    except RuntimeError as error:  # FAISS raises no other type
        raise OSError(str(error)) from error


@contextlib.contextmanager
def one_faiss_thread() -> Iterator[None]:
    """Limit FAISS to one thread in the calling thread."""
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
