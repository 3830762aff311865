"""The expected accuracy of a head on the items without a label."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._loops.arrays import uniform_of_rows
from .._loops.fitting import Trainer, probabilities_of

if TYPE_CHECKING:
    from ..heads import HeldOutPredictions

__all__ = ["ClassAccuracy", "ExpectedAccuracy", "expected_accuracy", "expected_on_rows"]

MAX_ROWS = 5000
"""Maximum unlabelled rows that a loop predicts for the estimate."""

COEFFICIENTS = (-0.131, 0.406, 1.223, -0.726)
"""Weights of the terms whose sum is the expected log-odds: the constant 1, and the log-odds of the
cross-validated accuracy, of the mean confidence on the unlabelled rows, and of the mean confidence
on the held-out rows.

See ``docs/explanation/expected-accuracy.md``.
"""

SPREAD = 0.4
"""Standard deviation of the log-odds of the accuracy around their estimate."""

Z = 1.6448536269514722
"""Half width of a 90 % interval in standard deviations."""

STEPS = 60
"""Bisections in the search for the shift of the confidences."""

MIN_SHARE, MAX_SHARE = 0.02, 0.995
"""Range to which shares are clipped before their log-odds are computed."""

TINY = 1e-6
"""Minimum distance of probabilities from 0 and 1, so that their log-odds are finite."""

FEW_LABELS = "Label at least two images of each of two classes."
ALL_LABELLED = "All images have a label."


class ClassAccuracy(NamedTuple):
    """The expected accuracy on the unlabelled rows of one class."""

    share: float | None  # of the rows of this class with the right prediction; None without rows
    rows: float  # expected number of rows of this class
    predicted: float  # number of rows with this prediction


@dataclass(frozen=True)
class ExpectedAccuracy:
    """The expected accuracy of a head on unlabelled rows.

    Attributes
    ----------
    value, low, high
        Expected share of right predictions, and its 90 % interval; None if it is unknown.
    reason
        Why the value is unknown; empty otherwise.
    classes
        (C,) classes of the head.
    confusion
        (C, C) expected numbers of rows: true classes × predicted classes; zeros if unknown.
    """

    value: float | None
    low: float | None
    high: float | None
    reason: str
    classes: NDArray[Any]
    confusion: NDArray[np.float64]

    def __str__(self) -> str:
        if self.value is None or self.low is None or self.high is None:
            return "expected accuracy unknown"
        low, high = 100 * self.low, 100 * self.high
        return f"expected accuracy {100 * self.value:.0f} % ({low:.0f} to {high:.0f} %)"

    @property
    def interval(self) -> tuple[float, float] | None:
        """The lower and the upper limit; None if they are unknown."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    @property
    def bounds(self) -> tuple[float, float, float] | None:
        """The value and its interval; None if they are unknown."""
        if self.value is None or self.low is None or self.high is None:
            return None
        return self.value, self.low, self.high

    @property
    def per_class(self) -> dict[Any, ClassAccuracy]:
        """The expected accuracy of each class, lowest first; empty if it is unknown."""
        if self.value is None:
            return {}
        right, rows = np.diag(self.confusion), self.confusion.sum(axis=1)  # (C,), (C,)
        predicted = self.confusion.sum(axis=0)  # (C,)
        shares = [float(a / b) if b > 0 else None for a, b in zip(right, rows, strict=True)]
        order = sorted(range(len(shares)), key=lambda at: (shares[at] is None, shares[at], at))
        return {
            self.classes[at].item(): ClassAccuracy(
                shares[at], float(rows[at]), float(predicted[at])
            )
            for at in order
        }


def expected_on_rows(
    trainer: Trainer,
    head: Any,
    held_out: HeldOutPredictions | None,
    labelled: NDArray[np.int64],
) -> ExpectedAccuracy:
    """Return the expected accuracy on the unlabelled candidates of a trainer.

    At most 5,000 of them are predicted, drawn at random with the seed of the trainer.
    """
    rows = np.setdiff1d(trainer.candidates, labelled, assume_unique=True)
    count = rows.size
    if count > MAX_ROWS:
        keys = uniform_of_rows(rows, trainer.seed, "expected")
        rows = rows[np.sort(np.argsort(keys, kind="stable")[:MAX_ROWS])]
    classes = np.array([]) if head is None else np.asarray(head.classes_)
    probabilities = np.zeros((0, classes.size))
    if rows.size and head is not None:
        probabilities = probabilities_of(head, trainer.matrix, rows)
    return expected_accuracy(classes, held_out, probabilities, count)


