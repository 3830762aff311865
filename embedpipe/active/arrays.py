"""From anyone's features and labels to a problem."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._loops.answers import check_finite, plain_labels
from ..errors import LabelError, UsageError
from .problem import Problem

__all__ = ["problem_of_arrays"]


def problem_of_arrays(
    X_train: ArrayLike,
    y_train: ArrayLike,
    X_test: ArrayLike | None = None,
    y_test: ArrayLike | None = None,
    index: str = "exact",
) -> Problem:
    """Return the problem of choosing from `X_train`, tested on `X_test`.

    Parameters
    ----------
    X_train, y_train
        (n, d) numbers and their (n,) labels.
    X_test, y_test
        (t, d) numbers and their (t,) labels, or neither.
    index
        How strategies find neighbours.

    Raises
    ------
    UsageError
        If something is no matrix of numbers, or test rows are given without labels.
    LabelError
        If labels do not fit the rows, or a row holds NaN or infinity.

    Notes
    -----
    The rows are copied once, as float32.

    Examples
    --------
    >>> problem = problem_of_arrays([[0.0], [1.0]], ["a", "b"], [[0.5]], ["a"])
    >>> problem.matrix.ravel().tolist(), problem.candidates.tolist(), problem.test_rows.tolist()
    ([0.0, 1.0, 0.5], [0, 1], [2])
    """
    if (X_test is None) != (y_test is None):
        missing = "y_test" if y_test is None else "X_test"
        raise UsageError(f"{missing} is missing: give both X_test and y_test, or neither.")
    train = _rows(X_train, "X_train")  # (n, d)
    test = train[:0] if X_test is None else _rows(X_test, "X_test")  # (t, d)
    if not len(train):
        raise UsageError("X_train has no rows: there is nothing to choose from.")
    if test.shape[1] != train.shape[1]:
        raise UsageError(
            f"X_train has {train.shape[1]} columns and X_test has {test.shape[1]}: give both the "
            "same features."
        )
    labels = _labels(y_train, len(train), "train")  # (n,)
    if y_test is not None:
        labels = _joined(labels, _labels(y_test, len(test), "test"))  # (n + t,)
    n = len(train)
    matrix = np.empty((n + len(test), train.shape[1]), dtype=np.float32)  # (n + t, d)
    with np.errstate(over="ignore"):  # an overflow becomes infinity, which is named below
        matrix[:n], matrix[n:] = train, test
    for name, first, last in (("X_train", 0, n), ("X_test", n, len(matrix))):
        check_finite(matrix, np.arange(first, last), name, first=first)
    return Problem.from_arrays(matrix, labels, np.arange(n), np.arange(n, len(matrix)), index=index)


def _rows(given: ArrayLike, name: str) -> NDArray[Any]:
    rows = np.asarray(given)
    if rows.dtype.kind not in "biuf":
        raise UsageError(f"{name} has dtype {rows.dtype}: give a matrix of real numbers.")
    if rows.ndim != 2:
        hint = f", such as {name}.reshape(len({name}), -1)" if rows.ndim > 2 else ""
        raise UsageError(f"{name} has shape {rows.shape}: give one vector for each row{hint}.")
    if not rows.shape[1]:
        raise UsageError(f"{name} has shape {rows.shape}: its vectors are empty.")
    return rows


def _labels(given: ArrayLike, n: int, part: str) -> NDArray[Any]:
    labels = plain_labels(given, f"y_{part}")
    if len(labels) != n:
        raise LabelError(
            f"X_{part} has {n} rows, but y_{part} has {len(labels)} labels: give one for each row."
        )
    return labels


def _joined(train: NDArray[Any], test: NDArray[Any]) -> NDArray[Any]:
    if (train.dtype.kind == "U") != (test.dtype.kind == "U") and len(test):
        kinds = ["texts" if labels.dtype.kind == "U" else "numbers" for labels in (train, test)]
        raise LabelError(f"y_train holds {kinds[0]}, y_test {kinds[1]}: give both in the same way.")
    return np.concatenate([train, test])
