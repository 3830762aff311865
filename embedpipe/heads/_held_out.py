"""Calibration and cross-validation: calibration error, temperature, held-out probabilities."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from .._specs import check_count
from ..errors import LabelError
from ._arrays import (
    NEVER_SCORED,
    Float64,
    assign_folds,
    check_finite,
    log_losses,
    row_digests,
    softmax,
)
from ._labelled import check_lengths, checked_labels

N_BINS = 15
"""Default number of bins of the calibration error, as in Guo et al. (2017)."""

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0
"""Limits of the temperature. Without limits, separable logits give 0 and random logits infinity."""

STEPS = 60
"""Maximum Newton steps or bisections."""

RELATIVE_TOLERANCE = 1e-9
"""Relative length of a step at which the search stops."""

PRIOR_ROWS = 5.0
"""Weight, in rows, of a prior for temperature 1."""

MIN_PROBABILITY = 1e-6
"""Minimum probability in the fit of a temperature."""

N_FOLDS = 5
"""Default number of folds of a cross-validation."""


class HeldOutPredictions(NamedTuple):
    """Predictions of labelled rows by heads that were not fitted to them."""

    probabilities: NDArray[np.floating[Any]]
    """(k, C), k >= 1."""
    codes: NDArray[np.integer[Any]]
    """(k,) columns of the true classes."""

    @property
    def accuracy(self) -> float:
        """Share of right predictions."""
        return float(np.mean(self.probabilities.argmax(axis=1) == self.codes))

    def temperature(self) -> float:
        """Return the temperature that calibrates the probabilities."""
        logits = np.log(np.maximum(self.probabilities, MIN_PROBABILITY))
        return fit_temperature(logits, self.codes, prior_rows=PRIOR_ROWS)


def expected_calibration_error(
    probabilities: NDArray[np.floating[Any]],
    codes: NDArray[np.integer[Any]],
    n_bins: int = N_BINS,
) -> float:
    """Return the expected calibration error: the mean gap between confidence and accuracy.

    Rows are divided into bins of equal width by the probability of their predicted class. The
    error is the mean over rows of the gap between a bin's mean confidence and its accuracy.

    Parameters
    ----------
    probabilities
        (n, C) class probabilities, n >= 1; rows sum to one.
    codes
        (n,) columns of the true classes; for a class without a column, an integer that is no
        column, such as -1.
    n_bins
        Number of bins between 0 and 1.

    Notes
    -----
    The error is biased upwards for few rows: about 0.1 for 100 rows of a calibrated head.

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
    """Return the temperature T for which softmax(logits / T) has the least log-loss.

    None for `weights` means weights of 1. The prior adds ``prior_rows * (1/T - 1 + log T)`` to the
    loss; this term is least at T = 1. The loss is convex in 1/T and is minimised by Newton's method
    within a bracket. T is 1 without rows, with one class, or with equal logits.
    """
    gaps, counts = _gaps(logits, codes, weights)  # (n, C), (n,)
    if not gaps.size or not (np.abs(gaps) * counts[:, None]).any():
        return 1.0
    low, high = 1.0 / MAX_TEMPERATURE, 1.0 / MIN_TEMPERATURE
    if _derivatives(gaps, counts, low, prior_rows)[0] >= 0.0:
        return MAX_TEMPERATURE
    if _derivatives(gaps, counts, high, prior_rows)[0] <= 0.0:
        return MIN_TEMPERATURE
    inverse = 1.0
    for _ in range(STEPS):
        slope, curvature = _derivatives(gaps, counts, inverse, prior_rows)
        low, high = (low, inverse) if slope > 0.0 else (inverse, high)
        step = slope / curvature if curvature > 0.0 else np.inf
        following = inverse - step
        if not low < following < high:
            following = np.sqrt(low * high)
        if abs(following - inverse) <= RELATIVE_TOLERANCE * inverse:
            break
        inverse = following
    return float(1.0 / inverse)


def temperature_for_confidence(
    logits: NDArray[np.floating[Any]],
    weights: NDArray[np.floating[Any]],
    confidence: float,
) -> float:
    """Return the least temperature at which the mean confidence is at most `confidence`."""
    values = np.asarray(logits, dtype=np.float64)
    gaps = values - values.max(axis=1, keepdims=True)  # (n, C)
    low, high = MIN_TEMPERATURE, MAX_TEMPERATURE**3
    for _ in range(STEPS):
        middle = float(np.sqrt(low * high))
        largest = 1.0 / np.exp(gaps / middle).sum(axis=1)  # (n,)
        if weights @ largest / weights.sum() > confidence:
            low = middle
        else:
            high = middle
    return high


