"""Labels that are likely wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .confident_learning import confident_errors, label_margins

__all__ = ["LabelErrors", "find_label_errors", "why_not_judged"]


@dataclass(frozen=True)
class LabelErrors:
    """Labels that are likely wrong.

    Attributes
    ----------
    rows
        (m,) int64, the most doubtful first, ties by lowest row.
    given
        (m,) labels as they are.
    suggested
        (m,) what the head would say.
    given_probabilities, suggested_probabilities
        (m,) float64: what a head that has not seen the label gives to either.
    judged
        How many labels could be judged: a class with a single distinct item is not.
    """

    rows: NDArray[np.int64]
    given: NDArray[Any]
    suggested: NDArray[Any]
    given_probabilities: NDArray[np.float64]
    suggested_probabilities: NDArray[np.float64]
    judged: int


def find_label_errors(
    matrix: NDArray[np.float32], rows: NDArray[np.int64], labels: ArrayLike, head: Any = None
) -> LabelErrors:
    """Return the labels that are likely wrong, by cross-validated confident learning.

    Each label is judged by a head that was fitted to other folds, so that it has not seen it.

    Parameters
    ----------
    matrix
        (n, d) finite float32 array or memory map.
    rows
        (m,) int64: which rows are labelled.
    labels
        (m,) their labels.
    head
        A classifier; by default `LogisticHead`, which chooses its own C in each fold.

    Returns
    -------
    LabelErrors
        Empty if there are fewer than two classes.

    Notes
    -----
    Five fits to four fifths of the labels each; extra memory: two copies of the labelled rows,
    8 bytes for each label and class, and what the fits take.

    References
    ----------
    Northcutt, Jiang and Chuang (2021), "Confident learning: estimating uncertainty in dataset
    labels", arXiv:1911.00068.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> digits = load_digits()
    >>> labels = digits.target.astype(str)[:500]
    >>> labels[10] = "7"  # it is a zero
    >>> found = find_label_errors(digits.data.astype(np.float32), np.arange(500), labels)
    >>> int(found.rows[0]), str(found.given[0]), str(found.suggested[0])
    (10, '7', '0')
    """
    from ..heads import LogisticHead, cross_validated_probabilities

    rows, labels = np.asarray(rows, dtype=np.int64), np.asarray(labels)
    classes, codes = np.unique(labels, return_inverse=True)
    if classes.size < 2:
        return _errors(rows[:0], classes, codes[:0], np.zeros((0, max(classes.size, 1))), 0)
    values, scored = cross_validated_probabilities(
        LogisticHead() if head is None else head, matrix[rows], labels
    )  # (m, C)
    rows, codes, values = rows[scored], codes[scored], values[scored]
    wrong = np.flatnonzero(confident_errors(values, codes))
    margins = label_margins(values[wrong], codes[wrong])
    wrong = wrong[np.lexsort((rows[wrong], margins))]
    return _errors(rows[wrong], classes, codes[wrong], values[wrong], int(scored.sum()))


def why_not_judged(n_classes: int) -> str:
    """Return why no label of so many classes could be judged."""
    if n_classes == 0:
        return "there are no labels"
    if n_classes == 1:
        return "there is one class only"
    return f"each of the {n_classes} classes has one distinct image only, two are needed"


def _errors(
    rows: NDArray[np.int64],
    classes: NDArray[Any],
    codes: NDArray[np.integer],
    values: NDArray[np.float64],
    judged: int,
) -> LabelErrors:
    best = values.argmax(axis=1) if len(values) else codes
    at = np.arange(len(rows))
    given = classes[codes]
    return LabelErrors(rows, given, classes[best], values[at, codes], values[at, best], judged)
