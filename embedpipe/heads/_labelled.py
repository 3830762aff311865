"""The input of `fit`: labelled rows, checked, weighted, scaled, distinct, in a fixed order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d, validate_data

from ..errors import LabelError, UsageError
from ..tables import label_array, missing
from ._arrays import Codes, Float32, Float64, check_finite, row_digests, row_norms

SAMPLE_ROWS = 2000
"""Maximum rows of a `Sample`: 10 MB at 1,280 dimensions."""

_NO_WEIGHT = "the weight of every row is zero: give at least one positive weight."


@dataclass(frozen=True)
class Labelled:
    """Labelled rows, sorted by class and digest, so that the order of the input does not matter.

    Equal rows of a class become one row with the sum of their weights. Rows of weight 0 are left
    out.
    """

    classes: NDArray[Any]
    """(K,) classes; some may have no row."""
    rows: NDArray[np.floating[Any]]
    """(m, d), scaled if the head scales rows."""
    codes: Codes
    """(m,) positions in `classes`, ascending."""
    weights: Float64
    """(m,), positive."""
    digests: NDArray[np.uint64]
    """(m,), from `row_digests`."""

    @property
    def labels(self) -> NDArray[Any]:
        """The (m,) labels of the rows."""
        return np.asarray(self.classes[self.codes])


class Distinct(NamedTuple):
    """Distinct rows: their (m,) positions, classes, total weights and digests."""

    at: NDArray[np.intp]
    codes: Codes
    weights: Float64
    digests: NDArray[np.uint64]

    @classmethod
    def of(cls, digests: NDArray[np.uint64], codes: Codes, weights: Float64) -> Self:
        """Sort (n,) rows by class, then digest; add up the weights of equal rows of a class."""
        order = np.lexsort((digests, codes)).astype(np.intp)
        codes, digests = codes[order], digests[order]
        new = np.append(True, (np.diff(codes) != 0) | (digests[1:] != digests[:-1]))
        first = np.flatnonzero(new)
        summed = np.add.reduceat(weights[order], first)
        return cls(order[first], codes[first], summed, digests[first])


@dataclass(frozen=True)
class Sample:
    """The distinct rows with the lowest digests: the same rows for any order and any batches.

    The highest digest kept never rises, so a dropped row never returns, and the weights of the
    rows kept are complete.
    """

    rows: Float32
    """(m, d), sorted as in `Labelled`."""
    codes: Codes
    weights: Float64
    digests: NDArray[np.uint64]
    complete: bool
    """Whether no row was dropped."""

    @classmethod
    def of(cls, batch: Labelled, codes: Codes, limit: int = SAMPLE_ROWS) -> Sample:
        """Return the sample of a batch; `codes` are positions in the head's `classes_`."""
        whole = cls(np.asarray(batch.rows), codes, batch.weights, batch.digests, True)
        return whole._cut(limit)

    def joined(self, other: Sample, limit: int = SAMPLE_ROWS) -> Sample:
        """Return the sample of the rows of both samples."""
        distinct = Distinct.of(
            np.concatenate([self.digests, other.digests]),
            np.concatenate([self.codes, other.codes]),
            np.concatenate([self.weights, other.weights]),
        )
        rows = np.concatenate([self.rows, other.rows])[distinct.at]
        complete = self.complete and other.complete
        return Sample(rows, distinct.codes, distinct.weights, distinct.digests, complete)._cut(
            limit
        )

    def renumbered(self, at: NDArray[np.intp]) -> Sample:
        """Return the sample with class number ``at[k]`` in place of k; `at` ascends."""
        return Sample(self.rows, at[self.codes], self.weights, self.digests, self.complete)

    def only(self, kept: NDArray[np.intp]) -> Sample:
        """Return the rows at the ascending positions `kept`."""
        return Sample(
            self.rows[kept], self.codes[kept], self.weights[kept], self.digests[kept], False
        )

    def _cut(self, limit: int) -> Sample:
        if len(self.rows) <= limit:
            return self
        return self.only(np.sort(np.lexsort((self.codes, self.digests))[:limit]))


def read_labelled(
    head: Any, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None, *, reset: bool
) -> Labelled:
    """Check the arguments of `head.fit`; return float32 rows, scaled if the head normalizes."""
    rows, classes, codes, weights = read_rows(head, X, y, sample_weight, reset=reset)
    rows = scaled(rows, normalize=head.normalize)
    distinct = Distinct.of(row_digests(rows), codes, weights)
    return Labelled(classes, rows[distinct.at], distinct.codes, distinct.weights, distinct.digests)


