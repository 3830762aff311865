"""The index of a matrix: unique vectors, neighbours, sketch and clusters."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .._text import in_words
from .._threads import blas_threads
from ..errors import SelectionError, UsageError
from .approximate import KINDS, Approximate, list_count, nearest_candidates
from .clusters import Clusters, kmeans
from .distances import OVERFLOW, Frame
from .duplicates import distinct_rows, find_rows, row_hashes
from .earlier import EarlierIndex, Growth, find_earlier_index
from .faiss_files import flat_index, read_faiss, write_faiss
from .growing import with_new_neighbours
from .neighbours import Neighbours, Progress, nearest_neighbours
from .radius_neighbors import MAX_EDGES, RadiusNeighbors, balls_by_neighbours, balls_within
from .screening import screen_of
from .sketch import Projection, Sketch
from .stored_arrays import ArrayStore, StoredArrays, Write, write_array
from .subsets import LEAST_SHARE, neighbours_in_subset, width_for_subset
from .vectors import Matrix, check_metric, vectors_of

if TYPE_CHECKING:
    from ..cache import Earlier

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

ENOUGH_RECALL = 0.97
"""Recall at which an inverted file is not searched more thoroughly."""

MOST_GROWTH = 1.5
"""Maximum vectors of a grown sketch, as a multiple of those from which its directions come."""

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
        (n, d) finite float32 array, memory map or `ShardedMatrix`; never copied or written to.
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
    whole
        An index of the same matrix and metric whose candidates include all candidates of this
        index. If this index has at least half of its unique vectors, neighbours are selected from
        those of `whole`, which are computed once for many pools. The result is the same.
    earlier
        The matrix from which this one has grown. If it has a stored index of the same kind, metric
        and candidates, that index is extended by at most a quarter; see Notes.

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
    Bytes per unique vector: 28, 512 for the sketch, 256 for 32 neighbours, and at most 140
    (``"ivf"``) or 290 (``"hnsw"``) for an approximate index. The cosine metric needs 8 bytes per
    row of the matrix.

    An index that has grown: an exact one equals an index that is built anew. An approximate one
    keeps the projection of `sketch`, the lists of the inverted file, and the neighbours found
    before. Every new vector that is nearer than one of these neighbours replaces it. `recall` is
    measured again.

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
        matrix: Matrix,
        candidates: NDArray[np.int64] | None = None,
        *,
        kind: str = "exact",
        folder: Path | None = None,
        digest: str | None = None,
        exact_up_to: int | None = EXACT_UP_TO,
        metric: str = "euclidean",
        whole: Index | None = None,
        earlier: Earlier | None = None,
    ) -> None:
        check_kind(kind)
        self.metric = check_metric(metric)
        self.kind, self.folder, self.digest = kind, folder, digest
        self.exact_up_to, self.whole, self.earlier = exact_up_to, whole, earlier
        self.matrix, self.vectors = matrix, vectors_of(matrix, metric)
        self.candidates = (
            np.arange(len(matrix), dtype=np.int64) if candidates is None else candidates
        )
        self._clusters: OrderedDict[tuple[int, int], Clusters] = OrderedDict()
        self._neighbours: Neighbours | None = None
        self._balls: tuple[float, RadiusNeighbors] | None = None
        self._remembered: dict[Hashable, Any] = {}
        self._other_metrics: dict[str, Index] = {}
        self._restricted_from: Index | None = None

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
            self._other_metrics[metric] = self._made_with(metric)
        return self._other_metrics[metric]

    def restricted(self, candidates: NDArray[np.int64]) -> Index:
        """Return an exact index of some of the candidates, given as ascending rows.

        Its unique vectors and its sketch come from this index. It is not stored.

        Examples
        --------
        >>> index = Index(np.array([[0.0], [5.0], [0.0], [4.0]], dtype=np.float32))
        >>> part = index.restricted(np.array([1, 2]))
        >>> part.rows.tolist(), part.copy_of.tolist()
        ([1, 2], [0, 1])
        """
        part = Index(
            self.matrix, candidates, exact_up_to=self.exact_up_to, metric=self.metric, whole=self
        )
        part._restricted_from = self
        return part

    def _made_with(self, metric: str) -> Index:
        """Return a new index with another metric."""
        if self._restricted_from is not None:
            return self._restricted_from.measured_by(metric).restricted(self.candidates)
        return Index(
            self.matrix,
            self.candidates,
            kind=self.kind,
            folder=self.folder,
            digest=self.digest,
            exact_up_to=self.exact_up_to,
            metric=metric,
            whole=None if self.whole is None else self.whole.measured_by(metric),
            earlier=self.earlier,
        )

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

    @property
    def sketch(self) -> NDArray[np.float32]:  # noqa: D102
        return self._sketched.values

    def project(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the coordinates of other vectors in `sketch`.

        Parameters
        ----------
        vectors
            (k, d) finite float32 vectors, such as those of another dataset.

        Returns
        -------
        NDArray
            (k, at most 128) float32. Parts of the vectors outside the principal directions of
            `sketch` are left out.

        Raises
        ------
        SelectionError
            If a vector is so much larger than those of the index that distances overflow.

        Examples
        --------
        >>> index = Index(np.array([[0.0], [5.0], [4.0]], dtype=np.float32))
        >>> index.sketch.ravel().tolist(), index.project(np.array([[7.0]], np.float32)).tolist()
        ([-3.0, 2.0, 1.0], [[4.0]])
        """
        found = self._projection.project(vectors_of(vectors, self.metric), np.arange(len(vectors)))
        if not (np.square(found, dtype=np.float64).sum(axis=1) < OVERFLOW).all():
            raise SelectionError(
                "other vectors are too large to compare with those of the index: embed both with "
                "the same embedding spec."
            )
        return found

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

    def cells(self) -> Clusters:
        """Return the lists of the inverted file as a partition of the unique vectors.

        For the kinds ``"exact"`` and ``"hnsw"``, which have no lists, the same number of clusters.

        Examples
        --------
        >>> matrix = np.random.default_rng(0).standard_normal((100, 8)).astype(np.float32)
        >>> index = Index(matrix, kind="ivf")
        >>> index.cells().sizes.sum(), index.faiss.index.ntotal
        (np.int64(100), 100)
        """
        if self.kind == "ivf" and self._restricted_from is None:
            return self._search[0].lists()
        return self.clusters(list_count(self.rows.size))

    @cached_property
    def faiss(self) -> Any:
        """The index as an object of the library FAISS.

        Searches take (k, d) float32 vectors, of unit length for the cosine metric, and return rows
        of the matrix. Of equal vectors, the lowest row is returned.

        ``"exact"``
            The vectors, 4·d bytes each, in a file that is written on first use and memory-mapped.
        ``"ivf"``, ``"hnsw"``
            The sketches with 8 bits per dimension; distances are approximate.

        The file is ``search-index.faiss`` in the folder of the index; any program opens it with
        ``faiss.read_index``.

        Examples
        --------
        >>> matrix = np.array([[0.0], [5.0], [0.0], [4.0]], dtype=np.float32)
        >>> distances, rows = Index(matrix).faiss.search(np.array([[4.2]], np.float32), 2)
        >>> rows.tolist()
        [[3, 1]]
        """
        if self.kind != "exact":
            return self._search[0].file
        return self._load_or_make(
            "search",
            lambda part: read_faiss(part.paths["index.faiss"], mapped=True),
            self._make_flat,
        )

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
        if self._is_part_of is not None:
            return self._is_part_of.recall
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

    @cached_property
    def _sketched(self) -> Sketch:
        return self._load_or_make("sketch", self._read_sketch, self._make_sketch)

    def _read_sketch(self, part: StoredArrays) -> Sketch:
        directions = part.arrays.get("directions.npy")
        frame = Frame(self.vectors, np.array(part.array("shift")), part.parameters["scale"])
        projection = Projection(frame, None if directions is None else np.array(directions))
        return Sketch(part.array("values"), projection, part.parameters["trained"])

    def _make_sketch(self) -> Sketch:
        if self._restricted_from is not None:
            whole = self._restricted_from._sketched
            return replace(whole, values=whole.values[self._restricted_from.find(self.rows)])
        found = self._grown_sketch() or Sketch.of(self.vectors, self.rows)
        frame, directions = found.projection.frame, found.projection.directions
        files = {"values.npy": write_array(found.values), "shift.npy": write_array(frame.shift)}
        if directions is not None:
            files["directions.npy"] = write_array(directions)
        self._save("sketch", {"scale": frame.scale, "trained": found.trained}, files)
        return found

    def _grown_sketch(self) -> Sketch | None:
        """Return the earlier sketch with new vectors; an exact index makes a new sketch."""
        growth = self._growth
        part = None if growth is None or self.kind == "exact" else growth.load("sketch")
        if growth is None or part is None:
            return None
        old = self._read_sketch(part)
        if self.rows.size > MOST_GROWTH * old.trained:
            return None
        added = old.projection.project(self.vectors, self.rows[growth.new])
        if not (np.square(added, dtype=np.float64).sum(axis=1) < OVERFLOW).all():
            return None
        values = np.empty((self.rows.size, old.values.shape[1]), np.float32)
        values[growth.places], values[growth.new] = old.values[growth.kept], added
        return Sketch(values, old.projection, old.trained)

    @cached_property
    def _projection(self) -> Projection:
        return self._sketched.projection

    @cached_property
    def _earlier_index(self) -> EarlierIndex | None:
        if self.earlier is None or self._restricted_from is not None:
            return None
        return find_earlier_index(self.earlier, self.kind, self.metric)

    @cached_property
    def _growth(self) -> Growth | None:
        """The growth since the earlier index; None if there is none, or too much has changed."""
        old = self._earlier_index
        return None if old is None else Growth.of(old, self.find(old.rows), self.rows.size)

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
        if self._restricted_from is not None:
            of = self._restricted_from.find(self.candidates)  # (m,)
            _, first, group = np.unique(of, return_index=True, return_inverse=True)
            leader = first[group]  # (m,) position of the first candidate with this vector
            own = leader == np.arange(of.size)
            numbers = np.cumsum(own, dtype=np.int32) - np.int32(1)
            return self.candidates[own], numbers[leader]
        old, hashes = self._earlier_index, None
        if old is not None:
            hashes = old.all_hashes(self.vectors, self.candidates)
        if hashes is None:
            hashes = row_hashes(self.vectors, self.candidates)
        rows, copy_of = distinct_rows(self.vectors, self.candidates, hashes)
        files = {
            "rows.npy": write_array(rows),
            "copy_of.npy": write_array(copy_of),
            "hashes.npy": write_array(hashes),
        }
        if self.candidates.size and self.candidates[-1] != self.candidates.size - 1:
            files["candidates.npy"] = write_array(self.candidates)
        self._save("points", {}, files)
        return rows, copy_of

    @cached_property
    def _hashes(self) -> NDArray[np.uint64]:
        if self._restricted_from is not None:
            return self._restricted_from._hashes[self._restricted_from.find(self.rows)]
        return row_hashes(self.vectors, self.rows)

    @property
    def _known_neighbours(self) -> Neighbours | None:
        """The neighbours found so far, here or by another process."""
        if self._neighbours is None:
            self._neighbours = self._read("neighbours", lambda part: _wide_enough(part, 0))
        return self._neighbours

    @cached_property
    def _is_part_of(self) -> Index | None:
        """The index from whose neighbours those of this index are selected, or None."""
        if self.whole is None or self.rows.size < LEAST_SHARE * self.whole.rows.size:
            return None
        return self.whole

    def _find_neighbours(self, width: int, progress: Progress | None) -> Neighbours:
        whole = self._is_part_of
        if whole is not None and width:
            share = self.rows.size / whole.rows.size
            found = whole.neighbours(width_for_subset(width, share), progress)
            places = whole.find(self.rows)  # (p,)
            return neighbours_in_subset(self.vectors, self.rows, width, found, places)
        if self.kind == "exact":
            self._check_size()
        grown = self._grown_neighbours(width, progress)
        if grown is not None:
            return grown
        if self.kind == "exact" or not width:
            return nearest_neighbours(self.vectors, self.rows, width, progress)
        return self._nearest_candidates(np.arange(self.rows.size), width, progress)

    def _grown_neighbours(self, width: int, progress: Progress | None) -> Neighbours | None:
        """Return the earlier neighbours, with new vectors that are nearer; None without them."""
        growth = self._growth
        part = None if growth is None else growth.load("neighbours")
        old = None if part is None else _wide_enough(part, max(width, 1))
        if growth is None or old is None or old.positions.shape[1] >= self.rows.size:
            return None
        near, again = growth.moved(old, self.rows.size)
        k = near.positions.shape[1]
        if self.kind == "exact":
            found = nearest_neighbours(self.vectors, self.rows, k, some=again)
        else:
            found = self._nearest_candidates(again, k)
        near.positions[again], near.distances[again] = found.positions, found.distances
        left = np.setdiff1d(growth.places, again, assume_unique=True)
        if not growth.new.size or not left.size:
            return near
        screen = screen_of(self.vectors, self.rows, near.distances[:, -1])
        return with_new_neighbours(screen, near, left, growth.new, progress)

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
        search = Approximate.read(self.kind, self.sketch, self.rows, part.paths["index.faiss"])
        return search, part.parameters["recall"]

    def _make_search(self) -> tuple[Approximate, float]:
        p = self.rows.size
        if not p:
            raise SelectionError("the index has no vectors: give at least one candidate.")
        search = self._grown_search()
        if search is None:
            search = Approximate.build(self.kind, self.sketch, self.rows, self._projection)
        recall = 1.0 if p == 1 else self._set_recall(search)
        self._save("search", {"recall": recall}, {"index.faiss": search.write})
        return search, recall

    def _set_recall(self, search: Approximate) -> float:
        """Choose the number of lists that a search reads, and return the recall."""
        p = self.rows.size
        some = np.arange(0, p, -(-p // SAMPLE))  # (s,)
        true = nearest_neighbours(self.vectors, self.rows, NEIGHBOURS, some=some).positions
        recall = 0.0
        for _ in search.settings():
            found = nearest_candidates(self.vectors, self.rows, search, some, true.shape[1])
            pairs = zip(true, found.positions, strict=True)
            recall = sum(np.intersect1d(*pair).size for pair in pairs) / true.size
            if recall >= ENOUGH_RECALL:
                break
        return recall

    def _grown_search(self) -> Approximate | None:
        """Return the earlier inverted file with the new vectors, or None."""
        growth = self._growth
        if growth is None or self.kind != "ivf":
            return None
        part, sketch = growth.load("search"), growth.load("sketch")
        if part is None or sketch is None:
            return None
        if not self._projection.equals(self._read_sketch(sketch).projection):
            return None
        path = part.paths["index.faiss"]
        return Approximate.grown(path, self.sketch, self.rows, growth.kept, growth.places)

    def _make_flat(self) -> Any:
        found = flat_index(self.vectors, self.rows)
        self._save("search", {}, {"index.faiss": partial(write_faiss, found)})
        return found

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
