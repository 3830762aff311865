"""Checks of the parameters of heads, and weights of rows as in scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import LabelError, UsageError
from ._rows import Float64


def is_number(value: Any) -> bool:
    """Whether `value` is a real number, and not a truth value."""
    return isinstance(value, Real) and not isinstance(value, bool)


def check_count(name: str, value: Any, alternative: str = "") -> None:
    """Refuse what is not a whole number from 1; `alternative` is such as ``" or 'auto'"``."""
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < 1:
        raise UsageError(f"{name} must be a whole number from 1{alternative}, not {value!r}.")


def check_number(
    name: str, value: Any, low: float, high: float = float("inf"), *, above: bool = False
) -> None:
    """Refuse what is not a number from `low` to less than `high`; `above`: more than `low`."""
    fits = is_number(value) and (value > low if above else value >= low) and value < high
    if not fits:
        least = f"more than {low:g}" if above else f"at least {low:g}"
        most = "" if high == float("inf") else f" and less than {high:g}"
        raise UsageError(f"{name} must be {least}{most}, not {value!r}.")


def check_class_weight(class_weight: Any) -> None:
    """Refuse what is neither None, ``"balanced"`` nor a mapping to numbers of at least 0."""
    if class_weight is None or (isinstance(class_weight, str) and class_weight == "balanced"):
        return
    if not isinstance(class_weight, Mapping):
        raise UsageError(
            "class_weight must be None, 'balanced' or weights by label such as {'hat': 2.0}, "
            f"not {class_weight!r}."
        )
    for label, weight in class_weight.items():
        number = isinstance(weight, Real) and not isinstance(weight, bool)
        if not number or not 0.0 <= float(weight) < float("inf"):
            raise UsageError(
                f"the weight of class {label!r} is {weight!r}: give a finite number of at least 0."
            )


def row_weights(
    classes: NDArray[Any],
    codes: NDArray[np.intp],
    class_weight: Any = None,
    sample_weight: ArrayLike | None = None,
) -> Float64 | None:
    """Return the (n,) weight of each row as in scikit-learn, or None if each is 1.

    It is the `sample_weight` times the weight of the class. In a mapping, the text of a label may
    stand for it (JSON has no other keys), and classes left out count 1; but a mapping that names a
    class without rows and leaves out one with rows is refused: one of the two is likely misspelt.
    """
    weights = None if sample_weight is None else checked_weights(sample_weight, len(codes))
    if class_weight is None:
        return weights
    rows = np.ones(len(codes)) if weights is None else weights  # (n,)
    weights = rows * _by_class(classes, codes, class_weight, rows)[codes]  # (n,)
    if not weights.any():
        raise LabelError("the weight of every row is zero: there is nothing to fit on.")
    return weights


def log_class_weights(classes: NDArray[Any], class_weight: Any) -> Float64:
    """Return the (K,) logarithms of class weights for heads that are balanced by nature."""
    zeros = np.zeros(len(classes))
    if class_weight is None or isinstance(class_weight, str):
        return zeros
    weights = row_weights(classes, np.arange(len(classes)), class_weight)  # (K,)
    with np.errstate(divide="ignore"):  # of a class that is not to count at all
        return zeros if weights is None else np.log(weights)


def checked_weights(sample_weight: ArrayLike, n: int) -> Float64:
    """Return `sample_weight`, n numbers or one for all rows, as (n,) numbers from 0, not all 0."""
    try:
        weights = np.asarray(sample_weight, dtype=np.float64)
    except (TypeError, ValueError):
        raise LabelError(f"sample_weight must be {n} numbers, not {sample_weight!r}.") from None
    if weights.ndim == 0:
        weights = np.full(n, float(weights))
    if weights.ndim != 1:
        raise LabelError(
            f"sample_weight has the shape {weights.shape}: give one number for each row."
        )
    if len(weights) != n:
        raise LabelError(f"{n} rows but {len(weights)} sample weights: give one for each row.")
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0.0)))
    if len(bad):
        raise LabelError(
            f"the weight of row {bad[0]} is {weights[bad[0]]:g}: "
            "give a finite number of at least 0, and leave rows out that should not count."
        )
    if not weights.any():
        raise LabelError("the weight of every row is zero: there is nothing to fit on.")
    return weights


def _by_class(
    classes: NDArray[Any], codes: NDArray[np.intp], class_weight: Any, rows: Float64
) -> Float64:
    """Return the (K,) weights of the classes."""
    check_class_weight(class_weight)
    if isinstance(class_weight, str):
        totals = np.bincount(codes, weights=rows, minlength=len(classes))  # (K,)
        present = totals > 0.0
        balanced: Float64 = np.zeros(len(classes))
        balanced[present] = totals.sum() / (present.sum() * totals[present])
        return balanced
    labels = classes.tolist()
    given = [_given(class_weight, label) for label in labels]
    left_out = [label for label, weight in zip(labels, given, strict=True) if weight is None]
    names = {str(label) for label in labels}
    strange = [label for label in class_weight if str(label) not in names]
    if strange and left_out:
        raise UsageError(
            f"class_weight names {strange[0]!r}, which no row has as its label, and not "
            f"{left_out[0]!r}, which some have. Labels: {', '.join(map(repr, labels))}."
        )
    return np.array([1.0 if weight is None else float(weight) for weight in given])


def _given(class_weight: Mapping[Any, Any], label: Any) -> Any:
    """Return the weight of a label, or None; keys read from JSON are texts."""
    return class_weight[label] if label in class_weight else class_weight.get(str(label))
