"""Label errors, found by confident learning with cross-validated probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "LabelErrors",
    "confident_errors",
    "estimated_joint",
    "find_label_errors",
    "label_margins",
    "why_not_judged",
]

LOGISTIC_UP_TO = 1_000_000
"""Maximum pairs of row and class for which the default head is logistic regression."""

SLACK = 1e-6
"""Tolerance of comparisons with thresholds, for rounding errors."""


@dataclass(frozen=True)
class LabelErrors:
    """Labels that are likely wrong.

    Attributes
    ----------
    rows
        (m,) int64, rows of the m doubtful labels, the most doubtful first; ties are sorted by row.
    given
        (m,) current labels.
    suggested
        (m,) predicted labels.
    given_probabilities, suggested_probabilities
        (m,) float64, cross-validated probabilities of both labels.
    judged
        Number of labels that were checked. Classes with one distinct item are not checked.
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
    """Return the labels that are likely wrong, by confident learning with cross-validation.

    Parameters
    ----------
    matrix
        (n, d) finite float32 array or memory map, for n items and d dimensions.
    rows
        (m,) int64, the m labelled rows.
    labels
        (m,) labels of `rows`.
    head
        A classifier, which selects its regularisation in each fold. Default: `LogisticHead`, or
        `RidgeHead` for more than a million pairs of row and class, where it is many times faster.

    Notes
    -----
    Five heads are fitted. Extra memory is two copies of the labelled rows, 8 bytes for each pair of
    label and class, and the memory of a fit. `confident_errors` describes the rule.

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
    from ..heads import LogisticHead, RidgeHead, cross_validated_probabilities

    rows, labels = np.asarray(rows, dtype=np.int64), np.asarray(labels)
    classes, codes = np.unique(labels, return_inverse=True)
    if classes.size < 2:
        return _errors(rows[:0], classes, codes[:0], np.zeros((0, max(classes.size, 1))), 0)
    if head is None:
        head = LogisticHead() if rows.size * classes.size <= LOGISTIC_UP_TO else RidgeHead()
    values, scored = cross_validated_probabilities(head, matrix[rows], labels)  # (m, C)
    rows, codes, values = rows[scored], codes[scored], values[scored]
    wrong = np.flatnonzero(confident_errors(values, codes))
    margins = label_margins(values[wrong], codes[wrong])
    wrong = wrong[np.lexsort((rows[wrong], margins))]
    return _errors(rows[wrong], classes, codes[wrong], values[wrong], int(scored.sum()))


def why_not_judged(n_classes: int) -> str:
    """Return the reason why no label was checked, given the number of classes."""
    if n_classes == 0:
        return "there are no labels"
    if n_classes == 1:
        return "there is only one class"
    return f"each of the {n_classes} classes has only one distinct image; two are needed"


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


def confident_errors(
    probabilities: NDArray[np.float64], codes: NDArray[np.integer]
) -> NDArray[np.bool_]:
    """Return an (n,) mask that is true for label errors, by confident learning.

    Each class has a threshold: the mean probability of the class over the items labelled with it.
    An item counts for a class if its probability of the class is at least the threshold. These
    counts estimate how many items of each label belong to each class. A label is wrong if three
    conditions hold:

    1. Its probability is among the k lowest of all items with this label, where k is the estimated
       number of wrong labels among these items.
    2. Its probability minus that of another class is among the j smallest of all items with this
       label, where j is the estimated number of these items that belong to the other class.
    3. It is not the most probable class.

    Parameters
    ----------
    probabilities
        (n, C) float64 cross-validated probabilities of n items and C classes; rows sum to 1.
    codes
        (n,) position of each label in the columns of `probabilities`.

    Notes
    -----
    The result is the same as that of cleanlab's ``find_label_issues`` with ``filter_by="both"``,
    except for ties. O(n·C·log n) time, and 9 bytes of extra memory for each probability.

    References
    ----------
    Northcutt, Jiang and Chuang (2021), "Confident learning: estimating uncertainty in dataset
    labels", arXiv:1911.00068: methods 3 to 5 of section 3.2.

    Examples
    --------
    >>> probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.95, 0.05]])
    >>> confident_errors(probabilities, np.array([0, 0, 1, 1, 1])).tolist()
    [False, False, False, False, True]
    """
    n, count = probabilities.shape
    improbable = np.zeros(n, np.bool_)  # the probability is among the lowest of its label
    outranked = np.zeros(n, np.bool_)  # the difference to a class is among the smallest
    joint = estimated_joint(probabilities, codes)  # (C, C)
    for code in range(count):
        members = np.flatnonzero(codes == code)
        of_members = probabilities[members]  # (m, C)
        wrong = members.size - joint[code, code]
        improbable[members[of_members[:, code].argsort(kind="stable")[:wrong]]] = True
        for other in np.flatnonzero(joint[code]):
            if other != code:
                order = (of_members[:, code] - of_members[:, other]).argsort(kind="stable")
                outranked[members[order[: joint[code, other]]]] = True
    found: NDArray[np.bool_] = improbable & outranked
    if n:
        found &= probabilities.argmax(axis=1) != codes
    return found


def label_margins(
    probabilities: NDArray[np.float64], codes: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Return each label's probability minus the largest of the other classes: (n,) float64."""
    at = np.arange(len(codes))
    others = probabilities.copy()
    others[at, codes] = -np.inf
    margins: NDArray[np.float64] = probabilities[at, codes] - others.max(axis=1, initial=-np.inf)
    return margins


def estimated_joint(
    probabilities: NDArray[np.float64], codes: NDArray[np.integer]
) -> NDArray[np.int64]:
    """Return the estimated number of items of each label (row) and true class (column)."""
    n, count = probabilities.shape
    sizes = np.bincount(codes, minlength=count)  # (C,)
    own = probabilities[np.arange(n), codes]  # (n,)
    thresholds = np.full(count, np.inf)  # no item counts for a class without labels
    sums = np.bincount(codes, weights=own, minlength=count)
    np.divide(sums, sizes, out=thresholds, where=sizes > 0)
    confident = probabilities >= thresholds - SLACK  # (n, C)
    sure = confident.sum(axis=1)  # (n,)
    # An item above several thresholds counts for its most probable class.
    likely = np.where(sure > 1, probabilities.argmax(axis=1), confident.argmax(axis=1))
    counts = np.zeros((count, count))
    np.add.at(counts, (codes[sure > 0], likely[sure > 0]), 1)
    np.fill_diagonal(counts, np.maximum(counts.diagonal(), 1))
    shares = counts / counts.sum(axis=1, keepdims=True)  # (C, C)
    return np.stack([_round_to_sum(shares[code] * sizes[code], code) for code in range(count)])


def _round_to_sum(values: NDArray[np.float64], first: int) -> NDArray[np.int64]:
    """Round values to whole numbers with the same sum: the largest fractions are rounded up."""
    # Of equal fractions, the one at position `first` is rounded up first, then the others by
    # position. So at least one item of each class keeps its label.
    values = values.round(9)  # removes rounding errors
    whole = np.floor(values)
    missing = round(float(values.sum() - whole.sum()))
    fractions = values - whole
    others = np.arange(values.size) != first
    whole[np.lexsort((others, -fractions.round(9)))[:missing]] += 1
    return whole.astype(np.int64)
