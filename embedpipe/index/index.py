"""The index of a matrix: unique vectors, neighbours, sketch and clusters."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .._text import in_words
from .._threads import blas_threads
from ..errors import SelectionError, UsageError
from .approximate import KINDS, Approximate, nearest_candidates
from .clusters import Clusters, kmeans
from .duplicates import distinct_rows, find_rows, row_hashes
from .neighbours import Neighbours, Progress, nearest_neighbours
from .radius_neighbors import MAX_EDGES, RadiusNeighbors, balls_by_neighbours, balls_within
from .sketch import sketch_of
from .stored_arrays import ArrayStore, StoredArrays, Write, write_array
from .vectors import check_metric, vectors_of

__all__ = ["EXACT_UP_TO", "NEIGHBOURS", "Index", "check_kind"]

T = TypeVar("T")

NEIGHBOURS = 32
"""Minimum number of neighbours computed per vector."""

EXACT_UP_TO = 250_000
"""Default maximum number of unique vectors for an exact search of all neighbours."""

FOLLOWED = 512
"""Number of neighbours above which an approximate index searches exactly."""

SAMPLE = 200
"""Vectors on which the recall is measured."""

CLUSTERINGS = 8
"""Maximum partitions kept in memory."""

KEPT_CLUSTERINGS = 128
"""Maximum partitions stored on disk."""

SPEED = 5e10
"""Approximate speed of one core, in squared distances times dimensions per second."""


class Index:
    """Unique vectors, neighbours, sketch and clusters of a matrix, each computed once on first use.

    The position of a unique vector is its index in `rows`. With a `folder` and a `digest`, results
    are stored. The next index of the same matrix and candidates reads them, memory-mapped.

    Parameters
    ----------
    matrix
        (n, d) finite float32 array or memory map; never copied or written to.
    candidates
        (m,) int64 rows, ascending; other rows are ignored. Default: every row.
    kind
        ``"exact"``: true neighbours. ``"ivf"`` (inverted file) and ``"hnsw"`` (graph) are for
        millions of vectors: FAISS searches `sketch` and finds most of the neighbours (see
        `recall`). The distances of these neighbours are exact.
    folder
        Where to store results; each kind and set of candidates has a subfolder.
    digest
        SHA-256 of the matrix, in hexadecimal. Without a digest nothing is stored.
    exact_up_to
        Maximum unique vectors for an exact search of all neighbours. None: no limit.
    metric
        ``"euclidean"``, or ``"cosine"``: rows are scaled to unit length (`UnitRows`), so distances
        are from 0 to 2.

    Attributes
    ----------
    vectors
        The vectors for distances: the matrix or, for the cosine metric, `UnitRows` of it.
    rows
        (p,) int64 ascending, the lowest row of each unique vector.
    copy_of
        (m,) int32, the position of the unique vector of each candidate.
    sizes
        (p,) int64, the number of candidates of each unique vector.
    sketch
        (p, at most 128) float32, the unique vectors projected on their principal directions.
    recall
        Share of the 32 true neighbours that `neighbours` finds, measured on 200 evenly spaced
        vectors; 1 for an exact index.
    not_kept
        Reason why a result could not be stored in `folder`, or None. No error is raised.

    Notes
    -----
    Bytes per unique vector: 20, 512 for the sketch, 256 for 32 neighbours, and at most 140
    (``"ivf"``) or 290 (``"hnsw"``) for an approximate index. The cosine metric needs 8 bytes per
    row of the matrix.

    Examples
    --------
    >>> matrix = np.array([[0.0], [5.0], [0.0], [4.0]], dtype=np.float32)
    >>> index = Index(matrix)
    >>> index.rows.tolist(), index.copy_of.tolist(), index.sizes.tolist()
    ([0, 1, 3], [0, 1, 0, 2], [2, 1, 1])
    >>> index.neighbours(1).positions.tolist()
    [[2], [2], [1]]
    """

    def __init__(
        self,
        matrix: NDArray[np.float32],
        candidates: NDArray[np.int64] | None = None,
        *,
        kind: str = "exact",
        folder: Path | None = None,
        digest: str | None = None,
        exact_up_to: int | None = EXACT_UP_TO,
        metric: str = "euclidean",
    ) -> None:
        check_kind(kind)
        self.metric = check_metric(metric)
        self.kind, self.folder, self.digest = kind, folder, digest
        self.exact_up_to = exact_up_to
        self.matrix, self.vectors = matrix, vectors_of(matrix, metric)
        self.candidates = (
            np.arange(len(matrix), dtype=np.int64) if candidates is None else candidates
        )
        self._clusters: OrderedDict[tuple[int, int], Clusters] = OrderedDict()
        self._neighbours: Neighbours | None = None
        self._balls: tuple[float, RadiusNeighbors] | None = None
        self._remembered: dict[Hashable, Any] = {}
        self._other_metrics: dict[str, Index] = {}

    def measured_by(self, metric: str) -> Index:
        """Return the index with the given metric and the same matrix, candidates and kind.

        Examples
        --------
        >>> index = Index(np.array([[3.0, 4.0], [6.0, 8.0], [0.0, 1.0]], dtype=np.float32))
        >>> index.measured_by("cosine").rows.tolist(), index.measured_by("euclidean") is index
        ([0, 2], True)
        """
        if metric == self.metric:
            return self
        if metric not in self._other_metrics:
            self._other_metrics[metric] = Index(
                self.matrix,
                self.candidates,
                kind=self.kind,
                folder=self.folder,
                digest=self.digest,
                exact_up_to=self.exact_up_to,
                metric=metric,
            )
        return self._other_metrics[metric]

    # Unique vectors

    @property
    def rows(self) -> NDArray[np.int64]:  # noqa: D102
        return self._distinct[0]

    @property
    def copy_of(self) -> NDArray[np.int32]:  # noqa: D102
        return self._distinct[1]

    @cached_property
    def sizes(self) -> NDArray[np.int64]:  # noqa: D102
        return np.bincount(self.copy_of, minlength=self.rows.size)

    def find(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the position of the unique vector of each of (k,) rows; -1 if no candidate has it.

        The rows need not be candidates. Time for m candidates and p unique vectors of length d:
        O(log m) per candidate, O(d) per other row, and O(p·d) once.

        Examples
        --------
        >>> matrix = np.array([[0.0], [5.0], [0.0], [4.0]], dtype=np.float32)
        >>> Index(matrix, np.array([1, 2])).find(np.array([0, 1, 3])).tolist()
        [1, 0, -1]
        """
        rows = np.asarray(rows, dtype=np.int64)
        found = np.full(rows.size, -1, dtype=np.int64)
        if not self.candidates.size:
            return found
        at = np.minimum(self.candidates.searchsorted(rows), self.candidates.size - 1)
        known = self.candidates[at] == rows
        found[known] = self.copy_of[at[known]]
        if not known.all():
            found[~known] = find_rows(self.vectors, self.rows, self._hashes, rows[~known])
        return found

    # Neighbours

    def neighbours(self, k: int, progress: Progress | None = None) -> Neighbours:
        """Return the `k` nearest unique vectors of each unique vector, or all if there are fewer.

        At least 32 neighbours are computed and stored.

        Parameters
        ----------
        k
            Number of neighbours.
        progress
            Called with the finished and the total amount of work.

        Returns
        -------
        Neighbours
            The true neighbours; ties go to the lowest position. For an approximate index:
            the nearest of the vectors that FAISS finds.

        Raises
        ------
        SelectionError
            If an exact index has more than `exact_up_to` unique vectors.

        Examples
        --------
        >>> matrix = np.array([[0.0], [5.0], [4.0]], dtype=np.float32)
        >>> found = Index(matrix).neighbours(2)
        >>> found.positions.tolist(), found.distances.tolist()
        ([[2, 1], [2, 0], [1, 0]], [[4.0, 5.0], [1.0, 5.0], [1.0, 4.0]])
        """
        most = max(self.rows.size - 1, 0)
        width = min(max(k, NEIGHBOURS), most)
        known = self._known_neighbours
        if known is None or known.positions.shape[1] < width:
            known = self._load_or_make(
                "neighbours",
                lambda part: _wide_enough(part, width),
                lambda: self._make_neighbours(width, progress),
            )
            self._neighbours = known
        k = min(max(k, 0), most)
        return Neighbours(known.positions[:, :k], known.distances[:, :k])

    def within(self, radius: float, max_edges: float = MAX_EDGES) -> RadiusNeighbors:
        """Return the unique vectors within `radius` of each unique vector, itself included.

        The last result is kept in memory.

        Parameters
        ----------
        radius
            At least 0, in the unit of the metric.
        max_edges
            Maximum mean number of vectors within the radius.

        Raises
        ------
        SelectionError
            If the mean number is larger than `max_edges`, or an exact index has more than
            `exact_up_to` unique vectors.

        Examples
        --------
        >>> matrix = np.array([[0.0], [5.0], [4.0]], dtype=np.float32)
        >>> balls = Index(matrix).within(1)
        >>> balls.starts.tolist(), balls.members.tolist()
        ([0, 1, 3, 5], [0, 1, 2, 1, 2])
        """
        if self._balls is not None and self._balls[0] == radius:
            balls = self._balls[1]
            if balls.members.size <= max_edges * self.rows.size:
                return balls
        if self.kind == "exact":
            known = self._known_neighbours
            if known is None:
                self._check_size()
            balls = balls_within(self.vectors, self.rows, radius, max_edges, known)
        else:
            balls = balls_by_neighbours(self.vectors, self.rows, radius, max_edges, self._nearest)
        self._balls = radius, balls
        return balls

    # Sketch and clusters

    @cached_property
    def sketch(self) -> NDArray[np.float32]:  # noqa: D102
        return self._load_or_make("sketch", lambda part: part.array("values"), self._make_sketch)

    def clusters(self, k: int, seed: int = 0) -> Clusters:
        """Return a partition of the unique vectors into `k` clusters by k-means on `sketch`.

        If there are fewer than `k` unique vectors, each of them is a cluster. The last eight
        partitions are kept in memory, and the last 128 are stored.

        Raises
        ------
        SelectionError
            If `k` is less than 1, or there are no vectors.

        Examples
        --------
        >>> matrix = np.array([[0.0], [5.0], [4.0]], dtype=np.float32)
        >>> sorted(Index(matrix).clusters(2).sizes.tolist())
        [1, 2]
        """
        key = min(k, self.rows.size), seed
        found = self._clusters.pop(key, None)
        if found is None:
            found = self._load_or_make(
                "clusters-{}-{}".format(*key), _read_clusters, lambda: self._make_clusters(*key)
            )
        self._clusters[key] = found  # the most recent is last
        while len(self._clusters) > CLUSTERINGS:
            self._clusters.popitem(last=False)
        return found

    def remember(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the result of the first `make` for a key; it stays in memory, so keep it small.

        Examples
        --------
        >>> index = Index(np.array([[0.0], [5.0]], dtype=np.float32))
        >>> index.remember("answer", lambda: 42), index.remember("answer", lambda: 43)
        (42, 42)
        """
        if key not in self._remembered:
            self._remembered[key] = make()
        found: T = self._remembered[key]
        return found

    # Description

    @property
    def recall(self) -> float:  # noqa: D102
        if self.kind == "exact" or self.rows.size < 2:
            return 1.0
        return self._search[1]

    @property
    def not_kept(self) -> str | None:  # noqa: D102
        return None if self._kept is None else self._kept.problem

    def describe(self) -> dict[str, Any]:
        """Return a summary as plain JSON.

        The keys are ``kind``, ``metric``, ``candidates``, ``points`` (unique vectors),
        ``dimension``, ``neighbours`` (known per vector), ``recall``, ``folder``, ``bytes`` (size of
        the files) and ``not_kept``.

        Examples
        --------
        >>> found = Index(np.eye(3, dtype=np.float32)).describe()
        >>> found["kind"], found["points"], found["neighbours"], found["recall"]
        ('exact', 3, 0, 1.0)
        """
        known = self._known_neighbours
        kept = self._kept
        return {
            "kind": self.kind,
            "metric": self.metric,
            "candidates": int(self.candidates.size),
            "points": int(self.rows.size),
            "dimension": int(self.matrix.shape[1]),
            "neighbours": 0 if known is None else known.positions.shape[1],
            "recall": self.recall,
            "folder": None if kept is None else str(kept.folder),
            "bytes": 0 if kept is None else kept.size,
            "not_kept": self.not_kept,
        }

    # Computation and storage

    @cached_property
    def _kept(self) -> ArrayStore | None:
        if self.folder is None or self.digest is None:
            return None
        rows = np.ascontiguousarray(self.candidates, dtype="<i8")
        candidates = hashlib.sha256(rows.data).hexdigest()
        identity = {
            "matrix": self.digest,
            "candidates": candidates,
            "kind": self.kind,
            "metric": self.metric,
        }
        return ArrayStore(self.folder / f"{self.kind}-{self.metric}-{candidates[:16]}", identity)

    def _load(self, name: str) -> StoredArrays | None:
        return None if self._kept is None else self._kept.load(name)

    def _save(
        self, name: str, parameters: dict[str, Any], files: dict[str, Write], **more: Any
    ) -> None:
        if self._kept is not None:
            self._kept.save(name, parameters, files, **more)

    def _load_or_make(
        self, name: str, read: Callable[[StoredArrays], T | None], make: Callable[[], T]
    ) -> T:
        """Return the stored result, or make it; only one of several processes makes it."""
        # `read` returns None if the stored result is not sufficient; `make` also saves the result.
        found = self._read(name, read)
        if found is not None or self._kept is None:
            return make() if found is None else found
        with self._kept.alone(name):
            found = self._read(name, read)  # another process may have made it
            return make() if found is None else found

    def _read(self, name: str, read: Callable[[StoredArrays], T | None]) -> T | None:
        part = self._load(name)
        return None if part is None else read(part)

    def _make_sketch(self) -> NDArray[np.float32]:
        sketch = sketch_of(self.vectors, self.rows)
        self._save("sketch", {}, {"values.npy": write_array(sketch)})
        return sketch

    def _make_clusters(self, k: int, seed: int) -> Clusters:
        found = kmeans(self.sketch, k, seed)
        small = found.labels.astype(np.min_scalar_type(k))
        files = {"labels.npy": write_array(small), "centres.npy": write_array(found.centres)}
        self._save(f"clusters-{k}-{seed}", {}, files, at_most=("clusters-", KEPT_CLUSTERINGS))
        return found

    def _make_neighbours(self, width: int, progress: Progress | None) -> Neighbours:
        found = self._find_neighbours(width, progress)
        files = {
            "positions.npy": write_array(found.positions),
            "distances.npy": write_array(found.distances),
        }
        self._save("neighbours", {"k": width}, files)
        return found

    @cached_property
    def _distinct(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        return self._load_or_make(
            "points", lambda part: (part.array("rows"), part.array("copy_of")), self._make_points
        )

    def _make_points(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        rows, copy_of = distinct_rows(self.vectors, self.candidates)
        files = {"rows.npy": write_array(rows), "copy_of.npy": write_array(copy_of)}
        self._save("points", {}, files)
        return rows, copy_of

    @cached_property
    def _hashes(self) -> NDArray[np.uint64]:
        return row_hashes(self.vectors, self.rows)

    @property
    def _known_neighbours(self) -> Neighbours | None:
        """The neighbours found so far, here or by another process."""
        if self._neighbours is None:
            self._neighbours = self._read("neighbours", lambda part: _wide_enough(part, 0))
        return self._neighbours

    def _find_neighbours(self, width: int, progress: Progress | None) -> Neighbours:
        if self.kind == "exact" or not width:
            self._check_size()
            return nearest_neighbours(self.vectors, self.rows, width, progress)
        return self._nearest_candidates(np.arange(self.rows.size), width, progress)

    def _nearest(self, points: NDArray[np.int64], k: int) -> Neighbours:
        """Return the neighbours of some unique vectors; known neighbours are reused."""
        known = self._known_neighbours
        if known is None or known.positions.shape[1] < k:
            return self._nearest_candidates(points, k)
        return Neighbours(known.positions[points, :k], known.distances[points, :k])

    def _nearest_candidates(
        self, points: NDArray[np.int64], k: int, progress: Progress | None = None
    ) -> Neighbours:
        if k > FOLLOWED:
            return nearest_neighbours(self.vectors, self.rows, k, progress, some=points)
        search, _ = self._search
        return nearest_candidates(self.vectors, self.rows, search, points, k, progress)

    @cached_property
    def _search(self) -> tuple[Approximate, float]:
        """The approximate index and its recall."""
        return self._load_or_make("search", self._read_search, self._make_search)

    def _read_search(self, part: StoredArrays) -> tuple[Approximate, float]:
        path = part.paths["index.faiss"]
        return Approximate.read(self.kind, self.sketch, path), part.parameters["recall"]

    def _make_search(self) -> tuple[Approximate, float]:
        search = Approximate.build(self.kind, self.sketch)
        p = self.rows.size
        some = np.arange(0, p, -(-p // SAMPLE))  # (s,)
        true = nearest_neighbours(self.vectors, self.rows, NEIGHBOURS, some=some).positions
        k = true.shape[1]
        found = nearest_candidates(self.vectors, self.rows, search, some, k).positions
        shared = [np.intersect1d(*pair).size for pair in zip(true, found, strict=True)]
        recall = sum(shared) / true.size
        self._save("search", {"recall": recall}, {"index.faiss": search.write})
        return search, recall

    def _check_size(self) -> None:
        p, d = self.rows.size, self.matrix.shape[1]
        if self.exact_up_to is None or p <= self.exact_up_to:
            return
        cores = blas_threads()
        seconds = float(p) ** 2 * d / (SPEED * cores)
        raise SelectionError(
            f"the exact neighbours of {p:,} unique vectors of {d:,} dimensions take about "
            f"{in_words(seconds)} on {cores} cores; the limit is {self.exact_up_to:,} vectors. Use "
            "index='ivf' or index='hnsw' (they find most neighbours), or an Index with "
            "exact_up_to=None."
        )


def _wide_enough(part: StoredArrays, width: int) -> Neighbours | None:
    positions = part.array("positions")
    if positions.shape[1] < width:
        return None
    return Neighbours(positions, part.array("distances"))


def _read_clusters(part: StoredArrays) -> Clusters:
    labels, centres = part.array("labels").astype(np.int32), np.array(part.array("centres"))
    return Clusters(labels, np.bincount(labels, minlength=len(centres)), centres)


def check_kind(kind: str) -> None:
    """Raise `UsageError` if the kind of index is unknown."""
    if kind not in ("exact", *KINDS):
        raise UsageError(f"unknown kind of index {kind!r}: give exact, ivf or hnsw.")