def capped_temperature(
    logits: NDArray[np.floating[Any]],
    codes: NDArray[np.integer[Any]],
    weights: NDArray[np.floating[Any]],
    total: float,
    *,
    prior_rows: float = 0.0,
) -> float:
    """Return the temperature for held-out rows, with a cap on the mean confidence.

    The only row of a class cannot be held out, and the rows of larger classes alone would make the
    model too confident. `total` is the weight of all rows. If `total` exceeds the sum of `weights`,
    the mean confidence is at most (correct + 1) / (total + 2). Here "correct" is the weight of the
    rows with the right prediction.
    """
    temperature = fit_temperature(logits, codes, weights, prior_rows=prior_rows)
    held_out = float(np.sum(weights))
    if not held_out > 0.0 or total <= held_out * (1.0 + 1e-9):
        return temperature
    correct = float(weights @ (logits.argmax(axis=1) == codes))
    cap = (correct + 1.0) / (total + 2.0)
    return max(temperature, temperature_for_confidence(logits, weights, cap))


def calibrated_loss(
    logits: NDArray[np.floating[Any]],
    codes: NDArray[np.integer[Any]],
    weights: NDArray[np.floating[Any]],
    *,
    prior_rows: float = 0.0,
) -> float:
    """Return the mean log-loss of softmax(logits / T) at the best temperature T."""
    gaps, counts = _gaps(logits, codes, weights)  # (n, C), (n,)
    gaps /= fit_temperature(logits, codes, weights, prior_rows=prior_rows)
    return float(counts @ log_losses(gaps, codes) / counts.sum())


def _gaps(
    logits: NDArray[np.floating[Any]],
    codes: NDArray[np.integer[Any]],
    weights: NDArray[np.floating[Any]] | None,
) -> tuple[Float64, Float64]:
    """Return the (n, C) logits minus the logit of the true class, and the (n,) weights."""
    values = np.asarray(logits, dtype=np.float64)
    counts = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=np.float64)
    return values - values[np.arange(len(values)), codes][:, None], counts


def _derivatives(
    gaps: Float64, counts: Float64, inverse: float, prior_rows: float
) -> tuple[float, float]:
    """Return the first and second derivative of the loss by 1/T."""
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
    """Return cross-validated class probabilities of labelled rows.

    Folds are stratified and depend only on the content of the rows. Equal rows of a class are in
    the same fold. The only row of a class is in every fit and is not scored.

    Parameters
    ----------
    head
        A classifier with `predict_proba`; a clone is fitted.
    X
        (n, d) finite numbers.
    y
        (n,) labels.
    n_folds
        Number of folds, at least 2.
    unlabelled
        Unlabelled rows, for heads that use them.

    Returns
    -------
    probabilities
        (n, C) float64, columns in the sorted order of the labels; 0 for rows not scored and for
        classes that are missing from a fit.
    scored
        (n,) bool: whether the row was held out.

    Examples
    --------
    >>> from embedpipe.heads import LogisticHead
    >>> X = np.array([[0.0, 1.0], [0.1, 1.0], [1.0, 0.0], [1.0, 0.1], [-1.0, -1.0]])
    >>> y = np.array(["hat", "hat", "shoe", "shoe", "skirt"])
    >>> probabilities, scored = cross_validated_probabilities(LogisticHead(C=10.0), X, y)
    >>> scored.tolist(), probabilities.argmax(axis=1)[scored].tolist()
    ([True, True, True, True, False], [0, 0, 1, 1])
    """
    check_count("n_folds", n_folds, 2)
    check_lengths(X, y)
    rows, labels = np.asarray(X), checked_labels(y)
    if rows.ndim != 2:
        raise LabelError(f"X has the shape {rows.shape}: give one row of numbers for each label.")
    check_finite(rows, 0)
    classes, codes = np.unique(labels, return_inverse=True)
    probabilities = np.zeros((len(rows), len(classes)))
    scored = np.zeros(len(rows), dtype=np.bool_)
    if len(classes) == 1:
        return probabilities, scored
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
