"""Whether more labels are worth their cost, from the labelled rows and the head alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._loops.arrays import uniform_of_rows
from .._loops.fitting import Batch, Trainer, joined
from ..index.vectors import take_rows
from .modes import Mode
from .records import RoundRecord

__all__ = ["Evidence", "StoppingMonitor", "advise", "wilson"]

NEXT_LABELS = 100
"""How many more labels the advice is about."""

WORTH_IT = 1.0
"""Accuracy points that so many labels should buy: less is expected, stop soon; at most, stop."""

MADE_RIGHT = (0.05, 0.3, 0.6)
"""Of the predictions that more labels change, the share that becomes right, less the share that
becomes wrong: seldom less, on average, seldom more. Measured, see
``docs/explanation/stopping-advice.md``."""

STEP_POWER = 0.7
"""Changes grow with this power of the number of labels added: some are taken back."""

FALL, FALL_SPREAD = -1.4, 0.5
"""Changes fall with this power of the number of labels, give or take, before any is seen."""

NOISE = 0.35
"""Standard deviation of the logarithm of the changes around that law."""

LEAST_CHANGE = 0.0005
"""Fewer changes than this share cannot be told from none: 1 of 2,000 rows."""

GROUP = 0.1
"""Rounds are taken together until they add this share of the labels, for very small batches."""

Z = 1.959963984540054
"""Standard deviations on each side of a 95 % interval."""

WATCHED = 2000
"""Candidates whose predictions are followed from round to round."""


@dataclass(frozen=True)
class Evidence:
    """What a round shows without a look at the test rows.

    Attributes
    ----------
    labelled
        How many labels there are.
    cv_accuracy
        Accuracy on the labelled rows by cross-validation; None if it cannot be told.
    cv_n
        How many rows that was scored on.
    agreement
        Share of a fixed sample of candidates whose predicted class is that of the round before;
        None in the first round.
    """

    labelled: int
    cv_accuracy: float | None
    cv_n: int
    agreement: float | None


class _Change(NamedTuple):
    """How many predictions a step of so many labels changed."""

    middle: float  # labels half way
    step: float  # labels a round
    share: float


class _Gain(NamedTuple):
    """Accuracy points that the next labels buy."""

    low: float
    expected: float
    high: float


def advise(history: Sequence[Evidence]) -> dict[str, Any]:
    """Return the advice after the last of these rounds, as plain JSON.

    See ``docs/how-to/decide-when-to-stop.md``.
    """
    # Accuracy cannot rise by more than the share of predictions that change. That share falls as a
    # power of the number of labels (Viering, Loog 2021); the fall is fitted to the rounds so far
    # (Bloodgood, Vijay-Shanker 2009) and extrapolated over the next labels. The cross-validated
    # curve is not extrapolated: chosen labels get harder, so it may fall while the head improves.
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
        return "unknown", "there are no labels yet."
    if not changes:
        return "unknown", "it takes two rounds to see what more labels change."
    if gain is None:
        return "unknown", (
            "no prediction has changed since the first round: there may be labels of one class "
            "only."
        )
    buys = (
        f"the next {NEXT_LABELS} labels are expected to buy about {gain.expected:.1f} points of "
        f"accuracy ({gain.low:.1f} to {gain.high:.1f})"
    )
    if gain.expected >= WORTH_IT:
        return "continue", f"{buys}."
    if gain.high >= WORTH_IT or len(changes) == 1:  # one quiet round may be chance
        return "stop soon", f"{buys}: worth it only if every point counts."
    kept = 100 * (1 - changes[-1].share)
    return "stop", f"{buys}: {kept:.1f} % of the predictions stayed as they were in the last round."


def _changes(history: Sequence[Evidence]) -> list[_Change]:
    """Return how much each round changed; rounds that added no label are passed over."""
    found = []
    before = history[0].labelled if history else 0
    for round_ in history[1:]:
        step = round_.labelled - before
        if step > 0 and round_.agreement is not None:
            found.append(_Change(before + step / 2, step, 1 - round_.agreement))
        before = max(before, round_.labelled)
    return found


def _gain(changes: Sequence[_Change], labelled: int) -> _Gain:
    """Return what the next labels buy."""
    centre, spread = _extrapolated(_grouped(changes, labelled), labelled)
    low, expected, high = MADE_RIGHT
    off = math.exp(spread / 2)
    shares = (low * centre / off, expected * centre, high * centre * off)
    return _Gain(*(round(100 * min(share, 1.0), 4) for share in shares))


def _extrapolated(changes: Sequence[_Change], labelled: int) -> tuple[float, float]:
    """Return the share of predictions that the next labels change, and the error of its log."""
    # log(share) = level + fall * log(labels half way): a Bayesian straight line with a prior for
    # the fall; older rounds count for less.
    ahead = math.log(labelled + NEXT_LABELS / 2)
    x = np.array([math.log(change.middle) - ahead for change in changes])  # (k,)
    y = np.array(
        [
            math.log(max(change.share, LEAST_CHANGE))
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
    """Take rounds together, newest first, until they add a tenth of the labels."""
    found: list[_Change] = []
    group: list[_Change] = []
    for change in reversed(changes):
        group.append(change)
        if sum(each.step for each in group) >= GROUP * labelled:
            found.append(_mean(group))
            group = []
    return [*found, _mean(group)] if group else found


def _mean(group: Sequence[_Change]) -> _Change:
    newest, oldest = group[0], group[-1]
    middle = (newest.middle + newest.step / 2 + oldest.middle - oldest.step / 2) / 2
    step = sum(each.step for each in group) / len(group)
    return _Change(middle, step, sum(each.share for each in group) / len(group))


def wilson(accuracy: float | None, n: int) -> tuple[float | None, float | None]:
    """Return the 95 % interval of a share that was seen in n rows."""
    if accuracy is None or n < 1:
        return None, None
    centre = (accuracy + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z * math.sqrt(accuracy * (1 - accuracy) / n + Z**2 / (4 * n**2)) / (1 + Z**2 / n)
    return round(max(0.0, centre - half), 12), round(min(1.0, centre + half), 12)


class StoppingMonitor:
    """Gathers the evidence of each round on whether more labels would help: never the test rows.

    Notes
    -----
    4·d bytes for each of the 2,000 candidates that are watched, unless they are consecutive.
    """

    def __init__(self, trainer: Trainer, mode: Mode, advice: str) -> None:
        self._trainer, self._mode, self._thorough = trainer, mode, advice == "full"
        self._before: NDArray[Any] | None = None  # (w,)

    @cached_property
    def _vectors(self) -> NDArray[np.float32]:
        """The (w, d) vectors of the candidates that are watched: the same in every round."""
        rows = self._trainer.candidates
        if rows.size > WATCHED:
            keys = uniform_of_rows(rows, self._trainer.seed, "watched")
            rows = rows[np.sort(np.argsort(keys, kind="stable")[:WATCHED])]
        return take_rows(self._trainer.matrix, rows)

    def look(self, head: Any) -> None:
        """Remember what the head of the last round says, before it learns more."""
        if self._before is None and head is not None:
            self._before = self._said_by(head)

    def advise(
        self, head: Any, batches: Sequence[Batch], records: Sequence[RoundRecord]
    ) -> dict[str, Any]:
        """Return the advice after a round."""
        labelled = sum(batch.rows.size for batch in batches)
        learned = labelled > (records[-1].labelled if records else 0)
        cv_accuracy, cv_n = self._judged(head, batches)
        now = Evidence(labelled, cv_accuracy, cv_n, self._agreement(head) if learned else None)
        before = [
            Evidence(
                record.labelled,
                record.advice["cv_accuracy"],
                record.advice["cv_n"],
                record.advice["agreement"],
            )
            for record in records
        ]
        return {**advise([*before, now]), "cv_n": cv_n}

    def _agreement(self, head: Any) -> float | None:
        """Return the share of watched candidates that are predicted as they were before."""
        before, self._before = self._before, self._said_by(head)
        return None if before is None else float(np.mean(before == self._before))

    def _said_by(self, head: Any) -> NDArray[Any]:
        best = np.asarray(head.predict_proba(self._vectors)).argmax(axis=1)
        return np.asarray(np.asarray(head.classes_)[best])

    def _judged(self, head: Any, batches: Sequence[Batch]) -> tuple[float | None, int]:
        """Return the head's cross-validated accuracy, and on how many labelled rows."""
        if head is None:
            return None, 0
        thorough = self._thorough and self._mode.from_all
        return self._trainer.cv_accuracy(head, joined(batches), refit=thorough)
