"""Advice on stopping, from the labelled rows and the head, without the test rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .records import RoundRecord

__all__ = ["Evidence", "StoppingMonitor", "advise", "wilson"]

NEXT_LABELS = 100
"""Number of additional labels whose gain the advice states."""

MIN_GAIN = 1.0
"""Minimum useful gain of `NEXT_LABELS` labels, in points of accuracy. The advice is to stop soon if
the expected gain is lower, and to stop if even the upper end of the gain is lower."""

MADE_RIGHT = (0.05, 0.3, 0.6)
"""Net share of changed predictions that become right: lower end, mean and upper end, as measured in
``docs/explanation/stopping-advice.md``."""

STEP_POWER = 0.7
"""Exponent of the added labels: the share of changed predictions grows as
``added ** STEP_POWER``."""

FALL, FALL_SPREAD = -1.4, 0.5
"""Prior mean and standard deviation of an exponent: the share of changed predictions falls as
``labels ** FALL``."""

NOISE = 0.35
"""Standard deviation, around the power law, of the logarithm of the share of changed
predictions."""

MIN_CHANGE = 0.0005
"""Minimum measurable share of changed predictions: 1 of 2,000."""

GROUP = 0.1
"""Minimum share of the labels that a group of consecutive rounds adds."""

Z = 1.959963984540054
"""Half width of a 95 % interval in standard deviations."""


@dataclass(frozen=True)
class Evidence:
    """The evidence of a round for the advice on stopping; the test rows are not used.

    Attributes
    ----------
    labelled
        Number of labels.
    cv_accuracy
        Cross-validated accuracy on the labelled rows; None if unknown.
    cv_n
        Number of labelled rows that `cv_accuracy` was measured on.
    agreement
        Share of a fixed sample of candidates whose predicted class is the same as in the previous
        round; None in the first round.
    """

    labelled: int
    cv_accuracy: float | None
    cv_n: int
    agreement: float | None


class _Change(NamedTuple):
    """The share of predictions that a round changed."""

    middle: float  # mean of the numbers of labels before and after
    step: float  # number of added labels
    share: float


class _Gain(NamedTuple):
    """The gain of the next labels in points of accuracy."""

    low: float
    expected: float
    high: float


def advise(history: Sequence[Evidence]) -> dict[str, Any]:
    """Return the advice on stopping after the last round of `history`, as plain JSON.

    See ``docs/how-to/decide-when-to-stop.md``.
    """
    # Accuracy cannot rise by more than the share of changed predictions, which falls as a power of
    # the number of labels (Viering, Loog 2021; Bloodgood, Vijay-Shanker 2009). The fitted power law
    # is extrapolated. The cross-validated accuracy is not extrapolated, because it can fall when
    # the selected items get harder.
    last = history[-1] if history else Evidence(0, None, 0, None)
    low, high = wilson(last.cv_accuracy, last.cv_n)
    changes = _changes(history)
    known = last.labelled > 0 and any(change.share for change in changes)
    gain = _gain(changes, last.labelled) if known else None
    advice, reason = _decide(gain, changes, last.labelled)
    return {
        "cv_accuracy": last.cv_accuracy,
        "cv_low": low,
        "cv_high": high,
        "agreement": last.agreement,
        "next_labels": NEXT_LABELS,
        "expected_gain": None if gain is None else gain.expected,
        "gain_low": None if gain is None else gain.low,
        "gain_high": None if gain is None else gain.high,
        "advice": advice,
        "reason": reason,
    }


def _decide(gain: _Gain | None, changes: Sequence[_Change], labelled: int) -> tuple[str, str]:
    if not labelled:
        return "unknown", "There are no labels yet."
    if not changes:
        return "unknown", "The expected gain is known after two trainings."
    if gain is None:
        return "unknown", (
            "No prediction has changed since the first round. Check that the labels have several "
            "classes."
        )
    adds = (
        f"{NEXT_LABELS} more labels should add about {gain.expected:.1f} points of accuracy "
        f"({gain.low:.1f} to {gain.high:.1f})."
    )
    if gain.expected >= MIN_GAIN:
        return "continue", adds
    if gain.high >= MIN_GAIN or len(changes) == 1:  # one round alone can be a coincidence
        return "stop soon", f"{adds} Continue only if every point counts."
    kept = 100 * (1 - changes[-1].share)
    return "stop", f"{adds} The last round left {kept:.1f} % of the predictions unchanged."


def _changes(history: Sequence[Evidence]) -> list[_Change]:
    """Return the change of each round after the first; only rounds that added labels count."""
    changes = []
    before = history[0].labelled if history else 0  # number of labels before the round
    for round_ in history[1:]:
        step = round_.labelled - before
        if step > 0 and round_.agreement is not None:
            changes.append(_Change(before + step / 2, step, 1 - round_.agreement))
        before = max(before, round_.labelled)
    return changes


def _gain(changes: Sequence[_Change], labelled: int) -> _Gain:
    """Return the expected gain of the next labels, with its lower and upper end."""
    centre, spread = _extrapolated(_grouped(changes, labelled), labelled)
    low, expected, high = MADE_RIGHT
    factor = math.exp(spread / 2)
    shares = (low * centre / factor, expected * centre, high * centre * factor)
    return _Gain(*(round(100 * min(share, 1.0), 4) for share in shares))


def _extrapolated(changes: Sequence[_Change], labelled: int) -> tuple[float, float]:
    """Return the share of predictions that the next labels change, and its logarithm's error."""
    # Bayesian linear regression of log(share) = level + fall * log(middle), with a prior for the
    # fall and lower weights for older rounds.
    ahead = math.log(labelled + NEXT_LABELS / 2)
    x = np.array([math.log(change.middle) - ahead for change in changes])  # (k,)
    y = np.array(
        [
            math.log(max(change.share, MIN_CHANGE))
            + STEP_POWER * math.log(NEXT_LABELS / change.step)
            for change in changes
        ]
    )  # (k,)
    weights = (np.exp(x) / NOISE) ** 2
    rows = np.column_stack([np.ones_like(x), x])  # (k, 2)
    prior = np.array([0.0, FALL_SPREAD**-2])
    precision = (rows * weights[:, None]).T @ rows + np.diag(prior)
    covariance = np.linalg.inv(precision)  # (2, 2)
    level = covariance[0] @ ((rows * weights[:, None]).T @ y + prior * FALL)
    return min(1.0, math.exp(float(level))), math.sqrt(float(covariance[0, 0]))


