"""What one curve says: accuracy over the number of labels, for one seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...active import area_under_budget_curve
from ...errors import UsageError

__all__ = ["Reached", "accuracy_at", "area", "gap_closed", "labels_to_target"]


@dataclass(frozen=True)
class Reached:
    """How many labels a curve took to reach a target, or how many it had without reaching it.

    Attributes
    ----------
    labels
        The number of labels, interpolated; None if the target was not reached.
    censored_at
        If it was not reached, the last number of labels that was tried: it takes more than that.
    at_most
        True if the first round was there already, so that fewer labels may have done.

    Raises
    ------
    UsageError
        Unless exactly one of `labels` and `censored_at` is given.
    """

    labels: float | None
    censored_at: int | None = None
    at_most: bool = False

    def __post_init__(self) -> None:
        if (self.labels is None) == (self.censored_at is None):
            raise UsageError(
                f"labels={self.labels!r} and censored_at={self.censored_at!r}: a target was either "
                "reached with so many labels, or not reached with so many; give one of the two."
            )


def area(labelled: ArrayLike, accuracy: ArrayLike) -> float:
    """Return the mean accuracy over the budget: the area under the curve by its width.

    Parameters
    ----------
    labelled
        (R,) numbers of labels, ascending.
    accuracy
        (R,) the accuracy at each.

    Raises
    ------
    UsageError
        If it is no curve: nothing, unequal lengths, budgets that do not ascend, NaN.

    Examples
    --------
    >>> area([100, 200, 400], [0.5, 0.7, 0.8])  # (100 * 0.6 + 200 * 0.75) / 300
    0.7
    """
    budgets, values = checked_curve(labelled, accuracy)
    return float(area_under_budget_curve(budgets.tolist(), values.tolist()))


def accuracy_at(labelled: ArrayLike, accuracy: ArrayLike, budget: float) -> float:
    """Return the accuracy with `budget` labels, on the straight line between two rounds.

    Parameters
    ----------
    labelled, accuracy
        (R,) each, as for `area`.
    budget
        A number of labels.

    Returns
    -------
    float
        NaN before the first and after the last round: nothing is extrapolated. It is the
        accuracy of the head there, not the best so far.

    Raises
    ------
    UsageError
        If it is no curve.

    Examples
    --------
    >>> accuracy_at([100, 200, 400], [0.5, 0.7, 0.6], 300)
    0.65
    >>> accuracy_at([100, 200, 400], [0.5, 0.7, 0.6], 401)
    nan
    """
    budgets, values = checked_curve(labelled, accuracy)
    return round(float(np.interp(budget, budgets, values, left=np.nan, right=np.nan)), 12)


def labels_to_target(
    labelled: ArrayLike, accuracy: ArrayLike, target: float, *, sustained: bool = True
) -> Reached:
    """Return how many labels the curve takes to reach an accuracy.

    Between two rounds the curve is a straight line.

    Parameters
    ----------
    labelled, accuracy
        (R,) each, as for `area`.
    target
        An accuracy, such as 0.85, or a share of the accuracy with all labels.
    sustained
        What a dip means. True: a curve that falls below the target again has not reached it yet;
        what counts is the last time it comes up, and a curve that ends below is censored at its
        end. False: the first time it comes up counts, whatever follows. That is the smaller
        number, it rewards a curve that jumps about, and it is what a running maximum would give.

    Returns
    -------
    Reached
        Censored at the last round if the target was not reached.

    Raises
    ------
    UsageError
        If it is no curve, or the target is NaN.

    Examples
    --------
    >>> labels_to_target([50, 100, 150, 200], [0.6, 0.8, 0.7, 0.9], 0.75).labels
    162.5
    >>> labels_to_target([50, 100, 150, 200], [0.6, 0.8, 0.7, 0.9], 0.75, sustained=False).labels
    87.5
    >>> labels_to_target([50, 100, 150], [0.6, 0.8, 0.7], 0.75)
    Reached(labels=None, censored_at=150, at_most=False)
    """
    budgets, values = checked_curve(labelled, accuracy)
    if np.isnan(target):
        raise UsageError("the target is nan: give an accuracy, such as 0.85.")
    below = np.flatnonzero(values < target)
    if not below.size:
        return Reached(labels=float(budgets[0]), at_most=True)
    if sustained:
        after = int(below[-1]) + 1
    else:
        there = np.flatnonzero(values >= target)
        after = int(there[0]) if there.size else len(values)
    if after == 0:
        return Reached(labels=float(budgets[0]), at_most=True)
    if after == len(values):
        return Reached(labels=None, censored_at=int(budgets[-1]))
    # values[after - 1] < target <= values[after]
    share = (target - values[after - 1]) / (values[after] - values[after - 1])
    labels = budgets[after - 1] + share * (budgets[after] - budgets[after - 1])
    return Reached(labels=round(float(labels), 9))


def gap_closed(value: float, floor: float, bound: float) -> float:
    """Return how much of the way from the floor to the upper bound was made, in percent.

    Parameters
    ----------
    value
        What was reached, such as the accuracy of a strategy with 300 labels.
    floor
        What random choice reaches with as many labels.
    bound
        What the same head reaches with every label, fitted until it has converged.

    Returns
    -------
    float
        0 at the floor, 100 at the bound; negative below the floor, above 100 beyond the bound.
        NaN if the bound is not above the floor: there is no gap to close.

    Examples
    --------
    >>> gap_closed(0.85, floor=0.80, bound=0.90)
    50.0
    >>> gap_closed(0.85, floor=0.90, bound=0.90)
    nan
    """
    gap = bound - floor
    if not gap > 0.0:
        return float("nan")
    return round(100.0 * (value - floor) / gap, 9)


def checked_curve(
    labelled: ArrayLike, accuracy: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return budgets and accuracies, both (R,) float64, R >= 1, budgets strictly ascending."""
    budgets = np.asarray(labelled, dtype=np.float64)  # (R,)
    values = np.asarray(accuracy, dtype=np.float64)  # (R,)
    if budgets.ndim != 1 or budgets.shape != values.shape or not budgets.size:
        raise UsageError(
            f"labelled has the shape {budgets.shape} and accuracy {values.shape}: give one "
            "accuracy for each number of labels, at least one."
        )
    if not np.isfinite(budgets).all() or (np.diff(budgets) <= 0).any():
        raise UsageError(
            f"labelled is {_short(budgets)}: the numbers of labels must ascend, each once."
        )
    if not np.isfinite(values).all():
        at = int(np.flatnonzero(~np.isfinite(values))[0])
        raise UsageError(
            f"accuracy[{at}] is {values[at]}: a curve needs a number for every round. Leave out "
            "rounds that were not judged."
        )
    return budgets, values


def _short(values: NDArray[Any]) -> str:
    shown = ", ".join(f"{value:g}" for value in values[:8])
    return f"[{shown}{', ...' if len(values) > 8 else ''}]"