def read_rows(
    head: Any, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None, *, reset: bool
) -> tuple[NDArray[Any], NDArray[Any], Codes, Float64]:
    """Return the unscaled rows of positive weight, (K,) classes, (m,) codes and (m,) weights."""
    check_lengths(X, y)
    rows = validated(head, X, reset=reset)  # (n, d)
    check_finite(rows, 0)
    classes, codes = np.unique(checked_labels(y), return_inverse=True)
    weights = row_weights(classes, codes, head.class_weight, sample_weight)  # (n,) or None
    if weights is None:
        return rows, classes, codes, np.ones(len(codes))
    if not weights.all():
        kept = np.flatnonzero(weights)
        present, codes = np.unique(codes[kept], return_inverse=True)
        rows, classes, weights = rows[kept], classes[present], weights[kept]
    return rows, classes, codes, weights


def validated(head: Any, X: ArrayLike, *, reset: bool) -> NDArray[Any]:
    """Return `X` as a two-dimensional array of numbers, without a copy where possible."""
    return np.asarray(validate_data(head, X, reset=reset, dtype="numeric", ensure_all_finite=False))


def scaled(rows: NDArray[Any], *, normalize: bool) -> Float32:
    """Return (m, d) finite rows as float32, of unit length with `normalize`."""
    if normalize:
        wide = rows.astype(np.float64)
        return np.asarray(wide / row_norms(wide)[:, None], dtype=np.float32)
    with np.errstate(over="ignore"):  # checked below
        single: Float32 = np.ascontiguousarray(rows, dtype=np.float32)
    check_finite(single, 0)
    return single


def check_lengths(X: ArrayLike, y: ArrayLike) -> None:
    """Refuse an empty set of rows, and more or fewer labels than rows."""
    rows, labels = np.asarray(X), np.asarray(y)
    if rows.ndim != 2 or labels.ndim == 0 or rows.shape[1] == 0:
        return  # `validated` refuses these arrays
    if len(rows) == 0 and len(labels) == 0:
        raise LabelError("there are no labelled rows: give at least one.")
    if len(rows) != len(labels):
        raise LabelError(f"{len(rows)} rows but {len(labels)} labels: give one for each row.")


def checked_labels(y: ArrayLike) -> NDArray[Any]:
    """Return the labels as a one-dimensional array of strings or integers."""
    if y is None:
        raise LabelError("the head requires y to be passed, but the target y is None.")
    listed = isinstance(y, list | tuple)
    labels = np.asarray(column_or_1d(np.array(y, dtype=object) if listed else y, warn=True))
    try:
        unmixed = label_array(labels)
    except ValueError as error:
        raise LabelError(f"y {error}.") from None
    if listed:
        labels = unmixed
    elif unmixed.dtype.kind == "U":
        labels = unmixed.astype(labels.dtype)  # without blanks at the ends, in the input's dtype
    if labels.dtype == object and (absent := missing(labels)).any():
        row = int(np.flatnonzero(absent)[0])
        raise LabelError(f"the label of row {row} is missing: leave unlabelled rows out.")
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        row = int(np.flatnonzero(~np.isfinite(labels))[0])
        raise LabelError(f"the label of row {row} is NaN or infinity: leave unlabelled rows out.")
    if labels.dtype.kind not in "biuSU":  # integers and strings are always class labels
        check_classification_targets(labels)
    return labels


def join_classes(
    known: NDArray[Any] | None, seen: NDArray[Any], declared: ArrayLike | None
) -> NDArray[Any]:
    """Return the sorted union of the known, seen and declared classes."""
    parts = [part for part in (known, seen) if part is not None]
    if declared is not None:
        listed = np.unique(np.asarray(declared))
        strange = [label for label in seen.tolist() if label not in listed.tolist()]
        if strange:
            raise LabelError(
                f"the label {strange[0]!r} is not among `classes`, "
                f"{', '.join(map(repr, listed.tolist()))}: list all possible labels, or omit "
                "`classes`."
            )
        parts.append(listed)
    if len({part.dtype.kind in "US" for part in parts}) > 1:
        raise LabelError(
            f"earlier labels are {_kind(parts[0])} and new labels {_kind(parts[1])}: use one type."
        )
    return np.unique(np.concatenate(parts))


def _kind(labels: NDArray[Any]) -> str:
    return "strings" if labels.dtype.kind in "US" else "numbers"


