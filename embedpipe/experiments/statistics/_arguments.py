"""What is refused before anything is worked out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import UsageError

DECIMALS = 12
"""Differences are rounded to this: 0.8 - 0.7 and 0.7 - 0.6 are the same difference."""


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


def checked_sample(values: ArrayLike, name: str = "values") -> NDArray[np.float64]:
    """Return the values that are known, (S,) float64: NaN is left out, infinity refused."""
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1:
        raise UsageError(
            f"{name} has the shape {sample.shape}: give one number for each seed, shape (S,)."
        )
    if np.isinf(sample).any():
        at = int(np.flatnonzero(np.isinf(sample))[0])
        raise UsageError(f"{name}[{at}] is infinite: leave it out, or give NaN.")
    known: NDArray[np.float64] = sample[~np.isnan(sample)]
    return known


def checked_share(value: float, name: str) -> float:
    """Return a number strictly between 0 and 1."""
    if not 0.0 < value < 1.0:
        raise UsageError(f"{name} is {value!r}: give a number between 0 and 1, such as 0.95.")
    return float(value)


def _short(values: NDArray[Any]) -> str:
    shown = ", ".join(f"{value:g}" for value in values[:8])
    return f"[{shown}{', ...' if len(values) > 8 else ''}]"
