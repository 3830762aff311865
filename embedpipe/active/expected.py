"""The expected accuracy of a head on the items without a label."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._loops.fitting import Batch, Trainer
from .sample import MAX_ROWS, NearestLabels, Neighbours, Predictions, predictions_of, sample_of

if TYPE_CHECKING:
    from ..heads import HeldOutPredictions

__all__ = [
    "ClassAccuracy",
    "ExpectedAccuracy",
    "expected_accuracy",
    "expected_of_candidates",
    "expected_of_predictions",
    "expected_of_rows",
    "unknown",
]

MAX_COMPARED, MAX_LABELLED = 1000, 5000
"""Maximum unlabelled rows that are compared with labelled rows; maximum of these labelled rows."""

OFFSET, AGREEMENT, EVENNESS, LABELS = 0.25, 0.45, -0.45, -0.47
"""Weights of the corrections in `_centre`, from a regression on datasets with known labels.

See ``docs/explanation/expected-accuracy.md``.
"""

MAX_DISAGREEMENT = 0.5
"""Maximum difference of two log-odds that counts in the correction by neighbours."""

SPREAD, LABEL_SPREAD = 0.2, 2.0
"""Standard deviation of the log-odds of the accuracy around their estimate: a constant, and a part
that falls with the root of the number of labels."""

MIN_LABELS = 10
"""Number of labels below which the number of labels no longer changes the estimate."""

Z = 1.6448536269514722
"""Half width of a 90 % interval in standard deviations."""

STEPS = 60
"""Bisections in the search for the shift of the confidences."""

MIN_SHARE, MAX_SHARE = 0.02, 0.995
"""Range to which shares are clipped before their log-odds are computed."""

TINY = 1e-6
"""Minimum distance of probabilities from 0 and 1, so that their log-odds are finite."""

MIN_ROWS = 0.5
"""Minimum expected number of rows of a class for which its accuracy is stated."""

FEW_LABELS = "Label at least two images of each of two classes."
ALL_LABELLED = "All images have a label."


class ClassAccuracy(NamedTuple):
    """The expected accuracy on the unlabelled rows of one class."""

    share: float | None  # of its rows with the right prediction; None below `MIN_ROWS` rows
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
        if self.bounds is None:
            return "expected accuracy unknown"
        value, low, high = (100 * each for each in self.bounds)
        return f"expected accuracy {value:.0f} % ({low:.0f} to {high:.0f} %)"

    @property
    def interval(self) -> tuple[float, float] | None:
        """The lower and the upper limit; None if they are unknown."""
        return None if self.bounds is None else self.bounds[1:]

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
        shares = [float(a / b) if b >= MIN_ROWS else None for a, b in zip(right, rows, strict=True)]
        order = sorted(range(len(shares)), key=lambda at: (shares[at] is None, shares[at], at))
        return {
            self.classes[at].item(): ClassAccuracy(
                shares[at], float(rows[at]), float(predicted[at])
            )
            for at in order
        }


def expected_of_candidates(
    trainer: Trainer, head: Any, held_out: HeldOutPredictions | None, batch: Batch
) -> ExpectedAccuracy:
    """Return the expected accuracy on the unlabelled candidates of a trainer.

    At most 2,000 of them are predicted, drawn at random with the seed of the trainer.
    """
    rows = np.setdiff1d(trainer.candidates, batch.rows, assume_unique=True)
    some = rows[sample_of(rows, trainer.seed, MAX_ROWS)]
    predictions = predictions_of(head, trainer.matrix, some)
    return expected_of_rows(trainer, head, held_out, batch, some, predictions, rows.size)


def expected_of_rows(
    trainer: Trainer,
    head: Any,
    held_out: HeldOutPredictions | None,
    batch: Batch,
    rows: NDArray[np.int64],
    predictions: Predictions,
    count: int | None = None,
) -> ExpectedAccuracy:
    """Return the expected accuracy on unlabelled rows, given the predictions of a head for them.

    `held_out` and `batch` are the held-out predictions and the labels of the head. `count` is the
    number of rows if `rows` are a sample of them. At most 1,000 random rows are compared with at
    most 5,000 random labelled rows.
    """
    if held_out is None or not rows.size:
        return unknown(predictions.classes, FEW_LABELS if rows.size else ALL_LABELLED)
    some = sample_of(rows, trainer.seed, MAX_COMPARED)  # (s,)
    known = sample_of(batch.rows, trainer.seed, MAX_LABELLED)  # (k,)
    nearest = NearestLabels(trainer.matrix, rows[some])
    nearest.update([Batch(batch.rows[known], batch.labels[known])])
    every = np.ones(some.size, dtype=np.bool_)
    neighbours = nearest.measures(every, predictions.labels[some], known.size)
    return expected_of_predictions(head, held_out, predictions, neighbours, count)


def expected_of_predictions(
    head: Any,
    held_out: HeldOutPredictions | None,
    predictions: Predictions,
    neighbours: Neighbours,
    count: int | None = None,
) -> ExpectedAccuracy:
    """Return the expected accuracy on unlabelled rows.

    `predictions` are those of the rows or of a random sample of them. `count` is the number of
    rows; None for the number of predictions.
    """
    probabilities = predictions.probabilities
    if held_out is None or not len(probabilities):
        return unknown(predictions.classes, FEW_LABELS if len(probabilities) else ALL_LABELLED)
    if not hasattr(head, "temperature_"):
        held_out, probabilities = _calibrated(held_out, probabilities)
    return expected_accuracy(predictions.classes, held_out, probabilities, neighbours, count)


def _calibrated(
    held_out: HeldOutPredictions, probabilities: NDArray[np.floating[Any]]
) -> tuple[HeldOutPredictions, NDArray[np.floating[Any]]]:
    """Divide the logits of both predictions by the best temperature of the held-out rows."""
    from ..heads import HeldOutPredictions

    temperature = held_out.temperature()
    known, others = (
        np.maximum(each, TINY).astype(np.float64) ** (1.0 / temperature)
        for each in (held_out.probabilities, probabilities)
    )
    known /= known.sum(axis=1, keepdims=True)
    others /= others.sum(axis=1, keepdims=True)
    return HeldOutPredictions(known, held_out.codes), others


def expected_accuracy(
    classes: NDArray[Any],
    held_out: HeldOutPredictions,
    probabilities: NDArray[np.floating[Any]],
    neighbours: Neighbours,
    count: int | None = None,
) -> ExpectedAccuracy:
    """Return the expected accuracy of a head on unlabelled rows, without their labels.

    See ``docs/explanation/expected-accuracy.md``.

    Parameters
    ----------
    classes
        (C,) classes of the head.
    held_out
        Cross-validated predictions of the labelled rows.
    probabilities
        (u, C) calibrated predictions of the unlabelled rows, or of a random sample of them; u >= 1.
    neighbours
        Measures of the most similar labelled rows.
    count
        Number of unlabelled rows; None for u.
    """
    n = len(held_out.codes)
    if len(np.unique(held_out.codes)) < 2:
        return unknown(classes, FEW_LABELS)
    confidence = probabilities.max(axis=1).astype(np.float64)  # (u,)
    centre = _centre(float(confidence.mean()), neighbours, n)
    rows = len(probabilities) if count is None else count
    spread = math.hypot(SPREAD, LABEL_SPREAD / math.sqrt(n), _chance(centre, rows))
    value, low, high = (_share(centre + at * spread) for at in (0.0, -Z, Z))
    confusion = rows / len(probabilities) * _confusion(probabilities, confidence, value)
    return ExpectedAccuracy(value, low, high, "", classes, confusion)


def unknown(classes: NDArray[Any], reason: str) -> ExpectedAccuracy:
    """Return an unknown expected accuracy, with the reason."""
    nothing = np.zeros((len(classes), len(classes)))
    return ExpectedAccuracy(None, None, None, reason, classes, nothing)


def _centre(confidence: float, neighbours: Neighbours, n: int) -> float:
    """Return the expected log-odds of the accuracy.

    `confidence` is the mean confidence on the unlabelled rows, and `n` the number of labels.
    """
    odds = _odds(confidence)
    difference = _odds(neighbours.agreement) - odds
    inside = min(max(difference, -MAX_DISAGREEMENT), MAX_DISAGREEMENT)
    return (
        odds
        + OFFSET
        + AGREEMENT * inside
        + EVENNESS * confidence * math.log(neighbours.evenness)
        + LABELS * math.sqrt(100.0 / max(n, MIN_LABELS))
    )


def _chance(odds: float, rows: int) -> float:
    """Return the standard deviation of the log-odds of a share of a number of rows."""
    share = _share(odds)
    return 1.0 / math.sqrt(rows * share * (1.0 - share))


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
