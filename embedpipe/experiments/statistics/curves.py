"""Statistics of one learning curve: accuracy over the number of labels, for one seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..._deprecated import old_parameters
from ...active import area_under_budget_curve
from ...errors import UsageError

__all__ = ["Reached", "accuracy_at", "area", "gap_closed", "labels_to_target"]


@dataclass(frozen=True)
class Reached:
    """The number of labels to a target, or the last number of labels if the target was not reached.

    Attributes
    ----------
    labels
        Interpolated number of labels; None if the target was not reached.
    censored_at
        Last number of labels if the target was not reached; None otherwise.
    at_most
        Whether the first round already reached the target, so that fewer labels may be enough.
    """

    labels: float | None
    censored_at: int | None = None
    at_most: bool = False

    def __post_init__(self) -> None:
        if (self.labels is None) == (self.censored_at is None):
            raise UsageError(
                f"labels={self.labels!r} and censored_at={self.censored_at!r}: give exactly one of "
                "them."
            )


def area(labelled: ArrayLike, accuracy: ArrayLike) -> float:
    """Return the area under a curve divided by its width: the mean accuracy over the budget.

    The curve has strictly ascending numbers of labels and finite accuracies, both (R,) for R >= 1
    rounds.

    Examples
    --------
    >>> area([100, 200, 400], [0.5, 0.7, 0.8])  # (100 * 0.6 + 200 * 0.75) / 300
    0.7
    """
    budgets, values = checked_curve(labelled, accuracy)
    return float(area_under_budget_curve(budgets.tolist(), values.tolist()))


def accuracy_at(labelled: ArrayLike, accuracy: ArrayLike, budget: float) -> float:
    """Return the interpolated accuracy with `budget` labels; NaN outside the curve.

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
    """Return the interpolated number of labels to an accuracy, censored at the last round.

    Parameters
    ----------
    labelled, accuracy
        The curve, see `area`.
    target
        An accuracy, such as 0.85.
    sustained
        True: the curve must stay at or above the target from this number of labels to the end of
        the curve. False: the first crossing counts, as with a running maximum, which rewards noisy
        curves.

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
        above = np.flatnonzero(values >= target)
        after = int(above[0]) if above.size else len(values)
    if after == 0:
        return Reached(labels=float(budgets[0]), at_most=True)
    if after == len(values):
        return Reached(labels=None, censored_at=int(budgets[-1]))
    # values[after - 1] < target <= values[after]
    share = (target - values[after - 1]) / (values[after] - values[after - 1])
    labels = budgets[after - 1] + share * (budgets[after] - budgets[after - 1])
    return Reached(labels=round(float(labels), 9))


@old_parameters(floor="lower", bound="upper")
def gap_closed(value: float, lower: float, upper: float) -> float:
    """Return the part of the gap from the lower to the upper baseline that is closed, in percent.

    The lower baseline is random selection with the same number of labels. The upper baseline is the
    same head with all labels. Without a gap the result is NaN.

    Examples
    --------
    >>> gap_closed(0.85, lower=0.80, upper=0.90)
    50.0
    >>> gap_closed(0.85, lower=0.90, upper=0.90)
    nan
    """
    gap = upper - lower
    if not gap > 0.0:
        return float("nan")
    return round(100.0 * (value - lower) / gap, 9)


def checked_curve(
    labelled: ArrayLike, accuracy: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return budgets and accuracies as (R,) float64; raise an error if they are not a curve."""
    budgets = np.asarray(labelled, dtype=np.float64)  # (R,)
    values = np.asarray(accuracy, dtype=np.float64)  # (R,)
    if budgets.ndim != 1 or budgets.shape != values.shape or not budgets.size:
        raise UsageError(
            f"labelled has the shape {budgets.shape} and accuracy {values.shape}: give one "
            "accuracy for each number of labels, at least one."
        )
    if not np.isfinite(budgets).all() or (np.diff(budgets) <= 0).any():
        raise UsageError(
            f"labelled is {_short(budgets)}: the numbers of labels must ascend, without repetition."
        )
    if not np.isfinite(values).all():
        at = int(np.flatnonzero(~np.isfinite(values))[0])
        raise UsageError(
            f"accuracy[{at}] is {values[at]}: a curve needs a finite accuracy in every round. "
            "Leave out rounds without an accuracy."
        )
    return budgets, values


def _short(values: NDArray[Any]) -> str:
    shown = ", ".join(f"{value:g}" for value in values[:8])
    return f"[{shown}{', ...' if len(values) > 8 else ''}]"
