"""What is known after an experience."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["ExperienceRecord"]


@dataclass(frozen=True)
class ExperienceRecord:
    """What was learned in one experience, and how good the head is after it.

    Attributes
    ----------
    experience, name
        Its number, from 0, and its name.
    learned
        How many new rows the head was trained on.
    replayed
        How many rows of the buffer it was trained on with them.
    kept
        How many rows the buffer holds afterwards.
    labelled
        How many labels were asked for so far.
    accuracies
        (T,) float64: the share of the test rows of each experience that is predicted right; NaN
        where that is not defined.
    head
        What the head says of itself, such as the C that it chose.
    select_seconds, fit_seconds
        How long it took to choose what to label and what to keep; and to train.
    """

    experience: int
    name: str
    learned: int
    replayed: int
    kept: int
    labelled: int
    accuracies: NDArray[np.float64]
    head: dict[str, float | str | None] = field(default_factory=dict)
    select_seconds: float = 0.0
    fit_seconds: float = 0.0

    @property
    def loss(self) -> float | None:
        """The head's training loss, for the heads that minimise one; see the head's ``loss_``."""
        loss = self.head.get("loss_")
        return None if loss is None else float(loss)

    @property
    def mean_accuracy(self) -> float | None:
        """The mean of the accuracies that are defined."""
        known = self.accuracies[np.isfinite(self.accuracies)]
        return float(known.mean()) if known.size else None

    def __str__(self) -> str:
        mean = "-" if self.mean_accuracy is None else f"{self.mean_accuracy:.3f}"
        return (
            f"experience {self.experience} ({self.name}): {self.learned} new and {self.replayed} "
            f"replayed rows, mean accuracy {mean}"
        )
