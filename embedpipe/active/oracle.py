"""Who answers when the loop asks for a label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import LabelError

__all__ = ["Oracle", "SimulatedOracle"]


class Oracle(Protocol):
    """Whoever labels: a person, or a dataset's own labels."""

    def label(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return the labels of rows of the matrix, (k,), in the order asked for."""


class SimulatedOracle:
    """Answers with labels that are known already, for experiments and tests.

    The loop cannot see them: it has to ask, and what it asked for is counted.

    Parameters
    ----------
    labels
        One label for each row of the matrix; None where there is none.

    Attributes
    ----------
    asked
        How many labels were given out.

    Examples
    --------
    >>> import numpy as np
    >>> oracle = SimulatedOracle(["hat", None, "shoe"])
    >>> oracle.label(np.array([2, 0])).tolist(), oracle.asked
    (['shoe', 'hat'], 2)
    """

    def __init__(self, labels: Sequence[Any] | NDArray[Any]) -> None:
        self._labels = list(labels)
        self.asked = 0

    def label(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return the labels of `rows`.

        Raises
        ------
        LabelError
            If one of them has none.
        """
        answers = self.every_label(rows)
        self.asked += len(answers)
        return answers

    def every_label(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return the labels of `rows` without counting: for upper bounds, not for a loop."""
        answers = [self._labels[row] for row in rows]
        if None in answers:
            row = int(rows[answers.index(None)])
            raise LabelError(
                f"row {row} has no label to answer with: leave it out of the candidates."
            )
        return np.array(answers)