def check_class_weight(class_weight: Any) -> None:
    """Refuse values other than None, ``"balanced"`` and a mapping to numbers of at least 0."""
    if class_weight is None or (isinstance(class_weight, str) and class_weight == "balanced"):
        return
    if not isinstance(class_weight, Mapping):
        raise UsageError(
            "class_weight must be None, 'balanced' or weights by label such as {'hat': 2.0}, "
            f"not {class_weight!r}."
        )
    for label, weight in class_weight.items():
        number = isinstance(weight, Real) and not isinstance(weight, bool)
        if not number or not 0.0 <= float(weight) < float("inf"):
            raise UsageError(
                f"the weight of class {label!r} is {weight!r}: give a finite number of at least 0."
            )


def row_weights(
    classes: NDArray[Any],
    codes: NDArray[np.intp],
    class_weight: Any = None,
    sample_weight: ArrayLike | None = None,
) -> Float64 | None:
    """Return the (n,) weights of the rows as in scikit-learn, or None if all weights are 1.

    A weight is the `sample_weight` times the class weight. A mapping can have strings for integer
    labels (JSON keys), and omitted classes have weight 1. A mapping that has a class without rows
    and omits a class with rows is refused: one of these labels is probably misspelt.
    """
    weights = None if sample_weight is None else checked_weights(sample_weight, len(codes))
    if class_weight is None:
        return weights
    rows = np.ones(len(codes)) if weights is None else weights  # (n,)
    weights = rows * _by_class(classes, codes, class_weight, rows)[codes]  # (n,)
    if not weights.any():
        raise LabelError(_NO_WEIGHT)
    return weights


def log_class_weights(classes: NDArray[Any], class_weight: Any) -> Float64:
    """Return the (K,) logarithms of class weights, for heads that ignore class frequencies."""
    zeros = np.zeros(len(classes))
    if class_weight is None or isinstance(class_weight, str):
        return zeros
    weights = row_weights(classes, np.arange(len(classes)), class_weight)  # (K,)
    with np.errstate(divide="ignore"):  # a class of weight 0
        return zeros if weights is None else np.log(weights)


def checked_weights(sample_weight: ArrayLike, n: int) -> Float64:
    """Return (n,) weights of at least 0, with a sum above 0; one number becomes n equal weights."""
    try:
        weights = np.asarray(sample_weight, dtype=np.float64)
    except (TypeError, ValueError):
        raise LabelError(f"sample_weight must be {n} numbers, not {sample_weight!r}.") from None
    if weights.ndim == 0:
        weights = np.full(n, float(weights))
    if weights.ndim != 1:
        raise LabelError(
            f"sample_weight has the shape {weights.shape}: give one number for each row."
        )
    if len(weights) != n:
        raise LabelError(f"{n} rows but {len(weights)} sample weights: give one for each row.")
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0.0)))
    if len(bad):
        raise LabelError(
            f"the weight of row {bad[0]} is {weights[bad[0]]:g}: "
            "give a finite number of at least 0; leave out rows that should not count."
        )
    if not weights.any():
        raise LabelError(_NO_WEIGHT)
    return weights


def _by_class(
    classes: NDArray[Any], codes: NDArray[np.intp], class_weight: Any, rows: Float64
) -> Float64:
    check_class_weight(class_weight)
    if isinstance(class_weight, str):
        totals = np.bincount(codes, weights=rows, minlength=len(classes))  # (K,)
        present = totals > 0.0
        balanced: Float64 = np.zeros(len(classes))
        balanced[present] = totals.sum() / (present.sum() * totals[present])
        return balanced
    labels = classes.tolist()
    weights = [_weight_of(label, class_weight) for label in labels]
    left_out = [label for label, weight in zip(labels, weights, strict=True) if weight is None]
    names = {str(label) for label in labels}
    strange = [label for label in class_weight if str(label) not in names]
    if strange and left_out:
        raise UsageError(
            f"class_weight has {strange[0]!r}, which is not a label, and omits {left_out[0]!r}, "
            f"which is a label. Labels: {', '.join(map(repr, labels))}."
        )
    return np.array([1.0 if weight is None else float(weight) for weight in weights])


def _weight_of(label: Any, class_weight: Mapping[Any, Any]) -> Any:
    """Return the weight of a label, or None; the mapping can have string keys, as in JSON."""
    return class_weight[label] if label in class_weight else class_weight.get(str(label))
