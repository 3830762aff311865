"""Labels as plain arrays: what the labeller said, and what it left open."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import LabelError

__all__ = ["answered", "plain_labels"]


def plain_labels(given: ArrayLike, what: str) -> NDArray[Any]:
    """Return labels as an array of texts or numbers, which can be sorted and written down.

    Parameters
    ----------
    given
        (n,) labels of any dtype; texts in bytes are read as UTF-8.
    what
        What an error calls them.

    Raises
    ------
    LabelError
        If they are not one text or number for each row.

    Examples
    --------
    >>> plain_labels(np.array(["hat", "shoe"], dtype=object), "y").dtype.kind
    'U'
    """
    # NumPy would turn the numbers of a mixed list into texts, and say nothing.
    labels = np.array(given, dtype=object) if isinstance(given, list) else np.asarray(given)
    if labels.ndim != 1:
        one_hot = labels.ndim == 2 and labels.shape[1] > 1
        hint = "of one-hot rows take `.argmax(axis=1)`" if one_hot else "`.ravel()` may do it"
        raise LabelError(f"{what} has shape {labels.shape}: give one label for each row; {hint}.")
    if labels.dtype == object:
        missing = [row for row, label in enumerate(labels) if label is None]
        if missing:
            raise LabelError(f"row {missing[0]} of {what} has no label: leave such rows out.")
        kinds = {type(label) for label in labels}
        labels = np.array(labels.tolist())
        if labels.dtype.kind == "U" and not all(issubclass(kind, str) for kind in kinds):
            names = ", ".join(sorted(kind.__name__ for kind in kinds))
            raise LabelError(f"{what} mixes {names}: give all labels as texts, or all as numbers.")
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8")
    kind = labels.dtype.kind
    if kind not in "Ubiuf":
        raise LabelError(f"{what} has dtype {labels.dtype}: labels are texts or numbers.")
    if kind == "f" and not np.isfinite(labels).all():
        row = int(np.flatnonzero(~np.isfinite(labels))[0])
        raise LabelError(f"row {row} of {what} has no label: leave such rows out.")
    # As they come back from a file, so that a run that was read is the one that was written.
    return labels.astype({"i": np.int64, "u": np.int64, "f": np.float64}.get(kind, labels.dtype))


def answered(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which of (n,) answers are labels: (n,).

    Examples
    --------
    >>> answered(np.array(["hat", None], dtype=object)).tolist()
    [True, False]
    """
    if labels.dtype != object:
        return np.ones(labels.size, dtype=np.bool_)
    return np.array([label is not None for label in labels], dtype=np.bool_)
