"""How much each labelled row counts, with the meaning that scikit-learn gives to weights."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import LabelError, UsageError

Float64 = NDArray[np.float64]


def row_weights(
    classes: NDArray[Any],
    codes: NDArray[np.intp],
    class_weight: Any = None,
    sample_weight: ArrayLike | None = None,
) -> Float64 | None:
    """Return how much each row counts, as scikit-learn's estimators understand it.

    The weight of a row is its `sample_weight` times the weight of its class. A row of weight 2 is
    as good as two equal rows, one of weight 0 as good as none.

    Parameters
    ----------
    classes
        (K,) the distinct labels.
    codes
        (n,) the class of each row, as a position in `classes`.
    class_weight
        None: every class counts 1. A mapping from labels to weights: classes left out count 1; the
        text of a label stands for it, as JSON has no other keys. ``"balanced"``: each class counts
        n / (K * its rows), or the same in terms of `sample_weight` where that is given, so that all
        classes count the same in all.
    sample_weight
        (n,) numbers of at least 0, not all 0, or one number for every row.

    Returns
    -------
    ndarray or None
        (n,) float64; None if nothing was asked for, so that every row counts 1.

    Raises
    ------
    LabelError
        If `sample_weight` is not one finite number of at least 0 for each row, or nothing is left.
    UsageError
        If `class_weight` is neither of the above; if one of its weights is negative or not finite;
        or if it names a class that no row has while a class that some row has is left out: one of
        the two is likely misspelt.

    Examples
    --------
    >>> classes, codes = np.array(["hat", "shoe"]), np.array([0, 0, 0, 1])
    >>> row_weights(classes, codes, "balanced").round(2).tolist()
    [0.67, 0.67, 0.67, 2.0]
    >>> row_weights(classes, codes, {"shoe": 5}, [1, 2, 3, 4]).tolist()
    [1.0, 2.0, 3.0, 20.0]
    >>> row_weights(classes, codes) is None
    True
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
    """Return the (K,) logarithms of the weights of classes that do not depend on their rows.

    They are zeros for None and for ``"balanced"``: heads that ask do not look at how many rows a
    class has, so that classes are balanced as they are.

    Examples
    --------
    >>> log_class_weights(np.array(["hat", "shoe"]), {"shoe": 2.0}).round(3).tolist()
    [0.0, 0.693]
    """
    zeros = np.zeros(len(classes))
    if class_weight is None or isinstance(class_weight, str):
        return zeros
    weights = row_weights(classes, np.arange(len(classes)), class_weight)  # (K,)
    with np.errstate(divide="ignore"):  # of a class that is not to count at all
        return zeros if weights is None else np.log(weights)


def checked_weights(sample_weight: ArrayLike, n: int) -> Float64:
    """Return `sample_weight` as (n,) float64 numbers of at least 0, not all of them 0.

    Raises
    ------
    LabelError
        If it is anything else.
    """
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


def check_class_weight(class_weight: Any) -> None:
    """Refuse what is no weighting of classes, before any label is seen.

    Raises
    ------
    UsageError
        If `class_weight` is neither None, ``"balanced"`` nor a mapping to numbers of at least 0.
    """
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
