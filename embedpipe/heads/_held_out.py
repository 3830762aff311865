"""What held-out rows tell about a head: calibration error, temperature, cross-validation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from ..errors import LabelError, UsageError
from ._labelled import check_lengths, checked_labels
from ._rows import NEVER_SCORED, Float64, assign_folds, refuse_non_finite, row_digests
from ._softmax import log_losses, softmax

N_BINS = 15
"""Bins of the calibration error, as in Guo et al. (2017)."""

COLDEST, HOTTEST = 0.05, 20.0
"""Range of temperatures: separable logits would have 0, random ones infinity."""

STEPS = 60
"""Maximum Newton steps or halvings; some ten are enough."""

ARRIVED = 1e-9
"""Relative length of a step at which the search stops."""

N_FOLDS = 5
"""Default number of folds of a cross-validation."""


def expected_calibration_error(
    probabilities: NDArray[np.floating[Any]],
    codes: NDArray[np.integer[Any]],
    n_bins: int = N_BINS,
) -> float:
    """Return by how much the confidence of predictions differs from their accuracy.

    Rows are put in bins of equal width by the probability of their predicted class; the error is
    the mean over the rows of the difference between the mean confidence of a bin and its
    accuracy.

    Parameters
    ----------
    probabilities
        (n, C), n >= 1; rows sum to one.
    codes
        (n,) integers: the column that is true; a number that is no column is never predicted.
    n_bins
        How many bins share (0, 1].

    Returns
    -------
    float
        Between 0, what is said to be p likely is right with the frequency p, and 1.

    Notes
    -----
    O(n C) time. The error of few rows is biased upwards: some 0.1 for 100 rows of a calibrated
    head.

    References
    ----------
    Naeini, Cooper, Hauskrecht (2015), "Obtaining well calibrated probabilities using Bayesian
    binning", AAAI. Guo, Pleiss, Sun, Weinberger (2017), "On calibration of modern neural
    networks", arXiv:1706.04599.

    Examples
    --------
    >>> certain = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]])
    >>> round(expected_calibration_error(certain, np.array([0, 1, 1])), 3)
    0.4
    """
    best = probabilities.argmax(axis=1)  # (n,)
    confidence = probabilities[np.arange(len(best)), best].astype(np.float64)  # (n,)
    bins = np.clip(np.ceil(confidence * n_bins).astype(np.intp) - 1, 0, n_bins - 1)
    gaps = np.bincount(bins, weights=confidence - (best == codes), minlength=n_bins)  # (B,)
    return float(np.abs(gaps).sum() / len(best))


def fit_temperature(
    logits: NDArray[np.floating[Any]],
    codes: NDArray[np.integer[Any]],
    weights: NDArray[np.floating[Any]] | None = None,
    *,
    prior_rows: float = 0.0,
) -> float:
    """Return the temperature T for which softmax(logits / T) fits the labels best.

    `weights` are 1 each when None. The prior adds ``prior_rows * (1/T - 1 + log T)`` to the loss,
    which is least at T = 1. The loss is convex in 1/T; its minimum is found by Newton's method in
    a bracket. T is 1 where nothing can be fitted: no row, one class, or equal logits.
    """
    gaps, counts = _gaps(logits, codes, weights)  # (n, C), (n,)
    if not gaps.size or not (np.abs(gaps) * counts[:, None]).any():
        return 1.0
    low, high = 1.0 / HOTTEST, 1.0 / COLDEST
    if _slopes(gaps, counts, low, prior_rows)[0] >= 0.0:
        return HOTTEST
    if _slopes(gaps, counts, high, prior_rows)[0] <= 0.0:
        return COLDEST
    inverse = 1.0
    for _ in range(STEPS):
        slope, curvature = _slopes(gaps, counts, inverse, prior_rows)
        low, high = (low, inverse) if slope > 0.0 else (inverse, high)
        step = slope / curvature if curvature > 0.0 else np.inf
        following = inverse - step
        if not low < following < high:
            following = np.sqrt(low * high)
        if abs(following - inverse) <= ARRIVED * inverse:
            break
        inverse = following
    return float(1.0 / inverse)


def temperature_at(
    logits: NDArray[np.floating[Any]],
    weights: NDArray[np.floating[Any]],
    confidence: float,
) -> float:
    """Return the least temperature at which the mean confidence is at most `confidence`."""
    values = np.asarray(logits, dtype=np.float64)
    gaps = values - values.max(axis=1, keepdims=True)  # (n, C)
    low, high = COLDEST, HOTTEST**3
    for _ in range(STEPS):
        middle = float(np.sqrt(low * high))
        largest = 1.0 / np.exp(gaps / middle).sum(axis=1)  # (n,)
        if weights @ largest / weights.sum() > confidence:
            low = middle
        else:
            high = middle
    return high


def cautious_temperature(
    logits: NDArray[np.floating[Any]],
    codes: NDArray[np.integer[Any]],
    weights: NDArray[np.floating[Any]],
    total: float,
    *,
    prior_rows: float = 0.0,
) -> float:
    """Return the temperature of rows that were left out, where others could not be.

    A row that is the only one of its class cannot be left out: the model would be wrong about it.
    Rows of larger classes alone would make the model too confident. So with such rows, by which
    `total` exceeds the sum of `weights`, the mean confidence is at most the expected share of right
    rows among all, (right + 1) / (rows + 2).
    """
    found = fit_temperature(logits, codes, weights, prior_rows=prior_rows)
    known = float(np.sum(weights))
    if not known > 0.0 or total <= known * (1.0 + 1e-9):
        return found
    right = float(weights @ (logits.argmax(axis=1) == codes))
    return max(found, temperature_at(logits, weights, (right + 1.0) / (total + 2.0)))


def tempered_loss(
    logits: NDArray[np.floating[Any]],
    codes: NDArray[np.integer[Any]],
    weights: NDArray[np.floating[Any]],
    *,
    prior_rows: float = 0.0,
) -> float:
    """Return the mean log-loss of softmax(logits / T) at the temperature T that fits best."""
    gaps, counts = _gaps(logits, codes, weights)  # (n, C), (n,)
    gaps /= fit_temperature(logits, codes, weights, prior_rows=prior_rows)
    return float(counts @ log_losses(gaps, codes) / counts.sum())


def _gaps(
    logits: NDArray[np.floating[Any]],
    codes: NDArray[np.integer[Any]],
    weights: NDArray[np.floating[Any]] | None,
) -> tuple[Float64, Float64]:
    """Return by how much each logit is above the true one, (n, C), and the (n,) weights."""
    values = np.asarray(logits, dtype=np.float64)
    counts = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=np.float64)
    return values - values[np.arange(len(values)), codes][:, None], counts


def _slopes(
    gaps: Float64, counts: Float64, inverse: float, prior_rows: float
) -> tuple[float, float]:
    """Return the first and the second derivative of the loss in 1/T."""
    likely = softmax(inverse * gaps)  # (n, C)
    mean = np.einsum("nc,nc->n", likely, gaps)  # (n,)
    spread = np.einsum("nc,nc->n", likely, (gaps - mean[:, None]) ** 2)  # (n,)
    slope = float(counts @ mean) + prior_rows * (1.0 - 1.0 / inverse)
    return slope, float(counts @ spread) + prior_rows / inverse**2


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
