"""Labelled rows as heads learn from them: checked, scaled, distinct, in a fixed order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d, validate_data

from ..errors import LabelError
from ..tables import label_array, missing
from ._parameters import row_weights
from ._rows import Codes, Float32, Float64, lengths, refuse_non_finite, row_digests

SAMPLE_ROWS = 2000
"""Maximum rows of a `Sample`: 10 MB at 1,280 dimensions."""


@dataclass(frozen=True)
class Labelled:
    """Labelled rows in one form: the same arrays, however the rows were listed.

    Equal rows of a class are one row with the sum of their weights. Rows of weight 0 are left out.
    Rows are sorted by class, then by digest.
    """

    classes: NDArray[Any]
    """(K,) the classes by number; some may have no row."""
    rows: NDArray[np.floating[Any]]
    """(m, d) as the head uses them: scaled where it scales rows."""
    codes: Codes
    """(m,) positions in `classes`, ascending."""
    weights: Float64
    """(m,), positive."""
    digests: NDArray[np.uint64]
    """(m,) digests of the content of the rows."""

    @property
    def labels(self) -> NDArray[Any]:
        """The (m,) labels of the rows."""
        return np.asarray(self.classes[self.codes])


class Distinct(NamedTuple):
    """Which of some rows are the distinct ones: their (m,) positions, classes and digests."""

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
    """The distinct rows with the lowest digests: the same rows for any order and any parts.

    The highest digest kept only falls, so a row that was dropped never comes back, and the
    weights of the rows kept are complete.
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
        """Return the sample of a batch; `codes` are its classes as the head numbers them."""
        whole = cls(np.asarray(batch.rows), codes, batch.weights, batch.digests, True)
        return whole._cut(limit)

    def joined(self, other: Sample, limit: int = SAMPLE_ROWS) -> Sample:
        """Return the sample of the rows that both were taken from."""
        found = Distinct.of(
            np.concatenate([self.digests, other.digests]),
            np.concatenate([self.codes, other.codes]),
            np.concatenate([self.weights, other.weights]),
        )
        rows = np.concatenate([self.rows, other.rows])[found.at]
        complete = self.complete and other.complete
        return Sample(rows, found.codes, found.weights, found.digests, complete)._cut(limit)

    def renumbered(self, at: NDArray[np.intp]) -> Sample:
        """Return the sample with class number ``at[k]`` in place of k; `at` ascends."""
        return Sample(self.rows, at[self.codes], self.weights, self.digests, self.complete)

    def only(self, kept: NDArray[np.intp]) -> Sample:
        """Return the rows at the positions `kept`, ascending."""
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
    """Check the arguments of the `fit` of `head`; return float32 rows, scaled as the head does.

    With `reset` the head stores the number of features; else it is checked.
    """
    rows, classes, codes, weights = read_rows(head, X, y, sample_weight, reset=reset)
    rows = scaled(rows, normalize=head.normalize)
    found = Distinct.of(row_digests(rows), codes, weights)
    return Labelled(classes, rows[found.at], found.codes, found.weights, found.digests)


def read_rows(
    head: Any, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None, *, reset: bool
) -> tuple[NDArray[Any], NDArray[Any], Codes, Float64]:
    """Return the rows of positive weight as given, the (K,) classes, (m,) codes and weights."""
    check_lengths(X, y)
    rows = validated(head, X, reset=reset)  # (n, d)
    refuse_non_finite(rows, 0)
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
    """Return `X` as a two-dimensional array of numbers, without a copy if it is one."""
    return np.asarray(validate_data(head, X, reset=reset, dtype="numeric", ensure_all_finite=False))


def scaled(rows: NDArray[Any], *, normalize: bool) -> Float32:
    """Return (m, d) finite rows as float32, of unit length with `normalize`."""
    if normalize:
        wide = rows.astype(np.float64)
        return np.asarray(wide / lengths(wide)[:, None], dtype=np.float32)
    with np.errstate(over="ignore"):  # looked at on the next line
        found: Float32 = np.ascontiguousarray(rows, dtype=np.float32)
    refuse_non_finite(found, 0)
    return found


def check_lengths(X: ArrayLike, y: ArrayLike) -> None:
    """Refuse an empty set of rows, and a number of labels other than that of the rows."""
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
    """Return the sorted union of the classes known, seen now, and declared for the future."""
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
