"""How far probabilities can be believed: their calibration error, and a temperature to mend it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

N_BINS = 15
"""Bins of the calibration error, as in Guo et al. (2017)."""

COLDEST, HOTTEST = 0.05, 20.0
"""Temperatures stay between these; separable logits would have 0, random ones infinity."""

STEPS = 60
"""Newton steps or halvings; either gets there within some ten."""

ARRIVED = 1e-9
"""Relative width of the bracket, or of a step, at which the search stops."""


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

    The mean log-loss is convex in 1/T; its minimum is found by Newton's method inside a bracket
    that shrinks. The predicted classes do not depend on T.

    Parameters
    ----------
    logits
        (n, C) of rows that the model was not fitted to.
    codes
        (n,) integers: the true columns.
    weights
        (n,) of the rows; 1 each when None.
    prior_rows
        Pulls the temperature towards 1: the loss gains ``prior_rows * (1/T - 1 + log T)``, which
        is convex in 1/T as well and least at T = 1.

    Returns
    -------
    float
        Between 0.05 and 20; 1 where there is nothing to tell: no row, one class, or logits that
        are all the same.

    Notes
    -----
    O(n C) time for each of some ten steps, in float64.

    References
    ----------
    Guo, Pleiss, Sun, Weinberger (2017), "On calibration of modern neural networks",
    arXiv:1706.04599.

    Examples
    --------
    Three of four are right, and said to be so by a log-odds of 10 where log 3 is true:

    >>> logits = np.array([[10.0, 0.0]] * 4)
    >>> round(fit_temperature(logits, np.array([0, 0, 0, 1])) * float(np.log(3)), 6)
    10.0
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
    """Return the least temperature T at which softmax(logits / T) is no more confident than that.

    Parameters
    ----------
    logits
        (n, C), n >= 1.
    weights
        (n,) of the rows, with a sum above 0.
    confidence
        The weighted mean over the rows of the largest probability.

    Returns
    -------
    float
        Between 0.05 and 8,000: the mean confidence falls as T rises.

    Examples
    --------
    >>> logits = np.array([[10.0, 0.0]] * 4)
    >>> round(temperature_at(logits, np.ones(4), 0.75) * float(np.log(3)), 6)
    10.0
    """
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
    """Return the temperature of rows that were left out, when others could not be.

    A row that is the only one of its class cannot be left out: the model would be wrong about
    it. Rows of larger classes alone would make the model too confident. So where there are such
    rows, the mean confidence is at most the share of all rows that the model is right about, by
    the rule of succession: (right + 1) / (rows + 2).

    Parameters
    ----------
    logits, codes, weights, prior_rows
        Of the rows left out, as in `fit_temperature`.
    total
        The weight of all rows.

    Returns
    -------
    float
        That of `fit_temperature`, or a higher one.

    Examples
    --------
    Four of four are right, and two more are alone in their classes:

    >>> logits, codes = np.array([[5.0, 0.0]] * 4), np.array([0, 0, 0, 0])
    >>> temperature = cautious_temperature(logits, codes, np.ones(4), 6.0)
    >>> round(float(1 / (1 + np.exp(-5 / temperature))), 6)  # (4 + 1) / (6 + 2)
    0.625
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
    """Return the mean log-loss of softmax(logits / T) at the temperature T that fits best.

    Parameters are those of `fit_temperature`. O(n C) time for each of its steps.

    Examples
    --------
    Three of four are right, and with the right temperature said to be so:

    >>> logits, codes = np.array([[10.0, 0.0]] * 4), np.array([0, 0, 0, 1])
    >>> round(tempered_loss(logits, codes, np.ones(4)), 4)
    0.5623
    >>> round(float(-0.75 * np.log(0.75) - 0.25 * np.log(0.25)), 4)
    0.5623
    """
    gaps, counts = _gaps(logits, codes, weights)  # (n, C), (n,)
    gaps /= fit_temperature(logits, codes, weights, prior_rows=prior_rows)
    top = gaps.max(axis=1, keepdims=True)  # (n, 1)
    losses = np.log(np.exp(gaps - top).sum(axis=1)) + top[:, 0]  # (n,)
    return float(counts @ losses / counts.sum())


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
    scaled = inverse * gaps  # (n, C)
    scaled -= scaled.max(axis=1, keepdims=True)
    likely = np.exp(scaled)
    likely /= likely.sum(axis=1, keepdims=True)
    mean = np.einsum("nc,nc->n", likely, gaps)  # (n,)
    spread = np.einsum("nc,nc->n", likely, (gaps - mean[:, None]) ** 2)  # (n,)
    slope = float(counts @ mean) + prior_rows * (1.0 - 1.0 / inverse)
    return slope, float(counts @ spread) + prior_rows / inverse**2