def expected_accuracy(
    classes: NDArray[Any],
    held_out: HeldOutPredictions | None,
    probabilities: NDArray[np.floating[Any]],
    count: int | None = None,
) -> ExpectedAccuracy:
    """Return the expected accuracy of a head on unlabelled rows, without their labels.

    See ``docs/explanation/expected-accuracy.md``.

    Parameters
    ----------
    classes
        (C,) classes of the head.
    held_out
        Cross-validated predictions of the labelled rows; None if there are none.
    probabilities
        (u, C) predictions of the unlabelled rows, or of a random sample of them.
    count
        Number of unlabelled rows; None for u.
    """
    if not len(probabilities) and len(classes):
        return _unknown(classes, ALL_LABELLED)
    if held_out is None or len(np.unique(held_out.codes)) < 2:
        return _unknown(classes, FEW_LABELS)
    confidence = probabilities.max(axis=1).astype(np.float64)  # (u,)
    centre = _estimate(held_out, confidence)
    value, low, high = (_share(centre + at * SPREAD) for at in (0.0, -Z, Z))
    scale = 1.0 if count is None else count / len(probabilities)
    confusion = scale * _confusion(probabilities, confidence, value)
    return ExpectedAccuracy(value, low, high, "", classes, confusion)


def _unknown(classes: NDArray[Any], reason: str) -> ExpectedAccuracy:
    nothing = np.zeros((len(classes), len(classes)))
    return ExpectedAccuracy(None, None, None, reason, classes, nothing)


def _estimate(held_out: HeldOutPredictions, confidence: NDArray[np.float64]) -> float:
    """Return the expected log-odds of the accuracy."""
    n = len(held_out.codes)
    right = round(held_out.accuracy * n)
    terms = (
        1.0,
        _odds((right + 1.0) / (n + 2.0)),
        _odds(float(confidence.mean())),
        _odds(float(held_out.probabilities.max(axis=1).mean())),
    )
    return sum(weight * term for weight, term in zip(COEFFICIENTS, terms, strict=True))


def _odds(share: float) -> float:
    """Return the log-odds of a share."""
    inside = min(max(share, MIN_SHARE), MAX_SHARE)
    return math.log(inside / (1.0 - inside))


def _share(odds: float) -> float:
    """Return the share of log-odds."""
    return round(1.0 / (1.0 + math.exp(-odds)), 6)


def _confusion(
    probabilities: NDArray[np.floating[Any]], confidence: NDArray[np.float64], value: float
) -> NDArray[np.float64]:
    """Return the (C, C) expected numbers of rows, true × predicted; the share `value` is right."""
    predicted = probabilities.argmax(axis=1)  # (u,)
    right = _shifted(confidence, value)  # (u,) probability of a right prediction
    C = probabilities.shape[1]
    confusion = np.zeros((C, C))
    for code in np.unique(predicted).tolist():
        rows = np.flatnonzero(predicted == code)
        others = probabilities[rows].astype(np.float64)  # (p, C)
        others[:, code] = 0.0
        # If a wrong prediction had the confidence 1, all other classes are equally likely.
        others += TINY * (np.arange(C) != code)
        others *= ((1.0 - right[rows]) / others.sum(axis=1))[:, None]
        confusion[:, code] = others.sum(axis=0)
        confusion[code, code] = right[rows].sum()
    return confusion


def _shifted(confidence: NDArray[np.float64], value: float) -> NDArray[np.float64]:
    """Return the confidences with a shift of their log-odds that makes `value` their mean."""
    inside = np.clip(confidence, TINY, 1.0 - TINY)
    odds = np.log(inside) - np.log1p(-inside)  # (u,)
    low, high = -40.0, 40.0
    for _ in range(STEPS):
        middle = (low + high) / 2.0
        if float(np.mean(1.0 / (1.0 + np.exp(-odds - middle)))) > value:
            high = middle
        else:
            low = middle
    return np.asarray(1.0 / (1.0 + np.exp(-odds - low)))
