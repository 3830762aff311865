"""What heads are given, checked and brought into one form: distinct rows in a fixed order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d, validate_data

from ..errors import LabelError
from ..tables import label_array, missing
from ._folds import canonical_order, row_digests
from ._rows import lengths, refuse_non_finite
from ._weights import Float64, row_weights

Float32 = NDArray[np.float32]
Codes = NDArray[np.intp]


@dataclass(frozen=True)
class Labelled:
    """Labelled rows as heads learn from them: scaled, distinct, in an order of their own.

    Equal rows of a class are one row with the sum of their weights, so that rows given twice, and
    rows of weight 2, are the same thing from here on; rows of weight 0 are gone. The order is by
    class, then by content: however the rows were listed, the same arrays follow.

    Attributes
    ----------
    classes
        (K,) the distinct labels, sorted.
    rows
        (m, d) float32.
    codes
        (m,) positions in `classes`, ascending.
    weights
        (m,) float64, positive.
    digests
        (m,) uint64, of the content of the rows.
    """

    classes: NDArray[Any]
    rows: Float32
    codes: Codes
    weights: Float64
    digests: NDArray[np.uint64]

    @property
    def rows_labels(self) -> NDArray[Any]:
        """The (m,) labels of the rows."""
        return np.asarray(self.classes[self.codes])


def read_labelled(
    head: Any,
    X: ArrayLike,
    y: ArrayLike,
    sample_weight: ArrayLike | None,
    *,
    class_weight: Any,
    normalize: bool,
    reset: bool,
) -> Labelled:
    """Check what was given to the `fit` of `head`, and bring it into one form.

    Parameters
    ----------
    head
        The estimator; it learns the number of features where `reset`, and checks it otherwise.
    X, y, sample_weight
        (n, d) numbers, (n,) labels, (n,) weights or None.
    class_weight
        See `row_weights`.
    normalize
        Whether rows are scaled to unit length.
    reset
        Whether the head starts anew.

    Raises
    ------
    LabelError
        If there are no rows, the lengths differ, a row or label is not finite, or weights have no
        meaning.
    """
    check_lengths(X, y)
    rows = validated(head, X, reset=reset)  # (n, d)
    refuse_non_finite(rows, 0)
    classes, codes = np.unique(checked_labels(y), return_inverse=True)
    weights = row_weights(classes, codes, class_weight, sample_weight)
    if weights is None:
        weights = np.ones(len(codes))
    kept = np.flatnonzero(weights)
    classes, codes = _only(classes, codes[kept])
    return _distinct(classes, scaled(rows[kept], normalize=normalize), codes, weights[kept])


def validated(head: Any, X: ArrayLike, *, reset: bool) -> NDArray[Any]:
    """Return `X` as a two-dimensional array of numbers, without a copy if it is one."""
    return np.asarray(validate_data(head, X, reset=reset, dtype="numeric", ensure_all_finite=False))


def scaled(rows: NDArray[Any], *, normalize: bool) -> Float32:
    """Return (m, d) finite rows as float32, of unit length where asked for."""
    if normalize:
        wide = rows.astype(np.float64)
        return np.asarray(wide / lengths(wide)[:, None], dtype=np.float32)
    with np.errstate(over="ignore"):  # looked at on the next line
        found: Float32 = np.ascontiguousarray(rows, dtype=np.float32)
    refuse_non_finite(found, 0)
    return found


def check_lengths(X: ArrayLike, y: ArrayLike) -> None:
    """Refuse no rows at all, and a number of labels that is not that of the rows."""
    rows, labels = np.asarray(X), np.asarray(y)
    if rows.ndim != 2 or labels.ndim == 0 or rows.shape[1] == 0:
        return  # the validation that follows says what is wrong
    if len(rows) == 0 and len(labels) == 0:
        raise LabelError("there is nothing to fit on: no row is labelled.")
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
        labels = unmixed.astype(labels.dtype)  # without blanks, of the type that was given
    if labels.dtype == object and (absent := missing(labels)).any():
        row = int(np.flatnonzero(absent)[0])
        raise LabelError(f"the label of row {row} is missing: leave unlabelled rows out.")
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        row = int(np.flatnonzero(~np.isfinite(labels))[0])
        raise LabelError(f"the label of row {row} is NaN or infinity: leave unlabelled rows out.")
    if labels.dtype.kind not in "biuSU":  # those are classes, whatever they are
        check_classification_targets(labels)
    return labels


def join_classes(
    known: NDArray[Any] | None, seen: NDArray[Any], declared: ArrayLike | None
) -> NDArray[Any]:
    """Return the sorted union of the classes known, seen now, and declared for the future.

    Raises
    ------
    LabelError
        If texts and numbers would be mixed, or a class is seen that was not declared.

    Examples
    --------
    >>> join_classes(np.array(["hat"]), np.array(["shoe"]), None).tolist()
    ['hat', 'shoe']
    """
    parts = [part for part in (known, seen) if part is not None]
    if declared is not None:
        listed = np.unique(np.asarray(declared))
        strange = [label for label in seen.tolist() if label not in listed.tolist()]
        if strange:
            raise LabelError(
                f"the label {strange[0]!r} is not among the classes given, "
                f"{', '.join(map(repr, listed.tolist()))}: name all that may come, or none."
            )
        parts.append(listed)
    if len({part.dtype.kind in "US" for part in parts}) > 1:
        raise LabelError(
            f"labels were {_kind(parts[0])} so far and are {_kind(parts[1])} now: keep to one."
        )
    return np.unique(np.concatenate(parts))


def _kind(labels: NDArray[Any]) -> str:
    return "texts" if labels.dtype.kind in "US" else "numbers"


def _only(classes: NDArray[Any], codes: Codes) -> tuple[NDArray[Any], Codes]:
    """Leave out classes that have no row."""
    present, codes = np.unique(codes, return_inverse=True)
    return classes[present], codes


def _distinct(classes: NDArray[Any], rows: Float32, codes: Codes, weights: Float64) -> Labelled:
    """Put the rows in order and make equal ones of a class into one."""
    digests = row_digests(rows)
    order = canonical_order(digests, codes)
    codes, digests = codes[order], digests[order]
    new = np.append(True, (np.diff(codes) != 0) | (digests[1:] != digests[:-1]))
    first = np.flatnonzero(new)  # (m,)
    return Labelled(
        classes,
        rows[order[first]],
        codes[first],
        np.add.reduceat(weights[order], first),
        digests[first],
    )
