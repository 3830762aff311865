"""What a round leaves behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["RoundRecord", "area_under_budget_curve"]


@dataclass(frozen=True)
class RoundRecord:
    """One round: what was picked, and how good the head is now.

    Attributes
    ----------
    round
        0 for the initial selection.
    labelled
        How many labels there are now; what the labeller abstained from is not counted.
    accuracy, macro_f1
        On the test rows, which are used for nothing else; None if there are none, or no label
        yet to fit a head to.
    select_seconds, fit_seconds
        How long choosing and fitting took, including the choice of the head's regularisation.
    strategy
        Which one picked.
    rows
        The picks: (n,) int64 rows of the matrix, in order of choice.
    scores
        Their scores: (n,) float32.
    labels
        What the oracle said: (n,); None where it abstained.
    head
        What the head chose for itself, such as its regularisation.
    diagnostics
        What the strategy reported of the whole batch, as numbers and text; of a curve its last
        value, such as the covering radius.
    balanced_accuracy
        The mean recall of the classes of the test rows.
    ece
        Expected calibration error on the test rows, in 15 bins of equal width: by how much the
        head's confidence differs from its accuracy.
    cost
        What all questions so far cost, answered or not; 1 a question unless the loop's
        `Labelling` says otherwise.
    advice
        Whether to go on labelling, told from the labelled rows and the head alone; see
        ``docs/loops.md``.
    """

    round: int
    labelled: int
    accuracy: float | None
    macro_f1: float | None
    select_seconds: float
    fit_seconds: float
    strategy: str
    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    labels: NDArray[Any]
    head: dict[str, Any]
    diagnostics: dict[str, Any]
    balanced_accuracy: float | None = None
    ece: float | None = None
    cost: float = 0.0
    advice: dict[str, Any] = field(default_factory=dict)

    @property
    def loss(self) -> float | None:
        """The head's training loss, for the heads that minimise one; see the head's ``loss_``."""
        loss = self.head.get("loss")
        return None if loss is None else float(loss)

    def __str__(self) -> str:
        quality = "no test split"
        if self.accuracy is not None and self.macro_f1 is not None:
            quality = f"accuracy {self.accuracy:.4f}   macro-F1 {self.macro_f1:.4f}"
        return (
            f"round {self.round:>3}   {self.labelled:>6} labels   {quality}   "
            f"{self.strategy} {self.select_seconds:.2f} s, fit {self.fit_seconds:.2f} s"
        )

    def summary(self) -> dict[str, Any]:
        """Return what the command line prints of a round."""
        return {
            "round": self.round,
            "labelled": self.labelled,
            "accuracy": self.accuracy,
            "macro_f1": self.macro_f1,
            "select_seconds": round(self.select_seconds, 4),
            "fit_seconds": round(self.fit_seconds, 4),
            "balanced_accuracy": self.balanced_accuracy,
            "ece": self.ece,
            "cost": self.cost,
            "loss": self.loss,
            "advice": self.advice,
        }


def area_under_budget_curve(labelled: Sequence[int], accuracy: Sequence[float]) -> float:
    """Return the mean accuracy over the labelling budget: the area under the curve by its width.

    Parameters
    ----------
    labelled
        Numbers of labels, ascending.
    accuracy
        The accuracy at each.

    Examples
    --------
    >>> area_under_budget_curve([100, 200, 400], [0.5, 0.7, 0.8])
    0.7
    """
    if len(labelled) == 1:
        return float(accuracy[0])
    width = labelled[-1] - labelled[0]
    return round(float(np.trapezoid(accuracy, labelled)) / width, 12)
