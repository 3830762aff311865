"""The input of a strategy: embeddings, labelled rows and the head's predictions."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import SelectionError
from ..index import Index
from ..index.sharded_matrix import ShardedMatrix
from ..index.vectors import (
    Matrix,
    Vectors,
    block_rows,
    first_non_finite,
    on_parts,
    row_blocks,
    take_rows,
    workers_of,
)
from ..tables import label_array, missing

__all__ = ["Pool", "checked_rows"]

MOST = 0.8
"""Share of unlabelled candidates above which all candidates are predicted, to avoid a copy."""

T = TypeVar("T")
Rows = NDArray[np.int64]
Probabilities = Callable[[Rows], NDArray[Any]]


class Pool:
    """The items to select from, as arrays.

    Every row number, here and in a `Selection`, is a row of `embeddings`. The pool does not
    contain the labels of unlabelled rows, so a strategy cannot use them.

    Parameters
    ----------
    embeddings
        (n, d) float32 array, memory map or `ShardedMatrix`; never written to. Other real dtypes
        are copied.
    labelled
        (m,) distinct labelled rows. They need not be candidates.
    labels
        (m,) labels of these rows, of any dtype. Default: no labels.
    head
        A fitted scikit-learn-style classifier, or a function without arguments that returns one.
        The function is called only when a strategy needs predictions.
    probabilities
        Instead of a head: a function from (k,) int64 rows to their (k, C) class probabilities.
    n_classes
        Number of classes, if known. Predictions must have this number of columns.
    candidates
        Distinct rows that may be selected, e.g. the training split. Default: every row.
    index
        An `Index` of the same matrix and candidates, or a function that returns it for the
        ascending candidates. Default: a new index.
    examples
        (e, d) example vectors for search by similarity.
    metadata
        Columns by name, each with (n,) numbers: one for every row of the matrix.
    target
        (t, d) vectors of unlabelled items from where the classifier will be used. Strategies with
        ``uses_target`` then represent these items instead of the unlabelled rows; the others refuse
        a target.

    texts
        Vectors of texts by text, each with (d,) numbers, for search by similarity to words. They
        are from the text tower of the backbone of the embeddings.

    Attributes
    ----------
    embeddings, labelled, labels, index, examples, metadata, target, texts
        As given; arrays are read-only.
    candidates, unlabelled
        Ascending int64 rows; `unlabelled` are the candidates without labels.
    n_classes
        As given; by default the number of distinct labels, or None without labels.

    Raises
    ------
    SelectionError
        If a row is out of range or repeated, or labels and rows differ in number.

    Examples
    --------
    >>> import numpy as np
    >>> pool = Pool(np.eye(5, dtype=np.float32), labelled=[3, 0], labels=["cat", "dog"])
    >>> pool.unlabelled.tolist()
    [1, 2, 4]
    """

    def __init__(
        self,
        embeddings: ArrayLike | ShardedMatrix,
        *,
        labelled: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        head: Any = None,
        probabilities: Probabilities | None = None,
        n_classes: int | None = None,
        candidates: ArrayLike | None = None,
        index: Index | Callable[[Rows], Index] | None = None,
        examples: ArrayLike | None = None,
        metadata: Mapping[str, ArrayLike] | None = None,
        target: ArrayLike | None = None,
        texts: Mapping[str, ArrayLike] | None = None,
    ) -> None:
        self.embeddings = _matrix(embeddings)  # (n, d)
        n = len(self.embeddings)
        self.labelled = checked_rows([] if labelled is None else labelled, n, "labelled")  # (m,)
        self.labels = _labels(labels, self.labelled.size)  # (m,) or None
        every = np.arange(n, dtype=np.int64) if candidates is None else candidates
        self.candidates = _read_only(np.sort(checked_rows(every, n, "candidates")))  # (k,)
        self.unlabelled = _read_only(_without(self.candidates, self.labelled, n))  # (u,)
        self.n_classes = self._count_classes(n_classes)
        self._predict, self._head = probabilities, head
        self._shared: dict[str, Any] = {}  # results shared with the pools of other metrics
        self.index = self._checked_index(index)
        self.examples = self._checked_vectors("examples", examples)  # (e, d)
        self.target = self._checked_vectors("target", target)  # (t, d)
        self.texts = {
            text: self._checked_vectors("texts", np.asarray(vector)[None])  # (1, d)
            for text, vector in (texts or {}).items()
        }
        self.metadata = {
            name: _column(name, values, n) for name, values in (metadata or {}).items()
        }

    @property
    def metric(self) -> str:
        """The metric of `index`."""
        return self.index.metric

    @property
    def vectors(self) -> Vectors:
        """The vectors for distances: `embeddings`, scaled to unit length for the metric cosine."""
        return self.index.vectors

    def measured_by(self, metric: str) -> Self:
        """Return the same pool with the `index`, `vectors` and `unique_labelled` of another metric.

        Both pools share the predictions.

        Examples
        --------
        >>> pool = Pool(np.array([[3, 4], [6, 8], [0, 1]], dtype=np.float32), labelled=[0])
        >>> pool.measured_by("cosine").unique_labelled.tolist()  # rows 0 and 1 are copies
        [True, False]
        """
        if metric == self.metric:
            return self
        other = copy.copy(self)
        other.index = self.index.measured_by(metric)
        vars(other).pop("unique_labelled", None)
        return other

    def restricted(self, rows: ArrayLike) -> Self:
        """Return the pool in which only these (k,) unlabelled rows can be selected.

        Labelled rows stay. Both pools share the head and the predictions. The index of the new pool
        is exact.

        Examples
        --------
        >>> pool = Pool(np.eye(5, dtype=np.float32), labelled=[3, 0], labels=["cat", "dog"])
        >>> part = pool.restricted([4, 1])
        >>> part.unlabelled.tolist(), part.candidates.tolist()
        ([1, 4], [0, 1, 3, 4])
        """
        wanted = np.sort(checked_rows(rows, len(self.embeddings), "rows"))
        at = np.searchsorted(self.unlabelled, wanted)
        known = at < self.unlabelled.size
        known[known] = self.unlabelled[at[known]] == wanted[known]
        others = wanted[~known]
        if others.size:
            raise SelectionError(
                f"`rows` has row {others[0]}, which is not an unlabelled row of the pool."
            )
        settled = self._settled
        other = copy.copy(self)
        other.candidates = _read_only(np.union1d(settled, wanted))
        other.unlabelled = _read_only(wanted)
        other.index = self.index.restricted(other.candidates)
        other._shared = {}
        if self.has_predictions:
            other._predict = self.probabilities
        if self._head is not None:
            other._head = lambda: self.head
        vars(other).pop("unique_labelled", None)
        return other

    @property
    def has_labels(self) -> bool:
        """Whether there are labels."""
        return self.labels is not None and self.labels.size > 0

    @property
    def has_head(self) -> bool:
        """Whether there is a head, which can predict any vector."""
        return self._head is not None

    @property
    def has_predictions(self) -> bool:
        """Whether there is a head or a function that replaces its predictions."""
        return self._head is not None or self._predict is not None

    @property
    def has_workers(self) -> bool:
        """Whether workers can predict parts of the rows with the head."""
        return workers_of(self.embeddings) is not None and self._predict is None and self.has_head

    @property
    def head(self) -> Any:
        """The fitted classifier.

        Raises
        ------
        SelectionError
            If there is no head, or it has no `predict_proba`.
        """
        return self._shared_result("head", self._make_head)

    def _make_head(self) -> Any:
        if self._head is None:
            raise SelectionError(
                "this strategy needs the head itself, not only probabilities: give the pool a "
                "fitted `head`."
            )
        makes = not hasattr(self._head, "predict_proba") and callable(self._head)
        head = self._head() if makes else self._head
        if not hasattr(head, "predict_proba"):
            raise SelectionError(
                f"a {type(head).__name__} gives no probabilities: wrap it in scikit-learn's "
                "CalibratedClassifierCV."
            )
        return head

    @cached_property
    def classes(self) -> NDArray[Any]:
        """The (C,) labels of the columns of the predictions."""
        if self._head is not None:
            return np.asarray(self.head.classes_)
        return np.unique([] if self.labels is None else self.labels)

    @cached_property
    def unique_labelled(self) -> NDArray[np.bool_]:
        """(p,) mask of the p unique vectors of `index`: True if equal to a labelled vector."""
        mask = np.zeros(self.index.rows.size, dtype=np.bool_)
        found = self.index.find(self.labelled)  # (m,)
        mask[found[found >= 0]] = True
        return _read_only(mask)

    @property
    def points_labelled(self) -> NDArray[np.bool_]:
        """The old name of `unique_labelled`."""
        warnings.warn(
            "`Pool.points_labelled` is now `Pool.unique_labelled`.",
            DeprecationWarning,
            stacklevel=2,
        )
        return self.unique_labelled

    def predict(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the head's (k, C) class probabilities of any (k, d) vectors."""
        return self._checked_predictions(self.head.predict_proba(vectors), np.arange(len(vectors)))

    def probabilities(self, rows: ArrayLike | None = None) -> NDArray[np.float32]:
        """Return the (k, C) class probabilities of (k,) `rows`, by default the unlabelled rows.

        The probabilities of the unlabelled rows are computed once.

        Raises
        ------
        SelectionError
            If the pool has no predictions, or they do not have one finite row per item.
        """
        if rows is None:
            return self._unlabelled_probabilities  # (u, C)
        wanted = np.asarray(rows, dtype=np.int64)
        at = np.searchsorted(self.unlabelled, wanted)
        at[at == self.unlabelled.size] = 0
        if self.unlabelled.size and np.array_equal(self.unlabelled[at], wanted):
            return self._unlabelled_probabilities[at]  # (k, C)
        return self._probabilities(wanted)  # (k, C)

    @cached_property
    def _settled(self) -> Rows:
        """The candidates that cannot be selected, ascending: labelled or declined."""
        return np.setdiff1d(self.candidates, self.unlabelled, assume_unique=True)

    def check_finite(self) -> None:
        """Raise `SelectionError` for NaN or infinity in a candidate or labelled row."""
        bad = self._first_non_finite
        if bad is not None:
            raise SelectionError(
                f"row {bad} of the embeddings holds NaN or infinity: "
                "embed that item again or leave it out of the candidates."
            )
        if self.target is not None:
            row = first_non_finite(self.target, np.arange(len(self.target)))
            if row is not None:
                raise SelectionError(
                    f"row {row} of the target holds NaN or infinity: embed that item again or "
                    "leave it out of the target."
                )

    @property
    def _first_non_finite(self) -> int | None:
        return self._shared_result("first_non_finite", self._find_non_finite)

    def _find_non_finite(self) -> int | None:
        found = (
            first_non_finite(self.embeddings, r) for r in (self.candidates, np.sort(self.labelled))
        )
        return min((row for row in found if row is not None), default=None)

    @property
    def _unlabelled_probabilities(self) -> NDArray[np.float32]:
        return self._shared_result("probabilities", self._compute_probabilities)

    def _shared_result(self, name: str, make: Callable[[], T]) -> T:
        """Return the result of `make`, shared by the pools of all metrics."""
        if name not in self._shared:
            self._shared[name] = make()
        found: T = self._shared[name]
        return found

    def _compute_probabilities(self) -> NDArray[np.float32]:
        if self.has_workers and self.unlabelled.size:
            found = on_parts(self.embeddings, self.unlabelled, _predicted_part, self.head)
            return _read_only(self._checked_predictions(np.concatenate(found), self.unlabelled))
        most_unlabelled = self.unlabelled.size > MOST * self.candidates.size
        if self._predict is not None or not most_unlabelled:
            return _read_only(self._probabilities(self.unlabelled))
        every = self._probabilities(self.candidates)  # (k, C), often from a view of the matrix
        at = np.searchsorted(self.candidates, self.unlabelled)
        return _read_only(every[at])

    def _probabilities(self, rows: Rows) -> NDArray[np.float32]:
        if self._predict is None and self._head is None:
            raise SelectionError(
                "this pool has no predictions: give it a fitted `head` "
                "or `probabilities` (a function from rows to class probabilities)."
            )
        found = np.empty((rows.size, self.n_classes or 0), np.float32)
        for part in row_blocks(rows.size, self._predict_rows):
            some = self._predicted(rows[part])  # (b, C)
            if not part.start:
                found = np.empty((rows.size, some.shape[1]), np.float32)  # (k, C)
            found[part] = some
        return found

    @property
    def _predict_rows(self) -> int:
        return block_rows(self.embeddings.shape[1], 64 << 20)

    def _predicted(self, rows: Rows) -> NDArray[np.float32]:
        if self._predict is not None:
            return self._checked_predictions(self._predict(rows), rows)
        vectors = take_rows(self.embeddings, rows)  # (k, d)
        return self._checked_predictions(self.head.predict_proba(vectors), rows)

    def _checked_predictions(self, given: ArrayLike, rows: Rows) -> NDArray[np.float32]:
        given = np.asarray(given, dtype=np.float32)  # (k, C)
        columns = self.n_classes if self._declared_classes else None
        fits = given.ndim == 2 and len(given) == rows.size and given.shape[1] > 0
        if not fits or (columns is not None and given.shape[1] != columns):
            wanted = f"({rows.size}, {'C' if columns is None else columns})"
            raise SelectionError(
                f"the predictions for {rows.size} rows have shape {given.shape}: "
                f"they must have shape {wanted}."
            )
        bad = np.flatnonzero(~np.isfinite(given).all(axis=1))
        if bad.size:
            raise SelectionError(
                f"the predictions for row {rows[bad[0]]} hold NaN or infinity: refit the head."
            )
        return given

    def _checked_index(self, index: Index | Callable[[Rows], Index] | None) -> Index:
        if index is None:
            return Index(self.embeddings, self.candidates)
        if not isinstance(index, Index):
            return index(self.candidates)
        same = index.matrix.shape == self.embeddings.shape
        if not same or not np.array_equal(index.candidates, self.candidates):
            raise SelectionError(
                f"the index has {index.candidates.size} candidates of a matrix of shape "
                f"{index.matrix.shape}, but the pool has {self.candidates.size} candidates of a "
                f"matrix of shape {self.embeddings.shape}: build the index from the same matrix "
                "and candidates."
            )
        own, indexed = self.embeddings, index.matrix
        arrays = isinstance(own, np.ndarray) and isinstance(indexed, np.ndarray)
        if indexed is not own and not (arrays and np.may_share_memory(indexed, own)):
            self._check_same_vectors(indexed)
        return index

    def _check_same_vectors(self, matrix: Matrix) -> None:
        for part in row_blocks(self.candidates.size, block_rows(self.embeddings.shape[1])):
            rows = self.candidates[part]
            own, indexed = take_rows(self.embeddings, rows), take_rows(matrix, rows)  # (b, d)
            differs = np.flatnonzero((own != indexed.astype(np.float32)).any(axis=1))
            differs = differs[np.isfinite(own[differs]).all(axis=1)]
            if differs.size:
                raise SelectionError(
                    f"the index was built from another matrix: row {rows[differs[0]]} differs. "
                    "Build the index from the same matrix and candidates."
                )

    def _checked_vectors(self, name: str, vectors: ArrayLike | None) -> NDArray[np.float32] | None:
        if vectors is None:
            return None
        given = np.asanyarray(vectors)
        d = self.embeddings.shape[1]
        if given.ndim != 2 or given.shape[1] != d or not len(given):
            raise SelectionError(
                f"`{name}` must have shape ({name[0]}, {d}) with at least one row; got "
                f"{given.shape}."
            )
        return _array(given)

    def _count_classes(self, n_classes: int | None) -> int | None:
        self._declared_classes = n_classes is not None
        if n_classes is not None or self.labels is None or not self.labels.size:
            return n_classes
        return len(np.unique(self.labels))


