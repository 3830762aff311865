"""What a head says of labelled rows that it has not seen: for heads without a judgement."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from ..errors import LabelError, UsageError
from ._folds import NEVER_SCORED, assign_folds, row_digests
from ._inputs import check_lengths, checked_labels
from ._rows import refuse_non_finite

N_FOLDS = 5


def cross_validated_probabilities(
    head: Any,
    X: ArrayLike,
    y: ArrayLike,
    n_folds: int = N_FOLDS,
    *,
    unlabelled: ArrayLike | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the probabilities that fits to the other folds give each labelled row.

    Folds depend on the content of the rows only: they are stratified, and equal rows of a class
    share one. A row that is the only one of its class is learned from by every fit and scored by
    none.

    Parameters
    ----------
    head
        A classifier with `predict_proba`; it is cloned, so it stays as it is.
    X
        (n, d) finite numbers.
    y
        (n,) labels.
    n_folds
        How many fits, at least 2.
    unlabelled
        Passed on to the `fit` of a head that uses unlabelled rows; no other sees it.

    Returns
    -------
    probabilities
        (n, C) float64, columns in the sorted order of the labels; zeros where not scored, and for
        classes that a fit did not see.
    scored
        (n,) whether the row was scored.

    Raises
    ------
    LabelError
        If there are no rows, the lengths differ, or a row holds NaN or infinity.
    UsageError
        If `n_folds` is less than 2.

    Examples
    --------
    >>> from embedpipe.heads import LogisticHead
    >>> X = np.array([[0.0, 1.0], [0.1, 1.0], [1.0, 0.0], [1.0, 0.1], [-1.0, -1.0]])
    >>> y = np.array(["hat", "hat", "shoe", "shoe", "skirt"])
    >>> probabilities, scored = cross_validated_probabilities(LogisticHead(C=10.0), X, y)
    >>> scored.tolist(), probabilities.argmax(axis=1)[scored].tolist()
    ([True, True, True, True, False], [0, 0, 1, 1])
    """
    if n_folds < 2:
        raise UsageError(f"n_folds must be at least 2, not {n_folds!r}.")
    check_lengths(X, y)
    rows, labels = np.asarray(X), checked_labels(y)
    if rows.ndim != 2:
        raise LabelError(f"X has the shape {rows.shape}: give one row of numbers for each label.")
    refuse_non_finite(rows, 0)
    classes, codes = np.unique(labels, return_inverse=True)
    probabilities = np.zeros((len(rows), len(classes)))
    scored = np.zeros(len(rows), dtype=np.bool_)
    if len(classes) == 1:
        return probabilities, scored  # there is nothing to tell apart
    options = {"unlabelled": unlabelled} if getattr(head, "uses_unlabelled", False) else {}
    folds = assign_folds(row_digests(rows), codes, n_folds)  # (n,)
    for fold in np.unique(folds[folds != NEVER_SCORED]):
        held_out = np.flatnonzero(folds == fold)
        rest = np.flatnonzero(folds != fold)
        fitted = clone(head).fit(rows[rest], labels[rest], **options)
        columns = np.searchsorted(classes, fitted.classes_)
        probabilities[np.ix_(held_out, columns)] = fitted.predict_proba(rows[held_out])
        scored[held_out] = True
    return probabilities, scored
