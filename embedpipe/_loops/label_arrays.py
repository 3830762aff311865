"""Labels as plain arrays: texts or numbers, and which rows have one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import LabelError
from ..index.vectors import first_non_finite
from ..tables import label_array, missing

__all__ = ["check_finite", "is_labelled", "known_labels", "plain_labels"]


def check_finite(
    matrix: NDArray[np.float32], rows: NDArray[np.int64], name: str, *, first: int = 0
) -> None:
    """Refuse rows with NaN or infinity; errors count rows from `first` of the array `name`."""
    bad = first_non_finite(matrix, rows)
    if bad is not None:
        raise LabelError(
            f"row {bad - first} of {name} holds NaN or infinity in float32: leave it out, or "
            "fill in what is missing."
        )


def plain_labels(given: ArrayLike, what: str) -> NDArray[Any]:
    """Return (n,) labels as texts or numbers, which can be sorted; each row must have one."""
    known, labels = known_labels(given, what)
    if not known.all():
        row = int(np.flatnonzero(~known)[0])
        raise LabelError(f"row {row} of {what} has no label: leave such rows out.")
    return labels


def known_labels(given: ArrayLike, what: str) -> tuple[NDArray[np.bool_], NDArray[Any]]:
    """Return which of (n,) rows have a label, and the (m,) labels of these, texts or numbers."""
    try:
        labels = label_array(given)
    except ValueError as error:
        raise LabelError(f"{what} {error}.") from None
    if labels.ndim != 1:
        one_hot = labels.ndim == 2 and labels.shape[1] > 1
        hint = "of one-hot rows take `.argmax(axis=1)`" if one_hot else "`.ravel()` may do it"
        raise LabelError(f"{what} has shape {labels.shape}: give one label for each row; {hint}.")
    known = ~missing(labels)  # (n,)
    labels = labels[known]  # (m,)
    if labels.dtype == object:
        labels = np.array(labels.tolist())
    if labels.dtype.kind == "S":
        labels = np.char.strip(np.char.decode(labels, "utf-8"))
    kind = labels.dtype.kind
    if kind not in "Ubiuf":
        raise LabelError(f"{what} has dtype {labels.dtype}: labels are texts or numbers.")
    if kind == "f" and not np.isfinite(labels).all():
        row = int(np.flatnonzero(known)[~np.isfinite(labels)][0])
        raise LabelError(f"row {row} of {what} is infinite: labels are texts or finite numbers.")
    # As they come back from a file, so that a run that was read is the one that was written.
    types = {"i": np.int64, "u": np.int64, "f": np.float64}
    return known, labels.astype(types.get(kind, labels.dtype))


def is_labelled(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which of (n,) answers are labels, not None, NaN or blank: (n,)."""
    return ~missing(labels)
