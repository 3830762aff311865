"""How good a head is on the test rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._loops.fitting import probabilities_of
from ..heads import expected_calibration_error

__all__ = ["Evaluator", "Scores"]


@dataclass(frozen=True)
class Scores:
    """Figures on the test rows, each from 0 to 1; None where there is nothing to tell from.

    Attributes
    ----------
    accuracy
        The share of rows whose most probable class is theirs.
    macro_f1
        The mean F1 score of the classes that the test rows have.
    balanced_accuracy
        The mean recall of these classes.
    ece
        Expected calibration error, in 15 bins of equal width.
    """

    accuracy: float | None = None
    macro_f1: float | None = None
    balanced_accuracy: float | None = None
    ece: float | None = None


class Evaluator:
    """Scores heads on the same (t,) test rows, with one pass over them for each head."""

    def __init__(
        self, matrix: NDArray[np.float32], rows: NDArray[np.int64], labels: NDArray[Any]
    ) -> None:
        self._matrix, self._rows = matrix, rows
        self._classes, self._truth = np.unique(labels, return_inverse=True)  # (K,), (t,)

    def scores(self, head: Any) -> Scores:
        """Return the figures of a fitted head; none for no head, or without test rows."""
        if head is None or not self._rows.size:
            return Scores()
        probabilities = probabilities_of(head, self._matrix, self._rows)  # (t, C)
        column_of, class_of = self._matched(np.asarray(head.classes_))  # (K,), (C,)
        predicted = class_of[probabilities.argmax(axis=1)]  # (t,), -1: a class without test rows
        k = self._classes.size
        right = np.bincount(self._truth[predicted == self._truth], minlength=k)  # (K,)
        there = np.bincount(self._truth, minlength=k)  # (K,), at least 1 each
        said = np.bincount(predicted[predicted >= 0], minlength=k)  # (K,)
        return Scores(
            accuracy=float(right.sum() / self._rows.size),
            macro_f1=float((2 * right / (there + said)).mean()),
            balanced_accuracy=float((right / there).mean()),
            ece=expected_calibration_error(probabilities, column_of[self._truth]),
        )

    def _matched(self, classes: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the head's column of each of our classes and our class of each column; or -1."""
        own = {label: at for at, label in enumerate(self._classes.tolist())}
        column_of = np.full(self._classes.size, -1, dtype=np.int64)
        class_of = np.full(classes.size, -1, dtype=np.int64)
        for column, label in enumerate(classes.tolist()):
            if label in own:
                column_of[own[label]], class_of[column] = column, own[label]
        return column_of, class_of
