"""What holds of all items at one moment, as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .._loops.fitting import Batch

__all__ = ["STATES", "Snapshot"]

STATES = ("", "label", "skip", "unsure")
"""What may hold of an item; the first is nothing."""


@dataclass(frozen=True)
class Snapshot:
    """What holds of all items at one version of the log.

    Attributes
    ----------
    version
        Of the log: the id of the last event that was seen.
    classes
        Their names, in order of first appearance.
    codes
        (n,) int32, position in `classes`, -1 without a label.
    states
        (n,) uint8, position in `STATES`.

    Notes
    -----
    5 bytes per item.
    """

    version: int
    classes: tuple[str, ...]
    codes: NDArray[np.int32]
    states: NDArray[np.uint8]

    def counts(self) -> dict[str, int]:
        """Return how many labels each class has, in the order of `classes`."""
        found = np.bincount(self.codes + 1, minlength=len(self.classes) + 1)
        return dict(zip(self.classes, found[1:].tolist(), strict=True))

    def labelled(self) -> Batch:
        """Return the labelled rows, ascending, and their labels."""
        rows = np.flatnonzero(self.codes >= 0)
        return Batch(rows, np.array(self.classes, dtype=np.str_)[self.codes[rows]])

    def passed(self) -> NDArray[np.int64]:
        """Return the rows that were skipped or left unsure, ascending."""
        return np.flatnonzero(self.states >= STATES.index("skip"))

    def label(self, row: int) -> str | None:
        """Return the label of an item, or None."""
        return None if self.codes[row] < 0 else self.classes[self.codes[row]]