def _grouped(changes: Sequence[_Change], labelled: int) -> list[_Change]:
    """Merge consecutive rounds, newest first, into groups that add at least a tenth of the labels.

    The group of the oldest rounds may add less.
    """
    merged: list[_Change] = []
    group: list[_Change] = []
    for change in reversed(changes):
        group.append(change)
        if sum(each.step for each in group) >= GROUP * labelled:
            merged.append(_mean(group))
            group = []
    return [*merged, _mean(group)] if group else merged


def _mean(group: Sequence[_Change]) -> _Change:
    newest, oldest = group[0], group[-1]
    middle = (newest.middle + newest.step / 2 + oldest.middle - oldest.step / 2) / 2
    step = sum(each.step for each in group) / len(group)
    return _Change(middle, step, sum(each.share for each in group) / len(group))


def wilson(accuracy: float | None, n: int) -> tuple[float | None, float | None]:
    """Return Wilson's 95 % interval of a share of n rows."""
    if accuracy is None or n < 1:
        return None, None
    centre = (accuracy + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z * math.sqrt(accuracy * (1 - accuracy) / n + Z**2 / (4 * n**2)) / (1 + Z**2 / n)
    return round(max(0.0, centre - half), 12), round(min(1.0, centre + half), 12)


class StoppingMonitor:
    """Collects the evidence of each round for the advice on stopping."""

    def __init__(self) -> None:
        self.before: NDArray[Any] | None = None  # (s,) predicted classes after the last round

    def advise(
        self,
        predicted: NDArray[Any] | None,
        cross_validated: tuple[float | None, int],
        labelled: int,
        records: Sequence[RoundRecord],
    ) -> dict[str, Any]:
        """Return the advice after a round.

        `predicted` are the (s,) predicted classes of the same candidates in every round; None
        without a head. `cross_validated` is the cross-validated accuracy and its number of rows.
        """
        agreement = None
        if predicted is not None and labelled > (records[-1].labelled if records else 0):
            if self.before is not None:
                agreement = float(np.mean(self.before == predicted))
            self.before = predicted
        history = [
            Evidence(
                record.labelled,
                record.advice["cv_accuracy"],
                record.advice["cv_n"],
                record.advice["agreement"],
            )
            for record in records
        ]
        accuracy, n = cross_validated
        return {**advise([*history, Evidence(labelled, accuracy, n, agreement)]), "cv_n": n}
