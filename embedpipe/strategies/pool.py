"""What a strategy is given: embeddings, the labelled rows, and the head's predictions."""

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
from ..index.vectors import Vectors, block_rows, first_non_finite, row_blocks, take_rows
from ..tables import label_array, missing

__all__ = ["Pool", "checked_rows"]

MOST = 0.8
"""Where more of the candidates are unlabelled, all are predicted: gaps would cost a copy."""

T = TypeVar("T")
Rows = NDArray[np.int64]
Probabilities = Callable[[Rows], NDArray[Any]]


class Pool:
    """The items to choose from, as arrays.

    There is one index space: every row number, here and in a `Selection`, is a row of
    `embeddings`. The labels of unlabelled rows are not here, so no strategy can see them.

    Parameters
    ----------
    embeddings
        (n, d) float32 array or memory map. It is never written to or copied; any other real
        dtype is converted, which copies it.
    labelled
        (m,) distinct rows that are labelled already. They need not be candidates.
    labels
        (m,) their labels, of any dtype. Left out, only strategies that need no labels work.
    head
        A classifier in the manner of scikit-learn, fitted to these labels, or a function without
        arguments that returns it; called only when a strategy needs predictions.
    probabilities
        Instead of a head, a function of (k,) int64 rows that returns their (k, C) class
        probabilities. Strategies that need a head then do not work.
    n_classes
        How many classes there are, where that is known; the predictions must then have as many
        columns.
    candidates
        Distinct rows that may be chosen, e.g. the training split. Default: every row.
    index
        The `Index` of the same candidates, with the neighbours and clusters that it has already,
        or a function that returns it for these ascending rows. Default: a new index.
    examples
        (e, d) vectors of what is looked for, for strategies that search by similarity.
    metadata
        (n,) numbers for every row of the matrix by name, for strategies that weigh by them.

    Attributes
    ----------
    embeddings
        (n, d) float32, read-only.
    labelled, labels
        (m,) int64 rows in the order given, and their labels, or None.
    candidates, unlabelled
        int64 rows, ascending; the unlabelled are the candidates that are not labelled.
    n_classes
        As given, or the number of distinct labels, or None.
    index
        `Index` of the candidates.
    metric
        By which the index measures distances: ``"euclidean"`` or ``"cosine"``.
    vectors
        The index's: what distances are measured on. Predictions are of `embeddings`.
    examples, metadata
        As given; None and empty if they were not.

    Raises
    ------
    SelectionError
        If a row is out of range or given twice, or labels and rows differ in number.

    Notes
    -----
    Extra memory: 8 bytes per candidate and 8 per unlabelled row; predictions for the unlabelled
    rows, once asked for, stay here: 4·C bytes each.

    Examples
    --------
    >>> import numpy as np
    >>> pool = Pool(np.eye(5, dtype=np.float32), labelled=[3, 0], labels=["cat", "dog"])
    >>> pool.unlabelled.tolist()
    [1, 2, 4]
    """

    def __init__(
        self,
        embeddings: ArrayLike,
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
        self._known: dict[str, Any] = {}  # shared with the same pool by another metric
        self.index = self._checked_index(index)
        self.examples = None if examples is None else self._checked_examples(examples)  # (e, d)
        self.metadata = {
            name: _column(name, values, n) for name, values in (metadata or {}).items()
        }

    @property
    def metric(self) -> str:
        """The metric of `index`."""
        return self.index.metric

    @property
    def vectors(self) -> Vectors:
        """The rows that distances are measured on: `embeddings`, or these at unit length."""
        return self.index.vectors

    def measured_by(self, metric: str) -> Self:
        """Return the same pool with the `index`, `vectors` and `unique_labelled` of a metric.

        Predictions are worked out once for both.

        Raises
        ------
        UsageError
            If there is no such metric.

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

    @property
    def has_labels(self) -> bool:
        """Whether any label is known."""
        return self.labels is not None and self.labels.size > 0

    @property
    def has_head(self) -> bool:
        """Whether there is a head, which can be asked about vectors that are no items."""
        return self._head is not None

    @property
    def has_predictions(self) -> bool:
        """Whether there is a head, or what stands in for its predictions."""
        return self._head is not None or self._predict is not None

    @property
    def head(self) -> Any:
        """The fitted classifier.

        Raises
        ------
        SelectionError
            If the pool was given none, or it gives no probabilities.
        """
        return self._once("head", self._made_head)

    def _made_head(self) -> Any:
        if self._head is None:
            raise SelectionError(
                "this strategy asks the head for more than the probabilities of rows: give the "
                "pool a fitted `head`."
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
        """The (C,) labels that the columns of the predictions stand for."""
        if self._head is not None:
            return np.asarray(self.head.classes_)
        return np.unique([] if self.labels is None else self.labels)

    @cached_property
    def unique_labelled(self) -> NDArray[np.bool_]:
        """Which points of `index` are labelled, or are copies of what is: (p,)."""
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
        """Return the head's class probabilities of (k, d) vectors that need not be items: (k, C).

        Raises
        ------
        SelectionError
            If there is no head, or its predictions are not one finite row per vector.
        """
        return self._checked_predictions(self.head.predict_proba(vectors), np.arange(len(vectors)))

    def probabilities(self, rows: ArrayLike | None = None) -> NDArray[np.float32]:
        """Return the class probabilities of `rows`, computed once for the unlabelled.

        Parameters
        ----------
        rows
            (k,) rows of the matrix. Default: `unlabelled`.

        Returns
        -------
        (k, C) float32
            One row per row asked for, in that order.

        Raises
        ------
        SelectionError
            If the pool has no predictions, or they are not one finite row per item.
        """
        if rows is None:
            return self._unlabelled_probabilities  # (u, C)
        wanted = np.asarray(rows, dtype=np.int64)
        at = np.searchsorted(self.unlabelled, wanted)
        at[at == self.unlabelled.size] = 0
        if self.unlabelled.size and np.array_equal(self.unlabelled[at], wanted):
            return self._unlabelled_probabilities[at]  # (k, C)
        return self._probabilities(wanted)  # (k, C)

    def check_finite(self) -> None:
        """Refuse NaN and infinity in any candidate or labelled row; looks once.

        Raises
        ------
        SelectionError
            With the first such row named.
        """
        bad = self._first_non_finite
        if bad is not None:
            raise SelectionError(
                f"row {bad} of the embeddings holds NaN or infinity: "
                "embed that item again or leave it out of the candidates."
            )

    @property
    def _first_non_finite(self) -> int | None:
        return self._once("first_non_finite", self._sought_non_finite)

    def _sought_non_finite(self) -> int | None:
        found = (first_non_finite(self.embeddings, r) for r in (self.candidates, self.labelled))
        return min((row for row in found if row is not None), default=None)

    @property
    def _unlabelled_probabilities(self) -> NDArray[np.float32]:
        return self._once("probabilities", self._worked_out_probabilities)

    def _once(self, name: str, make: Callable[[], T]) -> T:
        """Return what `make` once gave, to this pool or to the same one by another metric."""
        if name not in self._known:
            self._known[name] = make()
        found: T = self._known[name]
        return found

    def _worked_out_probabilities(self) -> NDArray[np.float32]:
        few_are_gone = self.unlabelled.size > MOST * self.candidates.size
        if self._predict is not None or not few_are_gone:
            return _read_only(self._probabilities(self.unlabelled))
        of_all = self._probabilities(self.candidates)  # (k, C): often a view of the matrix
        kept = np.searchsorted(self.candidates, self.unlabelled)
        return _read_only(of_all[kept])

    def _probabilities(self, rows: Rows) -> NDArray[np.float32]:
        if self._predict is None and self._head is None:
            raise SelectionError(
                "this pool has no predictions: give it a fitted `head`, "
                "or `probabilities`, a function from rows to class probabilities."
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
                f"the index is of {index.candidates.size} rows of a matrix of shape "
                f"{index.matrix.shape}, the pool has {self.candidates.size} candidates of "
                f"{self.embeddings.shape}: make the index from the same matrix and candidates."
            )
        if not np.may_share_memory(index.matrix, self.embeddings):
            self._check_same_vectors(index.matrix)
        return index

    def _check_same_vectors(self, matrix: NDArray[np.float32]) -> None:
        for part in row_blocks(self.candidates.size, block_rows(self.embeddings.shape[1])):
            rows = self.candidates[part]
            own, its = take_rows(self.embeddings, rows), take_rows(matrix, rows)  # (b, d)
            differs = np.flatnonzero((own != its.astype(np.float32)).any(axis=1))
            differs = differs[np.isfinite(own[differs]).all(axis=1)]
            if differs.size:
                raise SelectionError(
                    f"the index is of another matrix, which differs in row {rows[differs[0]]}: "
                    "make the index from the same matrix and candidates."
                )

    def _checked_examples(self, examples: ArrayLike) -> NDArray[np.float32]:
        given = np.asarray(examples)
        d = self.embeddings.shape[1]
        if given.ndim != 2 or given.shape[1] != d or not len(given):
            raise SelectionError(
                f"examples have shape {given.shape}: give at least one vector of {d} dimensions, "
                f"(e, {d}) in all."
            )
        return _matrix(given)

    def _count_classes(self, n_classes: int | None) -> int | None:
        self._declared_classes = n_classes is not None
        if n_classes is not None or self.labels is None or not self.labels.size:
            return n_classes
        return len(np.unique(self.labels))


def _matrix(embeddings: ArrayLike) -> NDArray[np.float32]:
    given = np.asanyarray(embeddings)
    if given.ndim != 2 or given.dtype.kind not in "fiu" or given.shape[1] == 0:
        raise SelectionError(
            "embeddings must be a matrix of real numbers, one row per item: "
            f"given shape {given.shape} and dtype {given.dtype}."
        )
    with np.errstate(over="ignore"):  # an overflow becomes infinity, which `check_finite` names
        matrix = given.astype(np.float32, copy=False)
    return _read_only(matrix.view())


def checked_rows(given: ArrayLike, n: int, what: str) -> Rows:
    """Return distinct row numbers in ``range(n)`` as they were given, int64, or raise."""
    rows = np.asarray(given)
    if rows.ndim != 1 or (rows.size and rows.dtype.kind not in "iu"):
        raise SelectionError(
            f"{what} must be a list of row numbers: "
            f"given shape {rows.shape} and dtype {rows.dtype}."
        )
    outside = rows[(rows < 0) | (rows >= n)]
    if outside.size:
        raise SelectionError(
            f"{what} names row {outside[0]}, but the embeddings have rows 0 to {n - 1}."
        )
    rows = rows.astype(np.int64)
    ordered = np.sort(rows)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if twice.size:
        raise SelectionError(f"{what} names row {twice[0]} more than once: give each row once.")
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
            f"given labels of shape {labels.shape} for {m} labelled rows: give one label per row."
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
            f"metadata {name!r} must be a number for each of the {n} rows: "
            f"given shape {column.shape} and dtype {column.dtype}."
        )
    return np.asarray(_read_only(column.astype(np.float64)))


def _without(candidates: Rows, labelled: Rows, n: int) -> Rows:
    free = np.ones(n, dtype=np.bool_)
    free[labelled] = False
    return candidates[free[candidates]]


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array