def _matrix(embeddings: ArrayLike | ShardedMatrix) -> Matrix:
    return embeddings if isinstance(embeddings, ShardedMatrix) else _array(embeddings)


def _array(embeddings: ArrayLike) -> NDArray[np.float32]:
    given = np.asanyarray(embeddings)
    if given.ndim != 2 or given.dtype.kind not in "fiu" or given.shape[1] == 0:
        raise SelectionError(
            "`embeddings` must be a matrix of real numbers, one row per item; "
            f"got shape {given.shape} and dtype {given.dtype}."
        )
    with np.errstate(over="ignore"):  # `check_finite` reports infinity
        matrix = given.astype(np.float32, copy=False)
    return _read_only(matrix.view())


def _predicted_part(vectors: Matrix, rows: Rows, head: Any) -> NDArray[np.float32]:
    return Pool(vectors, head=head, candidates=rows).probabilities()


def checked_rows(given: ArrayLike, n: int, name: str) -> Rows:
    """Return row numbers as int64; raise an error unless they are distinct and in ``range(n)``."""
    rows = np.asarray(given)
    if rows.ndim != 1 or (rows.size and rows.dtype.kind not in "iu"):
        raise SelectionError(
            f"`{name}` must be a list of row numbers; "
            f"got shape {rows.shape} and dtype {rows.dtype}."
        )
    outside = rows[(rows < 0) | (rows >= n)]
    if outside.size:
        raise SelectionError(
            f"`{name}` has row {outside[0]}, but the embeddings have rows 0 to {n - 1}."
        )
    rows = rows.astype(np.int64)
    ordered = np.sort(rows)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if twice.size:
        raise SelectionError(f"`{name}` has row {twice[0]} more than once: give each row once.")
    return _read_only(rows)


def _labels(given: ArrayLike | None, m: int) -> NDArray[Any] | None:
    if given is None:
        return None
    try:
        labels = label_array(given)
    except ValueError as error:
        raise SelectionError(f"labels {error}.") from None
    if labels.shape != (m,):
        raise SelectionError(
            f"`labels` must have one label for each of {m} labelled rows; got shape {labels.shape}."
        )
    absent = np.flatnonzero(missing(labels))
    if absent.size:
        raise SelectionError(
            f"label {absent[0]} is {labels.tolist()[absent[0]]!r}: leave unlabelled rows out of "
            "`labelled`."
        )
    return _read_only(labels.copy())


def _column(name: str, values: ArrayLike, n: int) -> NDArray[np.float64]:
    column = np.asarray(values)
    if column.shape != (n,) or column.dtype.kind not in "fiub":
        raise SelectionError(
            f"metadata {name!r} must have one number for each of the {n} rows; "
            f"got shape {column.shape} and dtype {column.dtype}."
        )
    return np.asarray(_read_only(column.astype(np.float64)))


def _without(candidates: Rows, labelled: Rows, n: int) -> Rows:
    free = np.ones(n, dtype=np.bool_)
    free[labelled] = False
    return candidates[free[candidates]]


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array
